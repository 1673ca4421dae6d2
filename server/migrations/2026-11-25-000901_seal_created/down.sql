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
