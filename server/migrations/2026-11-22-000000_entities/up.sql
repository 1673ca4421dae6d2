-- The entities. One table each, one column per field of its field table in `sync-protocol`; a test keeps the
-- two equal.
--
-- `programme_id` leads every key: the programme is the tenant, and a distributed Postgres can shard by it.
--
-- There are no foreign keys between entities. Children reach the server before their parents when phones sync
-- out of order, and are then held, which is a rule of the domain; and a foreign key costs a lookup per row on
-- every push, for rows whose parents the write path has just loaded anyway.
--
-- The values of codes, the lengths of texts and the rules across fields are checked by the shared rules, which
-- run on the phone too.

-- A funded programme: the tenant that everything else belongs to.
CREATE TABLE "programme" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    title jsonb NOT NULL,
    objective jsonb NOT NULL,
    fund text NOT NULL,
    regulation_set text NOT NULL,
    smis_code text,
    nuts2 text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    sustainability_ends_on date,
    total_budget_amount numeric NOT NULL,
    eu_contribution_amount numeric NOT NULL,
    currency text NOT NULL,
    lead_organisation text NOT NULL,
    status text NOT NULL,
    PRIMARY KEY (programme_id, id)
);

-- A main line of action of the programme.
CREATE TABLE "action_line" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    roman_no text NOT NULL,
    position integer NOT NULL,
    title jsonb NOT NULL,
    is_from_source boolean NOT NULL,
    PRIMARY KEY (programme_id, id)
);

-- What the programme promised to reach for one indicator.
CREATE TABLE "target" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    action_line_id uuid,
    indicator_code text NOT NULL,
    title jsonb NOT NULL,
    unit text NOT NULL,
    baseline_value integer NOT NULL,
    target_value integer NOT NULL,
    due_on date,
    PRIMARY KEY (programme_id, id)
);

-- A person who works for the programme and signs in.
CREATE TABLE "user" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    organisation text,
    locale text NOT NULL,
    is_active boolean NOT NULL,
    PRIMARY KEY (programme_id, id)
);

-- The permission of one user on one scope, for a time.
CREATE TABLE "scope_grant" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    scope_kind text NOT NULL,
    scope_id uuid NOT NULL,
    role text NOT NULL,
    valid_from_at timestamptz NOT NULL,
    valid_until_at timestamptz,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX scope_grant_user_id ON "scope_grant" (programme_id, user_id, id);

-- One entry of an open, dated code list: localities (`SIRUTA`), occupations (`ISCO`), activities (`NACE`).
CREATE TABLE "code" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    list text NOT NULL,
    code text NOT NULL,
    label jsonb NOT NULL,
    parent_code text,
    place jsonb,
    valid_from_on date,
    valid_until_on date,
    PRIMARY KEY (programme_id, id)
);

-- A version of a visit form. A visit keeps the version that it was started with.
CREATE TABLE "form" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    version_no integer NOT NULL,
    title jsonb NOT NULL,
    valid_from_on date NOT NULL,
    valid_until_on date,
    PRIMARY KEY (programme_id, id)
);

-- A question of a form.
CREATE TABLE "question" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    form_id uuid NOT NULL,
    code text NOT NULL,
    position integer NOT NULL,
    text jsonb NOT NULL,
    answer_type text NOT NULL,
    options jsonb NOT NULL,
    asked_if jsonb,
    repeat_over text,
    is_required boolean NOT NULL,
    min_value integer,
    max_value integer,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX question_form_id ON "question" (programme_id, form_id, id);

-- A social enterprise that the programme finances.
CREATE TABLE "enterprise" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    legal_form text NOT NULL,
    kind text NOT NULL,
    cui text,
    registered_on date,
    nace_code text NOT NULL,
    county text NOT NULL,
    siruta_code text NOT NULL,
    locality_name text NOT NULL,
    status text NOT NULL,
    social_mission text NOT NULL,
    representative_name text NOT NULL,
    mentor_id uuid,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX enterprise_mentor_id ON "enterprise" (programme_id, mentor_id, id);

-- A place where an enterprise works.
CREATE TABLE "site" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    purpose text NOT NULL,
    county text NOT NULL,
    siruta_code text NOT NULL,
    locality_name text NOT NULL,
    address text,
    place jsonb,
    is_rural boolean NOT NULL,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX site_enterprise_id ON "site" (programme_id, enterprise_id, id);

-- A job of an enterprise, filled or not. The indicator "jobs created" counts positions, not people (I18).
CREATE TABLE "position" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    code text NOT NULL,
    title text NOT NULL,
    isco_code text NOT NULL,
    fte numeric NOT NULL,
    planned_start_on date,
    is_committed boolean NOT NULL,
    status text NOT NULL,
    is_reserved_for_vulnerable boolean NOT NULL,
    first_filled_on date,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX position_enterprise_id ON "position" (programme_id, enterprise_id, id);

-- A job record: one person in one position.
CREATE TABLE "employment" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    position_id uuid NOT NULL,
    holder_name text NOT NULL,
    holder_birth_on date,
    contract_type text NOT NULL,
    contract_no text,
    start_on date NOT NULL,
    end_on date,
    end_reason text,
    weekly_hours numeric NOT NULL,
    fte numeric NOT NULL,
    wage_band text,
    is_vulnerable boolean NOT NULL,
    vulnerability_codes jsonb,
    status text NOT NULL,
    verification text NOT NULL,
    verified_by uuid,
    verified_on date,
    recorded_by uuid NOT NULL,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX employment_enterprise_id ON "employment" (programme_id, enterprise_id, id);
CREATE INDEX employment_position_id ON "employment" (programme_id, position_id, id);

-- A visit of a mentor to an enterprise.
CREATE TABLE "visit" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    mentor_id uuid NOT NULL,
    kind text NOT NULL,
    mode text NOT NULL,
    purpose text,
    planned_start_at timestamptz,
    planned_end_at timestamptz,
    actual_start_at timestamptz,
    actual_end_at timestamptz,
    form_id uuid,
    status text NOT NULL,
    arrival_place jsonb,
    gps_exception_reason text,
    summary text,
    risk_rating text,
    next_visit_on date,
    travel_km integer,
    signer_name text,
    signer_role text,
    signed_at timestamptz,
    signed_content_hash text,
    signature_refusal_note text,
    return_reason text,
    validated_by uuid,
    validated_at timestamptz,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX visit_enterprise_id ON "visit" (programme_id, enterprise_id, id);
CREATE INDEX visit_mentor_id ON "visit" (programme_id, mentor_id, id);
-- The last visits of each enterprise, and the agenda of a mentor.
CREATE INDEX visit_enterprise_start ON "visit" (programme_id, enterprise_id, actual_start_at DESC NULLS LAST, id);
CREATE INDEX visit_planned_start ON "visit" (programme_id, mentor_id, planned_start_at);

-- The state of one employment in one month: a fact, corrected by a later one.
CREATE TABLE "monthly_job_status" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    employment_id uuid NOT NULL,
    month_on date NOT NULL,
    is_active boolean NOT NULL,
    hours_worked integer,
    absence_kind text,
    is_wage_paid boolean,
    visit_id uuid,
    note text,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX monthly_job_status_enterprise_id ON "monthly_job_status" (programme_id, enterprise_id, id);
CREATE INDEX monthly_job_status_employment_id ON "monthly_job_status" (programme_id, employment_id, id);

-- The answer to one question of a visit's form, saved on its own.
CREATE TABLE "checklist_answer" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    question_code text NOT NULL,
    item_id uuid,
    value jsonb,
    na_reason text,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX checklist_answer_visit_id ON "checklist_answer" (programme_id, visit_id, id);

-- Something that a mentor found during a visit.
CREATE TABLE "finding" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    area text NOT NULL,
    severity text NOT NULL,
    text text NOT NULL,
    rule_ref text,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX finding_enterprise_id ON "finding" (programme_id, enterprise_id, id);
CREATE INDEX finding_visit_id ON "finding" (programme_id, visit_id, id);

-- Something to be done after a visit, followed until it is verified.
CREATE TABLE "follow_up_action" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    finding_id uuid,
    text text NOT NULL,
    responsible text NOT NULL,
    responsible_name text,
    owner_id uuid,
    priority text NOT NULL,
    due_on date NOT NULL,
    status text NOT NULL,
    done_on date,
    verified_in_visit_id uuid,
    status_note text,
    cancel_reason text,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX follow_up_action_enterprise_id ON "follow_up_action" (programme_id, enterprise_id, id);
CREATE INDEX follow_up_action_visit_id ON "follow_up_action" (programme_id, visit_id, id);
CREATE INDEX follow_up_action_due_on ON "follow_up_action" (programme_id, due_on, id) WHERE status = 'OPEN';

-- Someone present at a visit.
CREATE TABLE "attendee" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    enterprise_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    organisation text,
    is_present boolean NOT NULL,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX attendee_visit_id ON "attendee" (programme_id, visit_id, id);

-- The headline record of one person in the programme; identity lives elsewhere, under stricter rules.
CREATE TABLE "participation" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    group_code text,
    sex text,
    age_at_entry integer,
    county text NOT NULL,
    is_rural boolean NOT NULL,
    entry_on date NOT NULL,
    exit_on date,
    exit_reason text,
    status text NOT NULL,
    employment_status text,
    isced_band text,
    first_certificate_on date,
    second_certificate_on date,
    is_complete boolean NOT NULL,
    PRIMARY KEY (programme_id, id)
);

-- Two concurrent edits of one field. Both values are kept and both people see it.
CREATE TABLE "conflict" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    subject_scope_id uuid NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    field text NOT NULL,
    kept_value text,
    other_value text,
    kept_by uuid,
    other_by uuid,
    detected_at timestamptz NOT NULL,
    policy text NOT NULL,
    state text NOT NULL,
    resolved_by uuid,
    resolved_at timestamptz,
    PRIMARY KEY (programme_id, id)
);

-- A change that the server keeps until something else happens: its parent arrives, a person decides.
CREATE TABLE "held_item" (
    programme_id uuid NOT NULL,
    id uuid NOT NULL,
    author_id uuid NOT NULL,
    device_id uuid NOT NULL,
    incarnation uuid NOT NULL,
    mutation_no integer NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    reason_code text NOT NULL,
    waits_for_id uuid,
    held_at timestamptz NOT NULL,
    state text NOT NULL,
    resolved_at timestamptz,
    PRIMARY KEY (programme_id, id)
);
CREATE INDEX held_item_author_id ON "held_item" (programme_id, author_id, id);
-- What waits for a row that has just arrived.
CREATE INDEX held_item_waits_for ON "held_item" (programme_id, waits_for_id) WHERE state = 'HELD';

-- Text as it is searched: lower case, no diacritics, single spaces. The twin of `text::fold` in `sync-protocol`;
-- a test keeps the two equal.
CREATE FUNCTION fold(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT btrim(regexp_replace(lower(translate(value,
        U&'șşțţăâîáàäãåāąćčçďđèéêëēęěğģìíïīįķłĺľļńňñņòóôöõőøōŕřśšťùúûüűůūųýÿźżžßæœȘŞȚŢĂÂÎÁÀÄÃÅĀĄĆČÇĎĐÈÉÊËĒĘĚĞĢÌÍÏĪĮİĶŁĹĽĻŃŇÑŅÒÓÔÖÕŐØŌŔŘŚŠŤÙÚÛÜŰŮŪŲÝŸŹŻŽÆŒÅẞ\00A0\2007\2009\202F\0300\0301\0302\0303\0304\0306\0307\0308\030A\030B\030C\0326\0327\0328',
        U&'ssttaaiaaaaaaacccddeeeeeeeggiiiiikllllnnnnoooooooorrsstuuuuuuuuyyzzzsaossttaaiaaaaaaacccddeeeeeeeggiiiiiikllllnnnnoooooooorrsstuuuuuuuuyyzzzaoas    ')), '\s+', ' ', 'g'))
$$;
