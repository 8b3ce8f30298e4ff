-- Version 4 of the span store: tenants, and what other programs send.

-- Whose a trace is. 0 is the tenant of all that names none.
CREATE TABLE _tenant (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO _tenant VALUES (0, 'default');

-- How far ahead of the clock of whoever stored it something began, at most: marks tell what was stored until a time, and what
-- begins later than it is stored has to be looked for before them.
ALTER TABLE _given ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0;
-- Names this file. A program that writes it and sends what it writes says so by this name, and nothing is stored twice.
ALTER TABLE _given ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE _given SET name = lower(hex(randomblob(16)));

-- A row of _process stands for a program that writes this file, or for a sender: a tenant's program (its resource) and a
-- library in it (its scope).
ALTER TABLE _process ADD COLUMN tenant INTEGER NOT NULL DEFAULT 0;
ALTER TABLE _process ADD COLUMN resource TEXT; -- JSON object; null for programs of older versions that wrote this file
ALTER TABLE _process ADD COLUMN scope TEXT;    -- JSON object of a sender; null for programs that write this file
ALTER TABLE _process ADD COLUMN expires INTEGER; -- the latest time to live of a record that brought one
CREATE UNIQUE INDEX _process_sender ON _process (tenant, resource, scope, service_name) WHERE resource IS NOT NULL;

-- Two tenants may send the same trace id, and neither learns of the other: so the id is unique in a tenant.
CREATE TABLE _trace_4 (
    id          INTEGER PRIMARY KEY,
    trace_id    TEXT NOT NULL,
    start       INTEGER NOT NULL,           -- of its earliest span
    end         INTEGER NOT NULL,           -- latest moment known: an end, or the start of a running span
    root        INTEGER,                    -- _span.id of the earliest span without a local parent
    root_start  INTEGER,
    span_count  INTEGER NOT NULL,
    error_count INTEGER NOT NULL,
    open_count  INTEGER NOT NULL,           -- spans without an end
    created     INTEGER NOT NULL,
    timestamp   TEXT GENERATED ALWAYS AS (
        strftime('%Y-%m-%d %H:%M:%S', start / 1000000000 - (start % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (start % 1000000000 + 1000000000) % 1000000000 / 1000)
    ) VIRTUAL,
    tenant      INTEGER NOT NULL DEFAULT 0,
    local       INTEGER NOT NULL DEFAULT 0, -- 1 if a program that writes this file has a part in it
    expires     INTEGER,                    -- the latest time to live of a span that brought one
    UNIQUE (trace_id, tenant)
);
INSERT INTO _trace_4 (id, trace_id, start, end, root, root_start, span_count, error_count, open_count, created, local)
    SELECT id, trace_id, start, end, root, root_start, span_count, error_count, open_count, created, 1 FROM _trace;
DROP TABLE _trace;
ALTER TABLE _trace_4 RENAME TO _trace;
CREATE INDEX _trace_start ON _trace (start);
CREATE INDEX _trace_timestamp ON _trace (timestamp);
CREATE INDEX _trace_tenant ON _trace (tenant, start);
CREATE INDEX _trace_expires ON _trace (expires) WHERE expires IS NOT NULL;

-- A tenant's metric has the unit and the kind that the tenant gave it first.
CREATE TABLE _metric_4 (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL,
    unit   TEXT NOT NULL,          -- empty while none was given
    kind   TEXT NOT NULL,          -- counter, gauge or histogram
    tenant INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, tenant)
);
INSERT INTO _metric_4 (id, name, unit, kind) SELECT id, name, unit, kind FROM _metric;
DROP TABLE _metric;
ALTER TABLE _metric_4 RENAME TO _metric;

-- The span ids of SDKs are random, and an index of all of them would be written to everywhere: 2 KB a span at a million of them. So
-- there is one index for each segment of 65,536 rows, in one: what is inserted now goes to the last segment, which is small. A
-- look-up goes through the segments, 2 µs each. SQLite does that by itself (a skip-scan) where it is told how many rows a
-- segment has; the row in its statistics tells it, to every program that opens the file.
ALTER TABLE _span ADD COLUMN segment INTEGER GENERATED ALWAYS AS (id >> 16) VIRTUAL;
DROP INDEX _span_hex;
CREATE INDEX _span_hex ON _span (segment, span_hex);
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('_span', '_span_hex', '1000000 65536 1');

-- What was sent beside a number: counts, buckets, quantiles, exemplars.
ALTER TABLE _point ADD COLUMN detail TEXT;

-- The last total of each stream of totals, to know what the next one grew by. Totals go with their sender.
CREATE TABLE _total (
    process INTEGER NOT NULL,
    stream  INTEGER NOT NULL,      -- a hash of metric, unit and labels
    since   INTEGER NOT NULL,      -- when the stream began
    time    INTEGER NOT NULL,      -- of the last total
    value   NOT NULL,
    PRIMARY KEY (process, stream)
) WITHOUT ROWID;

-- Batches of the last hour, so that one that is sent again is known.
CREATE TABLE _batch (digest BLOB PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX _batch_time ON _batch (time);

-- Traces that a `traceparent` continued under another id than the sender's own.
CREATE TABLE _continued (
    tenant    INTEGER NOT NULL,
    trace_id  TEXT NOT NULL,       -- as the sender calls it
    continues TEXT NOT NULL,
    time      INTEGER NOT NULL,
    PRIMARY KEY (tenant, trace_id)
) WITHOUT ROWID;
