-- That records about people were erased. Nothing of the people themselves: only which record, when, why and by whom.
CREATE TABLE "erasure" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    reason text NOT NULL,
    erased_by uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX erasure_subject_id ON "erasure" (programme_id, subject_id, id);
CREATE INDEX erasure_erased_at ON "erasure" (programme_id, erased_at, id);

SELECT sync_track(25, 'erasure', 'programme_id');

-- Nobody brings back what was erased: not a phone that had it, not an import. The name of the constraint is that of a
-- row that is there already, so that a push which took the row for new is decided again with looking.
CREATE FUNCTION refuse_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM new_rows r JOIN "erasure" e ON e.programme_id = r.programme_id AND e.subject_id = r.id) THEN
        RAISE EXCEPTION 'this record of % was erased', TG_TABLE_NAME
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'erasure_pkey';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_erased AFTER INSERT ON "employment" REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_erased();
CREATE TRIGGER refuse_erased AFTER INSERT ON "participation" REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_erased();
CREATE TRIGGER refuse_erased AFTER INSERT ON "attendee" REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_erased();
