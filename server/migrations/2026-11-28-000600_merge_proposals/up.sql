-- Two rows that may be one. Once they are merged, `alias_id` stands for `survivor_id`.
CREATE TABLE "merge_proposal" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    subject_scope_id uuid NOT NULL,
    subject_kind text NOT NULL,
    first_id uuid NOT NULL,
    second_id uuid NOT NULL,
    matched_fields jsonb NOT NULL,
    detected_at timestamptz NOT NULL,
    state text NOT NULL,
    alias_id uuid,
    survivor_id uuid,
    merged_content jsonb,
    decided_by uuid,
    decided_at timestamptz,
    decision_note text,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX merge_proposal_subject_scope_id ON "merge_proposal" (programme_id, subject_scope_id, id);
CREATE INDEX merge_proposal_first_id ON "merge_proposal" (programme_id, first_id, id);
CREATE INDEX merge_proposal_second_id ON "merge_proposal" (programme_id, second_id, id);
CREATE INDEX merge_proposal_state ON "merge_proposal" (programme_id, state, detected_at, id);
CREATE INDEX merge_proposal_detected_at ON "merge_proposal" (programme_id, detected_at, id);
-- Changes that name a row which is not there are looked up here.
CREATE INDEX merge_proposal_alias_id ON "merge_proposal" (programme_id, alias_id, id);
CREATE INDEX merge_proposal_survivor_id ON "merge_proposal" (programme_id, survivor_id, id);

SELECT sync_track(24, 'merge_proposal', 'subject_scope_id');
