-- The commit-ordered log of each programme, kept by triggers, so that a change made by *any* writer is
-- delivered to the devices: the server, an import, a person with psql.
--
-- One number per committed batch and programme. It is taken last, under the row lock of `programme_head`, and
-- the lock is held to the commit: the next number can only be taken when these rows are visible. A plain
-- sequence loses rows: it is handed out at INSERT, while rows become visible at COMMIT.

-- The newest number of each programme. A table of its own, without foreign keys that point at it: they would
-- take locks on the hottest row of the database. The low fill factor keeps its updates in one page.
CREATE TABLE programme_head (
    programme_id uuid PRIMARY KEY,
    epoch uuid NOT NULL,         -- one history of this database; a restore starts a new one
    seq bigint NOT NULL,         -- the newest number
    chain bytea NOT NULL         -- fingerprint of the history up to `seq`
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Where each row stands in the log: one entry per row, so that the log is compact by construction.
CREATE TABLE sync_head (
    programme_id uuid NOT NULL,
    kind smallint NOT NULL,
    row_id uuid NOT NULL,
    seq bigint NOT NULL,         -- the last change
    created_seq bigint NOT NULL, -- the first one
    scope_id uuid NOT NULL,
    deleted boolean NOT NULL,
    PRIMARY KEY (programme_id, kind, row_id)
);
CREATE INDEX sync_head_scope ON sync_head (programme_id, scope_id, seq, kind, row_id);

-- Rows that moved to another scope: devices that hold the old one must drop them.
CREATE TABLE scope_exit (
    programme_id uuid NOT NULL,
    scope_id uuid NOT NULL,      -- the scope that the row left
    seq bigint NOT NULL,
    kind smallint NOT NULL,
    row_id uuid NOT NULL,
    PRIMARY KEY (programme_id, scope_id, seq, kind, row_id)
);

-- One line per number: who committed it.
CREATE TABLE seal_log (
    programme_id uuid NOT NULL,
    seq bigint NOT NULL,
    chain bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id uuid,               -- null for a writer that is not the server
    device_id uuid,              -- null for the office
    incarnation uuid,
    first_no bigint,
    last_no bigint,
    verbatim boolean NOT NULL DEFAULT false, -- the device already shows exactly these rows
    writer text NOT NULL DEFAULT session_user,
    PRIMARY KEY (programme_id, seq)
);
CREATE INDEX seal_log_device ON seal_log (programme_id, device_id, incarnation, first_no) WHERE device_id IS NOT NULL;

-- What a change replaced: the old values of the changed fields. The new ones are in the row, or in the next
-- entry. A row that was only created has no entry; `sync_head.created_seq` says when.
CREATE TABLE change_log (
    programme_id uuid NOT NULL,
    kind smallint NOT NULL,
    row_id uuid NOT NULL,
    seq bigint NOT NULL,
    part integer NOT NULL,       -- order within one number
    operation "char" NOT NULL,   -- U or D
    old jsonb NOT NULL,
    PRIMARY KEY (programme_id, kind, row_id, seq, part)
);

-- Rows that the current transaction touched, in a temporary table of the session.
CREATE FUNCTION sync_begin() RETURNS void LANGUAGE plpgsql AS $$
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

-- Gives the touched rows their number and returns it. The server calls it as its last statement, because it
-- needs the number for its answer; for every other writer the deferred trigger does.
CREATE FUNCTION sync_seal(
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

CREATE FUNCTION sync_seal_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sync_seal();
    RETURN NULL;
END $$;

CREATE FUNCTION sync_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE % would hide the deletions from the devices; use DELETE', TG_TABLE_NAME;
END $$;

-- A row keeps its key: with another one it would be another row, and the old one would vanish without a trace.
CREATE FUNCTION sync_refuse_new_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the key of a row of % never changes; delete the row and insert another', TG_TABLE_NAME;
END $$;

-- The triggers of each entity: which number it has on the wire and which column holds its scope.
DO $$
DECLARE
    entity record;
    scope text;
BEGIN
    FOR entity IN SELECT * FROM (VALUES
        (1, 'programme', 'programme_id'),
        (2, 'action_line', 'programme_id'),
        (3, 'target', 'programme_id'),
        (4, 'user', 'programme_id'),
        (5, 'scope_grant', 'user_id'),
        (6, 'code', 'programme_id'),
        (7, 'form', 'programme_id'),
        (8, 'question', 'programme_id'),
        (9, 'enterprise', 'id'),
        (10, 'site', 'enterprise_id'),
        (11, 'position', 'enterprise_id'),
        (12, 'employment', 'enterprise_id'),
        (13, 'visit', 'enterprise_id'),
        (14, 'monthly_job_status', 'enterprise_id'),
        (15, 'checklist_answer', 'enterprise_id'),
        (16, 'finding', 'enterprise_id'),
        (17, 'follow_up_action', 'enterprise_id'),
        (18, 'attendee', 'enterprise_id'),
        (19, 'participation', NULL),      -- the office: the nil scope
        (20, 'conflict', 'subject_scope_id'),
        (21, 'held_item', 'author_id')
    ) AS e (kind, name, scope_column) LOOP
        scope := CASE WHEN entity.scope_column IS NULL THEN quote_literal('00000000-0000-0000-0000-000000000000') || '::uuid'
                      ELSE 'r.' || quote_ident(entity.scope_column) END;
        EXECUTE format($f$
            CREATE FUNCTION %1$I() RETURNS trigger LANGUAGE plpgsql AS $t$
            BEGIN
                PERFORM sync_begin();
                INSERT INTO pg_temp.sync_touch (programme_id, kind, row_id, scope_id, operation)
                    SELECT r.programme_id, %2$s, r.id, %3$s, 'I' FROM new_rows r;
                RETURN NULL;
            END $t$;
            CREATE FUNCTION %4$I() RETURNS trigger LANGUAGE plpgsql AS $t$
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
            CREATE FUNCTION %5$I() RETURNS trigger LANGUAGE plpgsql AS $t$
            BEGIN
                PERFORM sync_begin();
                INSERT INTO pg_temp.sync_touch (programme_id, kind, row_id, scope_id, operation, old)
                    SELECT r.programme_id, %2$s, r.id, %3$s, 'D', to_jsonb(r) FROM old_rows r;
                RETURN NULL;
            END $t$;
            CREATE TRIGGER sync_insert AFTER INSERT ON %6$I REFERENCING NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION %1$I();
            CREATE TRIGGER sync_update AFTER UPDATE ON %6$I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION %4$I();
            CREATE TRIGGER sync_delete AFTER DELETE ON %6$I REFERENCING OLD TABLE AS old_rows
                FOR EACH STATEMENT EXECUTE FUNCTION %5$I();
            CREATE TRIGGER sync_truncate BEFORE TRUNCATE ON %6$I
                FOR EACH STATEMENT EXECUTE FUNCTION sync_refuse_truncate();
            CREATE TRIGGER sync_key BEFORE UPDATE OF programme_id, id ON %6$I
                FOR EACH STATEMENT EXECUTE FUNCTION sync_refuse_new_key();
        $f$, 'sync_insert_' || entity.name, entity.kind, scope, 'sync_update_' || entity.name,
             'sync_delete_' || entity.name, entity.name);
    END LOOP;
END $$;

-- Mutations of devices and of the office, each kept with its result: a retry gets the same answer, and the
-- audit knows who recorded what, on which device, when by its clock and when by ours.
CREATE TABLE mutation (
    programme_id uuid NOT NULL,
    device_id uuid NOT NULL,     -- nil for the office
    incarnation uuid NOT NULL,   -- of the device's outbox; for the office the client's mutation id
    no bigint NOT NULL,
    hash bytea NOT NULL,         -- the chain up to here
    kind smallint NOT NULL,
    row_id uuid NOT NULL,
    author_id uuid NOT NULL,
    captured_at timestamptz NOT NULL,  -- by the device's clock
    received_at timestamptz NOT NULL,
    outcome "char" NOT NULL,     -- A applied, M merged, C conflict, H held, R rejected
    applied_seq bigint,          -- the commit that applied it, when it was not the one of its own push
    result jsonb,                -- details when it was not simply applied
    payload bytea,               -- null when the row as created says it all
    PRIMARY KEY (programme_id, device_id, incarnation, no)
);
CREATE INDEX mutation_held ON mutation (programme_id, row_id) WHERE outcome = 'H';

-- The last mutation of each incarnation of a device's outbox.
CREATE TABLE device_state (
    programme_id uuid NOT NULL,
    device_id uuid NOT NULL,
    incarnation uuid NOT NULL,
    last_no bigint NOT NULL,
    last_hash bytea NOT NULL,
    PRIMARY KEY (programme_id, device_id, incarnation)
) WITH (fillfactor = 50);

-- What each device said of itself at its last contact.
CREATE TABLE device_contact (
    programme_id uuid NOT NULL,
    device_id uuid NOT NULL,
    user_id uuid NOT NULL,
    app text NOT NULL,
    contact_at timestamptz NOT NULL,
    complete_at timestamptz,     -- the last sync that ended with everything
    pending integer NOT NULL,
    rejected integer NOT NULL,
    oldest_ms bigint NOT NULL,
    clock_offset_ms bigint NOT NULL, -- server minus device
    PRIMARY KEY (programme_id, device_id)
) WITH (fillfactor = 50);
