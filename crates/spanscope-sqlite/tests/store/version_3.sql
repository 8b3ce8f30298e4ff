-- The schema of version 3, as that version made it: what a file of an older program is.
-- The span store, version 1. Tables whose names begin with _ are ours to change; the views are the contract.
--
-- Every key that grows row by row is a growing integer, and span ids of one process are given out in growing order
-- too, so that an insert appends to the right edge of each tree: random 16-byte keys were measured at a tenth of the
-- speed and at six times the bytes written.

-- One row a process and opening of the file. It tells running spans from abandoned ones and holds the account:
-- offered = stored + dropped_*.
CREATE TABLE _process (
    id                   INTEGER PRIMARY KEY,
    service_name         TEXT NOT NULL,
    pid                  INTEGER NOT NULL,
    started_at           INTEGER NOT NULL, -- nanoseconds since 1970, as all times in tables
    seen_at              INTEGER NOT NULL, -- renewed every 5 s while it has running spans in the store
    ended_at             INTEGER,          -- set by an orderly end
    offered              INTEGER NOT NULL DEFAULT 0,
    stored               INTEGER NOT NULL DEFAULT 0,
    dropped_queue_full   INTEGER NOT NULL DEFAULT 0,
    dropped_write_failed INTEGER NOT NULL DEFAULT 0,
    dropped_shutdown     INTEGER NOT NULL DEFAULT 0
);

-- What all spans or events of one place in a program have in common.
CREATE TABLE _callsite (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,    -- a span's name; an event's is empty unless the program named it
    target   TEXT NOT NULL,
    level    INTEGER NOT NULL, -- OpenTelemetry severity number
    category TEXT NOT NULL,
    UNIQUE (name, target, level, category)
);

CREATE TABLE _trace (
    id          INTEGER PRIMARY KEY,
    trace_id    TEXT NOT NULL UNIQUE,
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
    ) VIRTUAL
);
CREATE INDEX _trace_start ON _trace (start);
CREATE INDEX _trace_timestamp ON _trace (timestamp);

CREATE TABLE _span (
    id         INTEGER PRIMARY KEY,         -- grows in the order of storing
    callsite   INTEGER NOT NULL,
    name       TEXT,                        -- only where it differs from the callsite's
    start      INTEGER NOT NULL,
    duration   INTEGER,                     -- nanoseconds; null while it runs
    status     INTEGER,                     -- 0 ok, 1 error; null while it runs
    trace      INTEGER NOT NULL,
    process    INTEGER NOT NULL,
    kind       INTEGER NOT NULL,            -- 0 internal, 1 server, 2 client, 3 producer, 4 consumer
    span_id    INTEGER NOT NULL,            -- the 8 bytes as a signed number
    parent     INTEGER,                     -- likewise
    attributes TEXT NOT NULL,               -- JSON object
    extra      TEXT,                        -- JSON object: status_message, links
    category   TEXT,                        -- only where a field said it
    span_hex   TEXT GENERATED ALWAYS AS (printf('%016x', span_id)) VIRTUAL
);
CREATE INDEX _span_trace ON _span (trace);
CREATE INDEX _span_hex ON _span (span_hex);
-- Slow spans are few, so this costs nothing where nothing is slow. Queries use it by repeating the literal.
CREATE INDEX _span_slow ON _span (duration) WHERE duration >= 1000000000;
CREATE INDEX _span_open ON _span (process) WHERE duration IS NULL;

CREATE TABLE _event (
    id         INTEGER PRIMARY KEY,         -- grows in the order of storing
    callsite   INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    trace      INTEGER,                     -- null outside of every span
    span_id    INTEGER,                     -- the 8 bytes as a signed number
    process    INTEGER NOT NULL,
    severity   INTEGER,                     -- OpenTelemetry number, only where it differs from the callsite's
    name       TEXT,                        -- only where it differs from the callsite's
    message    TEXT NOT NULL,
    attributes TEXT,                        -- JSON object; null if empty
    expires    INTEGER,                     -- nanoseconds since 1970, where the event brought a ttl
    category   TEXT,                        -- only where a field said it
    span_hex   TEXT GENERATED ALWAYS AS (CASE WHEN span_id IS NOT NULL THEN printf('%016x', span_id) END) VIRTUAL
);
-- A span's events are found through its trace: an index by span would cost 28 bytes an event, this one 12.
CREATE INDEX _event_trace ON _event (trace) WHERE trace IS NOT NULL;
CREATE INDEX _event_expires ON _event (expires) WHERE expires IS NOT NULL;
-- Events of traces go with their traces; the others go by age.
CREATE INDEX _event_loose ON _event (time) WHERE trace IS NULL;

-- Values of the attributes that the configuration names, so that asking for one of them is a look-up.
CREATE TABLE _attr_key (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE _attr (
    key   INTEGER NOT NULL,
    value NOT NULL,                         -- text or number as it is; truth values are not kept here
    span  INTEGER NOT NULL,                 -- _span.id
    PRIMARY KEY (key, value, span)
) WITHOUT ROWID;
CREATE INDEX _attr_span ON _attr (span);

-- Everything stored before a mark began before the mark's time: `time` is the largest start and the latest clock
-- reading seen until then. So "since" needs no index on the start of each span, which would cost 15 bytes a span.
CREATE TABLE _mark (time INTEGER PRIMARY KEY, span INTEGER NOT NULL, event INTEGER NOT NULL);

CREATE VIEW traces AS
SELECT
    t.trace_id,
    p.service_name,
    r.span_hex AS root_span_id,
    t.timestamp AS start_time,
    CASE WHEN t.open_count = 0 THEN
        strftime('%Y-%m-%d %H:%M:%S', t.end / 1000000000 - (t.end % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (t.end % 1000000000 + 1000000000) % 1000000000 / 1000)
    END AS end_time,
    strftime('%Y-%m-%d %H:%M:%S', t.created / 1000000000 - (t.created % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (t.created % 1000000000 + 1000000000) % 1000000000 / 1000) AS created_at,
    t.timestamp,
    CASE WHEN t.open_count = 0 THEN (t.end - t.start) / 1e6 END AS duration_ms,
    CASE WHEN t.error_count > 0 THEN 'error' WHEN t.open_count = 0 THEN 'ok' END AS status,
    t.span_count
FROM _trace t
LEFT JOIN _span r ON r.id = COALESCE(t.root, (SELECT id FROM _span WHERE trace = t.id ORDER BY start, id LIMIT 1))
LEFT JOIN _process p ON p.id = r.process;

CREATE VIEW spans AS
SELECT
    s.span_hex AS span_id,
    t.trace_id,
    CASE WHEN s.parent IS NOT NULL THEN printf('%016x', s.parent) END AS parent_span_id,
    COALESCE(s.name, c.name) AS name,
    strftime('%Y-%m-%d %H:%M:%S', s.start / 1000000000 - (s.start % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (s.start % 1000000000 + 1000000000) % 1000000000 / 1000) AS start_time,
    CASE WHEN s.duration IS NOT NULL THEN
        strftime('%Y-%m-%d %H:%M:%S', (s.start + s.duration) / 1000000000
            - ((s.start + s.duration) % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', ((s.start + s.duration) % 1000000000 + 1000000000) % 1000000000 / 1000)
    END AS end_time,
    s.attributes,
    CASE s.status WHEN 0 THEN 'ok' WHEN 1 THEN 'error' END AS status,
    CASE s.kind WHEN 1 THEN 'server' WHEN 2 THEN 'client' WHEN 3 THEN 'producer' WHEN 4 THEN 'consumer'
        ELSE 'internal' END AS kind,
    s.duration / 1e6 AS duration_ms,
    CASE
        WHEN s.duration IS NOT NULL THEN 'ended'
        WHEN p.ended_at IS NULL AND p.seen_at >= (unixepoch('now') - 15) * 1000000000 THEN 'running'
        ELSE 'abandoned'
    END AS state,
    p.service_name,
    c.target,
    CASE c.level WHEN 1 THEN 'verbose' WHEN 5 THEN 'debug' WHEN 13 THEN 'warn' WHEN 17 THEN 'error'
        WHEN 21 THEN 'critical' ELSE 'info' END AS level,
    COALESCE(s.category, c.category) AS category,
    s.extra ->> '$.status_message' AS status_message,
    s.extra -> '$.links' AS links
FROM _span s
JOIN _trace t ON t.id = s.trace
JOIN _callsite c ON c.id = s.callsite
JOIN _process p ON p.id = s.process;

CREATE VIEW logs AS
SELECT
    e.id,
    strftime('%Y-%m-%d %H:%M:%S', e.time / 1000000000 - (e.time % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (e.time % 1000000000 + 1000000000) % 1000000000 / 1000) AS timestamp,
    CASE COALESCE(e.severity, c.level) WHEN 1 THEN 'verbose' WHEN 5 THEN 'debug' WHEN 13 THEN 'warn'
        WHEN 17 THEN 'error' WHEN 21 THEN 'critical' ELSE 'info' END AS severity,
    COALESCE(e.name, c.name) AS name,
    e.message,
    c.target,
    COALESCE(e.category, c.category) AS category,
    p.service_name,
    t.trace_id,
    e.span_hex AS span_id,
    COALESCE(e.attributes, '{}') AS attributes
FROM _event e
JOIN _callsite c ON c.id = e.callsite
JOIN _process p ON p.id = e.process
LEFT JOIN _trace t ON t.id = e.trace;

-- As the described system keeps them: message and severity among the attributes. Events of spans that were never
-- stored are in `logs` only.
CREATE VIEW span_events AS
SELECT
    e.id,
    s.span_hex AS span_id,
    COALESCE(e.name, NULLIF(c.name, ''), 'unstructured_log') AS name,
    strftime('%Y-%m-%d %H:%M:%S', e.time / 1000000000 - (e.time % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (e.time % 1000000000 + 1000000000) % 1000000000 / 1000) AS timestamp,
    json_insert(COALESCE(e.attributes, '{}'), '$.message', e.message, '$.severity',
        CASE COALESCE(e.severity, c.level) WHEN 1 THEN 'verbose' WHEN 5 THEN 'debug' WHEN 13 THEN 'warn'
            WHEN 17 THEN 'error' WHEN 21 THEN 'critical' ELSE 'info' END) AS attributes
FROM _span s
JOIN _event e ON e.trace = s.trace AND e.span_id = s.span_id
JOIN _callsite c ON c.id = e.callsite;
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

CREATE VIEW metrics AS
SELECT
    m.name AS metric,
    p.value,
    COALESCE(s.labels ->> '$.unit', m.unit) AS unit,
    strftime('%Y-%m-%d %H:%M:%S', p.time / 1000000000 - (p.time % 1000000000 < 0), 'unixepoch')
        || printf('.%06d', (p.time % 1000000000 + 1000000000) % 1000000000 / 1000) AS timestamp,
    p.trace_hex AS trace_id,
    p.span_hex AS span_id,
    s.labels AS attributes,
    m.kind,
    c.service_name
FROM _point p
JOIN _series s ON s.id = p.series
JOIN _metric m ON m.id = s.metric
JOIN _process c ON c.id = p.process;
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
PRAGMA application_id = 0x53705363; PRAGMA user_version = 3;
