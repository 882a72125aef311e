-- What the cache needs beside a position: whose it is, and which Redis its bodies are in.

ALTER TABLE positions ADD COLUMN assignment uuid, ADD COLUMN cache_home text;
COMMENT ON COLUMN positions.owner IS 'The projector that was given the partition last';
COMMENT ON COLUMN positions.assignment IS 'Which of its assignments: only the one that stands here may move the position';
COMMENT ON COLUMN positions.cache_generation IS 'Bodies in the cache count only if they carry it; raised whenever some may be older than what was committed';
COMMENT ON COLUMN positions.cache_home IS 'The Redis that the cache generation was agreed with: run id, replication id, mark';
