-- Queries for the tables that the collector's `clickhouse` exporter creates. In this folder:
--   docker compose exec -T clickhouse clickhouse-client --user otel --password otel --database otel < queries.sql

-- Tokens per model in the last 24 hours, exactly: metrics are never sampled. The counters are cumulative, so a process used what
-- its counter says now, less what it said before. One process is one service.instance.id and one StartTimeUnix.
WITH now64(9) - INTERVAL 24 HOUR AS since
SELECT model, provider, sum(used) AS tokens
FROM (
    SELECT
        Attributes['model_id'] AS model,
        Attributes['provider_id'] AS provider,
        max(Value) - maxIf(Value, TimeUnix < since) AS used
    FROM otel_metrics_sum
    WHERE MetricName = 'llama_stack_tokens_total' -- or llama_stack_prompt_tokens_total, llama_stack_completion_tokens_total
      AND TimeUnix >= since - INTERVAL 1 HOUR -- long enough to find the last point before `since`
    GROUP BY ServiceName, ResourceAttributes['service.instance.id'], StartTimeUnix, model, provider
)
GROUP BY model, provider
ORDER BY tokens DESC;

-- Calls, errors, tokens and durations per day and model, from the spans: only what sampling kept. Agents' spans repeat the sums of
-- their calls, so only model calls count. Names as ModelCall writes them; use your own if you write others.
SELECT
    toDate(Timestamp) AS day,
    SpanAttributes['gen_ai.request.model'] AS model,
    count() AS calls,
    countIf(StatusCode = 'Error') AS errors,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.input_tokens'])) AS input_tokens,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.output_tokens'])) AS output_tokens,
    round(quantile(0.95)(Duration) / 1e9, 3) AS p95_seconds
FROM otel_traces
WHERE Timestamp >= now() - INTERVAL 7 DAY
  AND SpanAttributes['gen_ai.operation.name'] IN ('chat', 'text_completion', 'generate_content')
GROUP BY day, model
ORDER BY day DESC, input_tokens DESC;

-- The slowest traces of the last hour, by their root span. The id is the one in Jaeger, on the console and in the SQLite file.
SELECT TraceId, ServiceName, SpanName, StatusCode, Duration / 1e9 AS seconds
FROM otel_traces
WHERE Timestamp >= now() - INTERVAL 1 HOUR AND ParentSpanId = ''
ORDER BY Duration DESC
LIMIT 20;

-- One trace, found by its id without reading all days: the exporter keeps a small table of when each trace was.
WITH
    '0af7651916cd43dd8448eb211c80319c' AS id,
    (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = id) AS first,
    (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = id) AS last
SELECT Timestamp, SpanId, ParentSpanId, ServiceName, SpanName, Duration / 1e6 AS ms, StatusCode, Events.Name
FROM otel_traces
WHERE TraceId = id AND Timestamp BETWEEN first AND last
ORDER BY Timestamp;

-- What was logged in that trace, from all machines.
SELECT Timestamp, ServiceName, SeverityText, Body, LogAttributes
FROM otel_logs
WHERE TraceId = '0af7651916cd43dd8448eb211c80319c'
ORDER BY Timestamp;
