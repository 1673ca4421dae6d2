-- A line for each mutation again.
INSERT INTO mutation_line
    (programme_id, device_id, incarnation, no, hash, kind, row_id, author_id, captured_at, received_at, outcome)
    SELECT m.programme_id, m.device_id, m.incarnation, m.no, m.hash, m.kind, m.row_id, m.author_id, m.captured_at,
        m.received_at, m.outcome
    FROM mutation m
    WHERE EXISTS (SELECT 1 FROM mutation_run r WHERE r.programme_id = m.programme_id AND r.device_id = m.device_id
        AND r.incarnation = m.incarnation AND m.no BETWEEN r.first_no AND r.last_no);
DROP VIEW mutation;
DROP TABLE mutation_run;
ALTER TABLE mutation_line RENAME TO mutation;
