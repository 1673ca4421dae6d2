DROP TABLE epoch_fork;
ALTER TABLE programme_head DROP COLUMN floor_seq, DROP COLUMN durable_seq;
