-- One enterprise is registered once in a programme. Only imports register enterprises, and nobody would notice a second row
-- with another code: so who writes a fiscal code that another row has is told both rows, whatever the tool. Case, spaces
-- and the prefix of VAT payers do not count. Rows that were doubled before stay, and can be changed.
CREATE FUNCTION fiscal_code(cui text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT nullif(ltrim(regexp_replace(cui, '\D', '', 'g'), '0'), '')
$$;
CREATE INDEX enterprise_fiscal_code ON "enterprise" (programme_id, fiscal_code(cui));

CREATE FUNCTION refuse_enterprise_twice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    written uuid[];
    twice record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.id) INTO written FROM new_rows n WHERE n.cui IS NOT NULL;
    ELSE
        SELECT array_agg(n.id) INTO written FROM new_rows n JOIN old_rows o USING (programme_id, id)
        WHERE n.cui IS NOT NULL AND n.cui IS DISTINCT FROM o.cui;
    END IF;
    IF written IS NULL THEN
        RETURN NULL;
    END IF;
    -- Of two imports at once, the second one waits and sees the first.
    PERFORM pg_advisory_xact_lock(hashtextextended('enterprises of ' || p.programme_id, 0))
    FROM (SELECT DISTINCT programme_id FROM new_rows ORDER BY programme_id) p;
    SELECT n.code, n.id, n.cui, e.code AS other_code, e.id AS other_id INTO twice
    FROM new_rows n JOIN "enterprise" e
        ON e.programme_id = n.programme_id AND fiscal_code(e.cui) = fiscal_code(n.cui) AND e.id <> n.id
    WHERE n.id = ANY(written) ORDER BY n.code, e.code LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'enterprise % (%) has the fiscal code %, under which % (%) is registered',
            twice.code, twice.id, twice.cui, twice.other_code, twice.other_id
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'enterprise_fiscal_code',
                HINT = 'Leave out the row that is there already, or put the wrong fiscal code right.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_twice_inserted AFTER INSERT ON "enterprise" REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_enterprise_twice();
CREATE TRIGGER refuse_twice_updated AFTER UPDATE ON "enterprise" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_enterprise_twice();
