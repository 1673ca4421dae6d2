-- What a programme needs to survive a restore from a backup, and to forget old deletions.

-- In the row of the head, which every session reads anyway.
ALTER TABLE programme_head
    ADD COLUMN floor_seq bigint NOT NULL DEFAULT 0,    -- up to here deletions are no longer kept
    ADD COLUMN durable_seq bigint NOT NULL DEFAULT 0;  -- up to here everything is in a verified backup; 0 is unknown

-- Where a history was left for another one. A device that stands in one that was left goes back to `common_seq`.
CREATE TABLE epoch_fork (
    programme_id uuid NOT NULL,
    parent_epoch uuid NOT NULL,  -- the history that was left
    epoch uuid NOT NULL,         -- the one that replaced it
    common_seq bigint NOT NULL,  -- up to here both are the same
    resumed_seq bigint NOT NULL, -- the first number of the new one; those in between are never used again
    forked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (programme_id, parent_epoch)
);
