-- Version 2 of the span store: metrics.
--
-- Measurements append to the right edge of each tree, as spans do. So there is no index by series and time, which would
-- grow at as many places as there are series: 1,000 of them measured five times a second would be 20 MB of pages a
-- second. What is asked by series is answered by the roll-ups, whose rows of one minute lie together.

-- The unit and the kind that were given first. A measurement in another unit has it as its label `unit`, so that the
-- two never add up; one of another kind counts as the first.
CREATE TABLE _metric (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    unit TEXT NOT NULL,            -- empty while none was given
    kind TEXT NOT NULL             -- counter, gauge or histogram
);

-- A label set that a metric has measurements of. It goes with the last of them.
CREATE TABLE _series (
    id     INTEGER PRIMARY KEY,
    metric INTEGER NOT NULL,
    labels TEXT NOT NULL,          -- JSON object by key; every value is a text
    points INTEGER NOT NULL,       -- how many there are in _point
    last   INTEGER NOT NULL,       -- when the last one was made, kept or not
    UNIQUE (metric, labels)
);

-- Measurements outlive the traces that they were made in, so they hold the ids themselves.
CREATE TABLE _point (
    id        INTEGER PRIMARY KEY, -- grows in the order of storing
    series    INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    value     NOT NULL,            -- integer or real, as it was measured
    trace     BLOB,                -- the 16 bytes
    span_id   INTEGER,             -- the 8 bytes as a signed number
    process   INTEGER NOT NULL,
    expires   INTEGER,             -- where the event brought a ttl
    trace_hex TEXT GENERATED ALWAYS AS (CASE WHEN trace IS NOT NULL THEN lower(hex(trace)) END) VIRTUAL,
    span_hex  TEXT GENERATED ALWAYS AS (CASE WHEN span_id IS NOT NULL THEN printf('%016x', span_id) END) VIRTUAL
);
CREATE INDEX _point_time ON _point (time, series);
CREATE INDEX _point_trace ON _point (trace_hex) WHERE trace_hex IS NOT NULL;
CREATE INDEX _point_expires ON _point (expires) WHERE expires IS NOT NULL;

-- What the points of a series and a minute come to, kept by the transaction that stores or deletes them. Where some of
-- them were deleted and others were not, `sum` is null and says that the points themselves have to be asked.
CREATE TABLE _rollup (
    minute    INTEGER NOT NULL,    -- since 1970
    series    INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    sum,
    least,
    greatest,
    last,
    last_time INTEGER NOT NULL,
    PRIMARY KEY (minute, series)
) WITHOUT ROWID;
