-- A file of version 5, as `.dump` of sqlite3 writes what that version stored: three spans of a sender with two scopes, a program's
-- trace with events and a measurement, and a span that still ran when the program was killed.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
, dropped_sampled INTEGER NOT NULL DEFAULT 0, tenant INTEGER NOT NULL DEFAULT 0, resource TEXT, scope TEXT, expires INTEGER);
INSERT INTO _process VALUES(1,'librarian',0,1796022595672458514,1796022595672458514,NULL,2,2,0,0,0,0,0,'{"service.name":"librarian","host.name":"shelf-1"}','{"name":"agents"}',NULL);
INSERT INTO _process VALUES(2,'librarian',0,1796022595672458514,1796022595672458514,NULL,1,1,0,0,0,0,0,'{"service.name":"librarian","host.name":"shelf-1"}','{"name":"web"}',NULL);
INSERT INTO _process VALUES(3,'shop',21617,1796022595696366571,1796022595701194306,NULL,6,6,0,0,0,0,0,NULL,NULL,NULL);
CREATE TABLE _callsite (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,    -- a span's name; an event's is empty unless the program named it
    target   TEXT NOT NULL,
    level    INTEGER NOT NULL, -- OpenTelemetry severity number
    category TEXT NOT NULL,
    UNIQUE (name, target, level, category)
);
INSERT INTO _callsite VALUES(1,'invoke_agent librarian','app',9,'uncategorized');
INSERT INTO _callsite VALUES(2,'chat tiny','app',9,'uncategorized');
INSERT INTO _callsite VALUES(3,'GET /','app',9,'uncategorized');
INSERT INTO _callsite VALUES(4,'waits','v5',9,'uncategorized');
INSERT INTO _callsite VALUES(5,'','v5',9,'uncategorized');
INSERT INTO _callsite VALUES(6,'','v5',13,'uncategorized');
INSERT INTO _callsite VALUES(7,'step','v5',9,'uncategorized');
INSERT INTO _callsite VALUES(8,'request','v5',9,'uncategorized');
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
, segment INTEGER GENERATED ALWAYS AS (id >> 16) VIRTUAL);
INSERT INTO _span VALUES(1,1,NULL,1796000000000000000,250000000,0,1,1,0,1,NULL,'{"gen_ai.operation.name":"invoke_agent","gen_ai.agent.name":"librarian","session_id":"s-1","user_id":"ada","task_id":"t"}',NULL,NULL);
INSERT INTO _span VALUES(2,2,NULL,1796000000020000000,250000000,0,1,1,0,2,1,'{"gen_ai.operation.name":"chat"}',NULL,NULL);
INSERT INTO _span VALUES(3,3,NULL,1796000000040000000,250000000,0,2,2,0,1,NULL,'{}',NULL,NULL);
INSERT INTO _span VALUES(4,4,NULL,1796022595696590731,NULL,NULL,3,3,0,-6222543286139297789,NULL,'{}',NULL,NULL);
INSERT INTO _span VALUES(5,7,NULL,1796022595696584081,3415,0,4,3,0,-6222543286139297790,-6222543286139297791,'{"position":1}',NULL,NULL);
INSERT INTO _span VALUES(6,8,NULL,1796022595696575729,14401,0,4,3,0,-6222543286139297791,NULL,'{"session.id":"session-1"}',NULL,NULL);
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
INSERT INTO _event VALUES(1,5,1796022595696563220,NULL,NULL,3,NULL,NULL,'before everything',NULL,NULL,NULL);
INSERT INTO _event VALUES(2,5,1796022595696585554,4,-6222543286139297790,3,NULL,NULL,'chunk was read','{"chunk":7}',NULL,NULL);
INSERT INTO _event VALUES(3,6,1796022595696586475,4,-6222543286139297790,3,NULL,NULL,'counted','{"metric":"books","value":3,"unit":"books","shelf":"a"}',NULL,NULL);
INSERT INTO _event VALUES(4,5,1796022595696591252,3,-6222543286139297789,3,NULL,NULL,'inside',NULL,NULL,NULL);
CREATE TABLE _attr_key (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
INSERT INTO _attr_key VALUES(1,'agent_id');
INSERT INTO _attr_key VALUES(2,'conversation_id');
INSERT INTO _attr_key VALUES(3,'gen_ai.agent.id');
INSERT INTO _attr_key VALUES(4,'gen_ai.agent.name');
INSERT INTO _attr_key VALUES(5,'gen_ai.conversation.id');
INSERT INTO _attr_key VALUES(6,'gen_ai.provider.name');
INSERT INTO _attr_key VALUES(7,'gen_ai.request.model');
INSERT INTO _attr_key VALUES(8,'gen_ai.response.model');
INSERT INTO _attr_key VALUES(9,'model_id');
INSERT INTO _attr_key VALUES(10,'provider_id');
INSERT INTO _attr_key VALUES(11,'session.id');
INSERT INTO _attr_key VALUES(12,'session_id');
INSERT INTO _attr_key VALUES(13,'task_id');
INSERT INTO _attr_key VALUES(14,'tenant_id');
INSERT INTO _attr_key VALUES(15,'user.id');
INSERT INTO _attr_key VALUES(16,'user_id');
CREATE TABLE _attr (
    key   INTEGER NOT NULL,
    value NOT NULL,                         -- text or number as it is; truth values are not kept here
    span  INTEGER NOT NULL,                 -- _span.id
    PRIMARY KEY (key, value, span)
) WITHOUT ROWID;
INSERT INTO _attr VALUES(4,'librarian',1);
INSERT INTO _attr VALUES(12,'s-1',1);
INSERT INTO _attr VALUES(13,'t',1);
INSERT INTO _attr VALUES(16,'ada',1);
INSERT INTO _attr VALUES(11,'session-1',6);
CREATE TABLE _mark (time INTEGER PRIMARY KEY, span INTEGER NOT NULL, event INTEGER NOT NULL);
INSERT INTO _mark VALUES(1796022595672458514,1,1);
CREATE TABLE _series (
    id     INTEGER PRIMARY KEY,
    metric INTEGER NOT NULL,
    labels TEXT NOT NULL,          -- JSON object by key; every value is a text
    points INTEGER NOT NULL,       -- how many there are in _point
    last   INTEGER NOT NULL,       -- when the last one was made, kept or not
    UNIQUE (metric, labels)
);
INSERT INTO _series VALUES(1,1,'{"shelf":"a"}',1,1796022595696586475);
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
, detail TEXT);
INSERT INTO _point VALUES(1,1,1796022595696586475,3,X'6b0d21431899fb6e8c72b372cadb58f5',-6222543286139297790,3,NULL,NULL);
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
INSERT INTO _rollup VALUES(29933709,1,1,3,3,3,3,1796022595696586475);
CREATE TABLE _given (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    trace INTEGER NOT NULL,
    span  INTEGER NOT NULL,
    event INTEGER NOT NULL
, ahead INTEGER NOT NULL DEFAULT 0, name TEXT NOT NULL DEFAULT '');
INSERT INTO _given VALUES(1,0,0,0,0,'9aef064feeb5d754fc550648e778735a');
CREATE TABLE _tenant (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO _tenant VALUES(0,'default');
CREATE TABLE IF NOT EXISTS "_trace" (
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
INSERT INTO _trace VALUES(1,'00000000000000000000000000000001',1796000000000000000,1796000000270000000,1,1796000000000000000,2,0,0,1796022595673181894,0,0,NULL);
INSERT INTO _trace VALUES(2,'00000000000000000000000000000002',1796000000040000000,1796000000290000000,3,1796000000040000000,1,0,0,1796022595673181894,0,0,NULL);
INSERT INTO _trace VALUES(3,'6b0d21431899fb6e77eaafe679618486',1796022595696590731,1796022595696591252,4,1796022595696590731,1,0,1,1796022595701105573,0,1,NULL);
INSERT INTO _trace VALUES(4,'6b0d21431899fb6e8c72b372cadb58f5',1796022595696575729,1796022595696590130,6,1796022595696575729,2,0,0,1796022595701105573,0,1,NULL);
CREATE TABLE IF NOT EXISTS "_metric" (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL,
    unit   TEXT NOT NULL,          -- empty while none was given
    kind   TEXT NOT NULL,          -- counter, gauge or histogram
    tenant INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, tenant)
);
INSERT INTO _metric VALUES(1,'books','books','gauge',0);
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 VALUES('_span','_span_hex','1000000 65536 1');
ANALYZE sqlite_schema;
CREATE TABLE _total (
    process INTEGER NOT NULL,
    stream  INTEGER NOT NULL,      -- a hash of metric, unit and labels
    since   INTEGER NOT NULL,      -- when the stream began
    time    INTEGER NOT NULL,      -- of the last total
    value   NOT NULL,
    PRIMARY KEY (process, stream)
) WITHOUT ROWID;
CREATE TABLE _batch (digest BLOB PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE _continued (
    tenant    INTEGER NOT NULL,
    trace_id  TEXT NOT NULL,       -- as the sender calls it
    continues TEXT NOT NULL,
    time      INTEGER NOT NULL,
    PRIMARY KEY (tenant, trace_id)
) WITHOUT ROWID;
CREATE TABLE _run (
    id          INTEGER PRIMARY KEY,
    trace       INTEGER NOT NULL,
    task_id     TEXT NOT NULL,
    said        INTEGER NOT NULL,           -- 1 if a span says it, 0 if it is the trace's id
    tenant      INTEGER NOT NULL,           -- the trace's
    start       INTEGER NOT NULL,
    agent_id    TEXT NOT NULL,              -- empty if no span says it, as the following
    session_id  TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    trace_level TEXT NOT NULL,
    rank        INTEGER NOT NULL,           -- of the span that these were taken from: 2 a root, 1 an agent, 0 a step
    head        INTEGER NOT NULL,           -- _span.id of the span that the run is called by
    head_start  INTEGER NOT NULL,
    state       INTEGER NOT NULL,           -- 0 the head has no end, 1 it ended, 2 it failed
    hidden      INTEGER NOT NULL DEFAULT 0, -- 1 if other runs of the trace have a task_id and this one has not
    shared      INTEGER NOT NULL DEFAULT 0, -- 1 if other runs of the trace have a task_id too
    parts       INTEGER NOT NULL DEFAULT 0  -- 1 if another trace of the tenant has the same task_id
);
INSERT INTO _run VALUES(1,1,'t',1,0,1796000000000000000,'librarian','s-1','ada','',2,1,1796000000000000000,1,0,0,0);
INSERT INTO _run VALUES(2,1,'00000000000000000000000000000001',0,0,1796000000000000000,'','','','',0,1,1796000000000000000,1,1,0,0);
CREATE TABLE _ended (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    trace INTEGER NOT NULL,
    span  INTEGER NOT NULL                  -- _span.id
);
DELETE FROM sqlite_sequence;
CREATE INDEX _span_trace ON _span (trace);
CREATE INDEX _span_slow ON _span (duration) WHERE duration >= 1000000000;
CREATE INDEX _span_open ON _span (process) WHERE duration IS NULL;
CREATE INDEX _event_trace ON _event (trace) WHERE trace IS NOT NULL;
CREATE INDEX _event_expires ON _event (expires) WHERE expires IS NOT NULL;
CREATE INDEX _event_loose ON _event (time) WHERE trace IS NULL;
CREATE INDEX _attr_span ON _attr (span);
CREATE INDEX _point_time ON _point (time, series);
CREATE INDEX _point_trace ON _point (trace_hex) WHERE trace_hex IS NOT NULL;
CREATE INDEX _point_expires ON _point (expires) WHERE expires IS NOT NULL;
CREATE UNIQUE INDEX _process_sender ON _process (tenant, resource, scope, service_name) WHERE resource IS NOT NULL;
CREATE INDEX _trace_start ON _trace (start);
CREATE INDEX _trace_timestamp ON _trace (timestamp);
CREATE INDEX _trace_tenant ON _trace (tenant, start);
CREATE INDEX _trace_expires ON _trace (expires) WHERE expires IS NOT NULL;
CREATE INDEX _span_hex ON _span (segment, span_hex);
CREATE INDEX _batch_time ON _batch (time);
CREATE INDEX _run_trace ON _run (trace);
CREATE INDEX _run_task ON _run (task_id, tenant);
CREATE INDEX _run_tenant ON _run (tenant, start) WHERE hidden = 0;
CREATE INDEX _run_start ON _run (start) WHERE hidden = 0;
CREATE INDEX _ended_trace ON _ended (trace);
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
    COALESCE(p.service_name, '') AS service_name,
    c.target,
    CASE c.level WHEN 1 THEN 'verbose' WHEN 5 THEN 'debug' WHEN 13 THEN 'warn' WHEN 17 THEN 'error'
        WHEN 21 THEN 'critical' ELSE 'info' END AS level,
    COALESCE(s.category, c.category) AS category,
    s.extra ->> '$.status_message' AS status_message,
    s.extra -> '$.links' AS links,
    s.extra ->> '$.trace_state' AS trace_state,
    p.resource,
    p.scope
FROM _span s
JOIN _trace t ON t.id = s.trace
JOIN _callsite c ON c.id = s.callsite
LEFT JOIN _process p ON p.id = s.process;
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
    COALESCE(p.service_name, '') AS service_name,
    t.trace_id,
    e.span_hex AS span_id,
    COALESCE(e.attributes, '{}') AS attributes
FROM _event e
JOIN _callsite c ON c.id = e.callsite
LEFT JOIN _process p ON p.id = e.process
LEFT JOIN _trace t ON t.id = e.trace;
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
    COALESCE(c.service_name, '') AS service_name,
    p.detail
FROM _point p
JOIN _series s ON s.id = p.series
JOIN _metric m ON m.id = s.metric
LEFT JOIN _process c ON c.id = p.process;
COMMIT;
PRAGMA application_id = 0x53705363; PRAGMA user_version = 5;
