-- Reporting periods, and the late work that is booked to another one.

-- Gives a table of synced rows its triggers: which number the entity has on the wire and which column holds its
-- scope; null for the office. The entities before this migration have the same triggers.
CREATE FUNCTION sync_track(kind integer, name text, scope_column text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    scope text;
BEGIN
    scope := CASE WHEN scope_column IS NULL THEN quote_literal('00000000-0000-0000-0000-000000000000') || '::uuid'
                  ELSE 'r.' || quote_ident(scope_column) END;
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
    $f$, 'sync_insert_' || name, kind, scope, 'sync_update_' || name,
         'sync_delete_' || name, name);
END $$;

-- A stretch of time that is reported as a whole.
CREATE TABLE "reporting_period" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    from_on date NOT NULL,
    until_on date NOT NULL,
    due_on date,
    state text NOT NULL,
    locked_by uuid,
    locked_at timestamptz,
    unlock_reason text,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX reporting_period_from_on ON "reporting_period" (programme_id, from_on, id);

-- Work that came after its period was locked, booked to the next open one.
CREATE TABLE "late_adjustment" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    subject_scope_id uuid NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    is_new_row boolean NOT NULL,
    original_period_id uuid NOT NULL,
    period_id uuid NOT NULL,
    held_item_id uuid NOT NULL,
    approved_by uuid NOT NULL,
    approved_at timestamptz NOT NULL,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX late_adjustment_subject_id ON "late_adjustment" (programme_id, subject_id, id);
CREATE INDEX late_adjustment_subject_scope_id ON "late_adjustment" (programme_id, subject_scope_id, id);
CREATE INDEX late_adjustment_period_id ON "late_adjustment" (programme_id, period_id, id);

SELECT sync_track(22, 'reporting_period', 'programme_id'), sync_track(23, 'late_adjustment', 'subject_scope_id');

-- What a person needs to decide about held work, and what was decided.
ALTER TABLE "held_item"
    ADD COLUMN enterprise_id uuid,
    ADD COLUMN operation text,
    ADD COLUMN content jsonb,
    ADD COLUMN captured_at timestamptz,
    ADD COLUMN corrected_at timestamptz,
    ADD COLUMN clock_offset_s integer,
    ADD COLUMN decided_by uuid,
    ADD COLUMN decision_note text,
    ADD COLUMN correction jsonb,
    ADD COLUMN answer jsonb;
CREATE INDEX held_item_state ON "held_item" (programme_id, state, held_at, id);
CREATE INDEX held_item_enterprise_id ON "held_item" (programme_id, enterprise_id, id);

-- What was held and then applied by a later commit is the author's change, not that of whoever released it.
CREATE INDEX mutation_released ON mutation (programme_id, row_id, applied_seq) WHERE applied_seq IS NOT NULL;
