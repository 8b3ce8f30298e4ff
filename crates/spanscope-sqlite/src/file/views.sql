-- The views, which are the contract: what they show may grow, and what they have shown stays. Every version recreates
-- them after its tables.


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
    CASE WHEN e.span_id IS NOT NULL THEN printf('%016x', e.span_id) END AS span_id,
    COALESCE(e.attributes, '{}') AS attributes
FROM _event e
JOIN _callsite c ON c.id = e.callsite
LEFT JOIN _process p ON p.id = e.process
LEFT JOIN _trace t ON t.id = e.trace;

-- As Llama Stack has them: message and severity among the attributes. Events of spans that were never
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
