DROP INDEX conflict_other_by, conflict_kept_by, held_item_of_device;
ALTER TABLE device DROP COLUMN status_at, DROP COLUMN status_by, DROP COLUMN status_reason;
ALTER TABLE device_contact
    DROP COLUMN protocol, DROP COLUMN progress_at, DROP COLUMN contacts_without_progress, DROP COLUMN stalled_at,
    DROP COLUMN salvaged_rows, DROP COLUMN lost_rows, DROP COLUMN digest_verified_at, DROP COLUMN digest_mismatches;
