-- The list of touched rows, anew: one unlogged table instead of temporary tables of each session.
--
-- Temporary tables were emptied by cutting their files at every commit, which cost more than a small commit itself,
-- and were made anew by every connection. Nobody sees another transaction's rows here: they are deleted before the
-- commit, or rolled back with it. After a crash the table is empty, as it should be.

CREATE UNLOGGED TABLE sync_touch (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(), -- whose rows these are, to find them among the dead
    part bigint GENERATED ALWAYS AS IDENTITY (CACHE 100), -- order within the transaction
    programme_id uuid NOT NULL,
    kind smallint NOT NULL,
    scope_id uuid NOT NULL,
    operation "char" NOT NULL,   -- I, U or D
    row_ids uuid[] NOT NULL,     -- one for U and D; for I all that one statement created in a scope
    old jsonb                    -- U: the old values of the changed fields; D: the row
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE sync_touch ALTER COLUMN row_ids SET STORAGE EXTERNAL;
CREATE INDEX sync_touch_xid ON sync_touch (xid);

-- The transactions that are to be sealed when they commit.
CREATE UNLOGGED TABLE sync_unsealed (
    xid xid8 NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX sync_unsealed_xid ON sync_unsealed (xid);
-- Deferred: the number is taken as late as possible, when the transaction commits.
CREATE CONSTRAINT TRIGGER seal AFTER INSERT ON sync_unsealed
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_seal_at_commit();

-- Gives the touched rows their number and returns it. The server calls it as its last statement, because it
-- needs the number for its answer; for every other writer the deferred trigger does.
--
-- Look-ups by key, whatever the planner thinks of a table whose size it does not know: another plan would read
-- all of the log for one row.
CREATE OR REPLACE FUNCTION sync_seal(
    actor uuid DEFAULT NULL, device uuid DEFAULT NULL, device_incarnation uuid DEFAULT NULL,
    from_no bigint DEFAULT NULL, to_no bigint DEFAULT NULL, is_verbatim boolean DEFAULT false
) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    me xid8 := pg_current_xact_id_if_assigned();
    programme uuid;
    number bigint := 0;
    fingerprint bytea;
BEGIN
    -- Sorted, so that two writers of several programmes never wait for each other.
    FOR programme IN SELECT DISTINCT t.programme_id FROM sync_touch t WHERE t.xid = me ORDER BY 1 LOOP
        INSERT INTO programme_head AS h (programme_id, epoch, seq, chain)
            VALUES (programme, gen_random_uuid(), 1, substr(sha256(uuid_send(gen_random_uuid())), 1, 16))
            ON CONFLICT (programme_id) DO UPDATE SET
                seq = h.seq + 1,
                chain = substr(sha256(h.chain || int8send(h.seq + 1) || uuid_send(gen_random_uuid())), 1, 16)
            RETURNING h.seq, h.chain INTO number, fingerprint;
        -- Only who holds the head writes here, so that a place that is not found is free.
        WITH touched AS MATERIALIZED (
            SELECT DISTINCT ON (t.kind, u.id) t.kind, u.id AS row_id, t.scope_id, t.operation = 'D' AS deleted
            FROM sync_touch t CROSS JOIN LATERAL unnest(t.row_ids) AS u(id)
            WHERE t.xid = me AND t.programme_id = programme
            ORDER BY t.kind, u.id, t.part DESC
        ), placed AS MATERIALIZED (
            SELECT t.*, h.place, h.left_scope_id
            FROM touched t
            LEFT JOIN LATERAL (
                SELECT h.ctid AS place, h.scope_id AS left_scope_id FROM sync_head h
                WHERE h.programme_id = programme AND h.kind = t.kind AND h.row_id = t.row_id LIMIT 1) h ON true
        ), left_scopes AS (
            INSERT INTO scope_exit
                SELECT programme, p.left_scope_id, number, p.kind, p.row_id
                FROM placed p WHERE p.left_scope_id <> p.scope_id
        ), moved AS (
            UPDATE sync_head h SET seq = number, scope_id = p.scope_id, deleted = p.deleted
                FROM placed p WHERE h.ctid = p.place
        )
        INSERT INTO sync_head
            SELECT programme, p.kind, p.row_id, number, number, p.scope_id, p.deleted
            FROM placed p WHERE p.place IS NULL;
        INSERT INTO change_log
            SELECT programme, t.kind, t.row_ids[1], number, row_number() OVER (ORDER BY t.part), t.operation, t.old
            FROM sync_touch t WHERE t.xid = me AND t.programme_id = programme AND t.operation <> 'I';
        INSERT INTO seal_log (programme_id, seq, chain, actor_id, device_id, incarnation, first_no, last_no, verbatim)
            VALUES (programme, number, fingerprint, actor, device, device_incarnation, from_no, to_no, is_verbatim);
    END LOOP;
    DELETE FROM sync_touch t WHERE t.xid = me;
    DELETE FROM sync_unsealed t WHERE t.xid = me;
    RETURN number;
END $$;

-- Makes the functions that note what a statement touched of an entity: its number on the wire, its table, and the
-- scope of a row `r` as SQL.
CREATE FUNCTION sync_touch_functions(kind integer, name text, scope text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION %1$I() RETURNS trigger LANGUAGE plpgsql AS $t$
        BEGIN
            INSERT INTO sync_touch (programme_id, kind, scope_id, operation, row_ids)
                SELECT r.programme_id, %2$s, %3$s, 'I', array_agg(r.id) FROM new_rows r GROUP BY 1, 3;
            IF FOUND THEN
                PERFORM sync_begin();
            END IF;
            RETURN NULL;
        END $t$;
        CREATE OR REPLACE FUNCTION %4$I() RETURNS trigger LANGUAGE plpgsql AS $t$
        BEGIN
            INSERT INTO sync_touch (programme_id, kind, scope_id, operation, row_ids, old)
                SELECT r.programme_id, %2$s, %3$s, 'U', ARRAY[r.id], (
                    SELECT jsonb_object_agg(f.key, f.value) FROM jsonb_each(to_jsonb(o)) f
                    WHERE f.value IS DISTINCT FROM to_jsonb(r) -> f.key)
                FROM new_rows r JOIN old_rows o ON o.programme_id = r.programme_id AND o.id = r.id
                WHERE o.* IS DISTINCT FROM r.*;
            IF FOUND THEN
                PERFORM sync_begin();
            END IF;
            RETURN NULL;
        END $t$;
        CREATE OR REPLACE FUNCTION %5$I() RETURNS trigger LANGUAGE plpgsql AS $t$
        BEGIN
            INSERT INTO sync_touch (programme_id, kind, scope_id, operation, row_ids, old)
                SELECT r.programme_id, %2$s, %3$s, 'D', ARRAY[r.id], to_jsonb(r) FROM old_rows r;
            IF FOUND THEN
                PERFORM sync_begin();
            END IF;
            RETURN NULL;
        END $t$;
    $f$, 'sync_insert_' || name, kind, scope, 'sync_update_' || name, 'sync_delete_' || name);
END $$;

-- Notes that the current transaction has something to seal.
CREATE OR REPLACE FUNCTION sync_begin() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sync_unsealed
        SELECT pg_current_xact_id()
        WHERE NOT EXISTS (SELECT 1 FROM sync_unsealed u WHERE u.xid = pg_current_xact_id());
END $$;

-- Gives the table of an entity its triggers: its number on the wire, and the column that holds the scope; null for
-- the office.
CREATE OR REPLACE FUNCTION sync_track(kind integer, name text, scope_column text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sync_touch_functions(kind, name, CASE
        WHEN scope_column IS NULL THEN quote_literal('00000000-0000-0000-0000-000000000000') || '::uuid'
        ELSE 'r.' || quote_ident(scope_column) END);
    EXECUTE format($f$
        CREATE TRIGGER sync_insert AFTER INSERT ON %1$I REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION %2$I();
        CREATE TRIGGER sync_update AFTER UPDATE ON %1$I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION %3$I();
        CREATE TRIGGER sync_delete AFTER DELETE ON %1$I REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION %4$I();
        CREATE TRIGGER sync_truncate BEFORE TRUNCATE ON %1$I
            FOR EACH STATEMENT EXECUTE FUNCTION sync_refuse_truncate();
        CREATE TRIGGER sync_key BEFORE UPDATE OF programme_id, id ON %1$I
            FOR EACH STATEMENT EXECUTE FUNCTION sync_refuse_new_key();
    $f$, name, 'sync_insert_' || name, 'sync_update_' || name, 'sync_delete_' || name);
END $$;

-- The entities that have triggers keep them; their functions change. What they noted says which number and scope.
DO $$
DECLARE
    entity record;
BEGIN
    FOR entity IN
        SELECT c.relname AS name, regexp_match(p.prosrc, 'SELECT r\.programme_id, (\d+), r\.id, (.*?), ''I''') AS noted
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgname = 'sync_insert'
    LOOP
        PERFORM sync_touch_functions(entity.noted[1]::integer, entity.name, entity.noted[2]);
    END LOOP;
END $$;
