-- Version 6 of the span store: room for what comes next, so that files change once. It adds columns
-- and takes computed ones away, which rewrites no row of a large table: old rows stay as they are
-- and mean what they meant.

-- For the client and the server of one call that were sent under one id. The server's half has an id
-- that is derived from it.
ALTER TABLE _span ADD COLUMN half INTEGER; -- 1 the server's half, null the client's half or the only one

-- SQLite computes such a column for each row that it inserts. The view computes it when it is read.
ALTER TABLE _event DROP COLUMN span_hex;

-- What the records of a trace took when they were stored, so that it can be accounted for by
-- tenant. It goes with the trace, and is 0 where an older version stored them.
ALTER TABLE _trace ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
-- The same of what a process stored outside of traces, less what was deleted of it.
ALTER TABLE _process ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

-- The clock when the mark was set, where `time` may be ahead of it: what was stored between two
-- marks was stored between these.
ALTER TABLE _mark ADD COLUMN stored INTEGER;
