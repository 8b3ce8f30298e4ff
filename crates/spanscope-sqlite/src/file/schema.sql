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
