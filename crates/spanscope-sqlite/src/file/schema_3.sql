-- Version 3 of the span store: traces that a tail rule drops.

-- offered = stored + dropped_*; a record that was written and taken back is in dropped_sampled and not in stored.
ALTER TABLE _process ADD COLUMN dropped_sampled INTEGER NOT NULL DEFAULT 0;

-- One row: the largest numbers that were given to rows and may be gone. A tail rule deletes the newest traces, and numbers
-- that were given twice would hide rows from whoever asks for what came after a number: marks, and who follows the store.
CREATE TABLE _given (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    trace INTEGER NOT NULL,
    span  INTEGER NOT NULL,
    event INTEGER NOT NULL
);
INSERT INTO _given VALUES (1, 0, 0, 0);
