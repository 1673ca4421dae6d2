-- What the office sees of each device: whether it gets on, how sound its files are, and who blocked it.

ALTER TABLE device_contact
    ADD COLUMN protocol smallint,            -- the version of the protocol that its application speaks
    ADD COLUMN progress_at timestamptz,      -- the last contact at which something moved, or nothing waited
    ADD COLUMN contacts_without_progress integer NOT NULL DEFAULT 0,
    ADD COLUMN stalled_at timestamptz,       -- set while it is in touch, has work waiting, and nothing moves
    ADD COLUMN salvaged_rows bigint NOT NULL DEFAULT 0, -- rows of a damaged outbox that were saved
    ADD COLUMN lost_rows bigint NOT NULL DEFAULT 0,     -- and rows that were not
    ADD COLUMN digest_verified_at timestamptz,          -- when what it holds was last found equal
    ADD COLUMN digest_mismatches integer NOT NULL DEFAULT 0; -- how often a scope was found to differ

ALTER TABLE device
    ADD COLUMN status_at timestamptz,        -- when the status was set, null since the enrolment
    ADD COLUMN status_by uuid,               -- by whom
    ADD COLUMN status_reason text;           -- and why, in that person's words

CREATE INDEX held_item_of_device ON held_item (programme_id, device_id) WHERE state = 'HELD';
CREATE INDEX conflict_kept_by ON conflict (programme_id, kept_by) WHERE state = 'OPEN';
CREATE INDEX conflict_other_by ON conflict (programme_id, other_by) WHERE state = 'OPEN';
