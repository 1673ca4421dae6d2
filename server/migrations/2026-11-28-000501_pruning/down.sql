ALTER TABLE device_contact DROP COLUMN heard_seq;
DROP INDEX scope_exit_seq;
DROP INDEX sync_head_deleted;
