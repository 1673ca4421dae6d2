-- Refused mutations by their row: after a restore it matters whether a row stands as it was first created. Few are
-- refused.
CREATE INDEX mutation_refused ON mutation_line (programme_id, row_id) WHERE outcome = 'R';
