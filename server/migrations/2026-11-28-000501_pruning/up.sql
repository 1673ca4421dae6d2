-- What it takes to forget old deletions: to find them, and to know which devices have heard of them.

-- Deletions are few among the rows; without these, finding the oldest would read the whole log.
CREATE INDEX sync_head_deleted ON sync_head (programme_id, seq) WHERE deleted;
CREATE INDEX scope_exit_seq ON scope_exit (programme_id, seq);

-- The number up to which the device has heard of every deletion, as it said at its last contact; null while it holds
-- nothing, or stands in another history.
ALTER TABLE device_contact ADD COLUMN heard_seq bigint;
