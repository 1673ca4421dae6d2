-- Back to temporary tables of each session.
DROP TABLE sync_touch;
DROP TABLE sync_unsealed;

CREATE OR REPLACE FUNCTION sync_begin() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('pg_temp.sync_touch') IS NULL THEN
        CREATE TEMP TABLE sync_touch (
            part integer GENERATED ALWAYS AS IDENTITY,
            programme_id uuid, kind smallint, row_id uuid, scope_id uuid, operation "char", old jsonb
        ) ON COMMIT DELETE ROWS;
        CREATE TEMP TABLE sync_unsealed (programme_id uuid) ON COMMIT DELETE ROWS;
        -- Deferred: the number is taken as late as possible, when the transaction commits.
        CREATE CONSTRAINT TRIGGER seal AFTER INSERT ON sync_unsealed
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_seal_at_commit();
    END IF;
    INSERT INTO pg_temp.sync_unsealed SELECT NULL WHERE NOT EXISTS (SELECT 1 FROM pg_temp.sync_unsealed);
END $$;

CREATE OR REPLACE FUNCTION sync_seal(
    actor uuid DEFAULT NULL, device uuid DEFAULT NULL, device_incarnation uuid DEFAULT NULL,
    from_no bigint DEFAULT NULL, to_no bigint DEFAULT NULL, is_verbatim boolean DEFAULT false
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    programme uuid;
    number bigint := 0;
    fingerprint bytea;
BEGIN
    IF to_regclass('pg_temp.sync_touch') IS NULL THEN
        RETURN 0;
    END IF;
    -- Sorted, so that two writers of several programmes never wait for each other.
    FOR programme IN SELECT DISTINCT t.programme_id FROM pg_temp.sync_touch t ORDER BY 1 LOOP
        INSERT INTO programme_head AS h (programme_id, epoch, seq, chain)
            VALUES (programme, gen_random_uuid(), 1, substr(sha256(uuid_send(gen_random_uuid())), 1, 16))
            ON CONFLICT (programme_id) DO UPDATE SET
                seq = h.seq + 1,
                chain = substr(sha256(h.chain || int8send(h.seq + 1) || uuid_send(gen_random_uuid())), 1, 16)
            RETURNING h.seq, h.chain INTO number, fingerprint;
        INSERT INTO scope_exit
            SELECT DISTINCT programme, h.scope_id, number, t.kind, t.row_id
            FROM pg_temp.sync_touch t
            -- With a limit it stays one look-up for each row; a join may be planned as a scan of the whole log.
            CROSS JOIN LATERAL (
                SELECT h.scope_id FROM sync_head h
                WHERE h.programme_id = programme AND h.kind = t.kind AND h.row_id = t.row_id LIMIT 1) h
            WHERE t.programme_id = programme AND h.scope_id <> t.scope_id;
        INSERT INTO sync_head AS h
            SELECT DISTINCT ON (t.kind, t.row_id)
                programme, t.kind, t.row_id, number, number, t.scope_id, t.operation = 'D'
            FROM pg_temp.sync_touch t WHERE t.programme_id = programme ORDER BY t.kind, t.row_id, t.part DESC
            ON CONFLICT (programme_id, kind, row_id) DO UPDATE SET
                seq = excluded.seq, scope_id = excluded.scope_id, deleted = excluded.deleted;
        INSERT INTO change_log
            SELECT programme, t.kind, t.row_id, number, t.part, t.operation, t.old
            FROM pg_temp.sync_touch t WHERE t.programme_id = programme AND t.operation <> 'I';
        INSERT INTO seal_log (programme_id, seq, chain, actor_id, device_id, incarnation, first_no, last_no, verbatim)
            VALUES (programme, number, fingerprint, actor, device, device_incarnation, from_no, to_no, is_verbatim);
    END LOOP;
    DELETE FROM pg_temp.sync_touch;
    RETURN number;
END $$;

-- The functions of the entities, as they were.
DO $$
DECLARE
    entity record;
BEGIN
    FOR entity IN
        SELECT c.relname AS name, regexp_match(p.prosrc, 'SELECT r\.programme_id, (\d+), (.*?), ''I''') AS noted
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgname = 'sync_insert'
    LOOP
        EXECUTE format($f$
            CREATE OR REPLACE FUNCTION %1$I() RETURNS trigger LANGUAGE plpgsql AS $t$
            BEGIN
                PERFORM sync_begin();
                INSERT INTO pg_temp.sync_touch (programme_id, kind, row_id, scope_id, operation)
                    SELECT r.programme_id, %2$s, r.id, %3$s, 'I' FROM new_rows r;
                RETURN NULL;
            END $t$;
            CREATE OR REPLACE FUNCTION %4$I() RETURNS trigger LANGUAGE plpgsql AS $t$
            BEGIN
                PERFORM sync_begin();
                INSERT INTO pg_temp.sync_touch (programme_id, kind, row_id, scope_id, operation, old)
                    SELECT r.programme_id, %2$s, r.id, %3$s, 'U', (
                        SELECT jsonb_object_agg(f.key, f.value) FROM jsonb_each(to_jsonb(o)) f
                        WHERE f.value IS DISTINCT FROM to_jsonb(r) -> f.key)
                    FROM new_rows r JOIN old_rows o ON o.programme_id = r.programme_id AND o.id = r.id
                    WHERE o.* IS DISTINCT FROM r.*;
                RETURN NULL;
            END $t$;
            CREATE OR REPLACE FUNCTION %5$I() RETURNS trigger LANGUAGE plpgsql AS $t$
            BEGIN
                PERFORM sync_begin();
                INSERT INTO pg_temp.sync_touch (programme_id, kind, row_id, scope_id, operation, old)
                    SELECT r.programme_id, %2$s, r.id, %3$s, 'D', to_jsonb(r) FROM old_rows r;
                RETURN NULL;
            END $t$;
        $f$, 'sync_insert_' || entity.name, entity.noted[1], entity.noted[2], 'sync_update_' || entity.name,
             'sync_delete_' || entity.name);
    END LOOP;
END $$;

DROP FUNCTION sync_track(integer, text, text);
DROP FUNCTION sync_touch_functions(integer, text, text);
