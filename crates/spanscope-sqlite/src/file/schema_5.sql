-- Version 5 of the span store: agent runs, and the order in which spans ended.

-- A row for each run of a trace: one for each `task_id` that its spans say, and one called by the trace's id where a span tells of
-- agents and says none. Kept by whoever writes spans, so that a list of runs needs to look at no span.
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
CREATE INDEX _run_trace ON _run (trace);
CREATE INDEX _run_task ON _run (task_id, tenant);
CREATE INDEX _run_tenant ON _run (tenant, start) WHERE hidden = 0;
CREATE INDEX _run_start ON _run (start) WHERE hidden = 0;

-- A span that was stored while it ran keeps its number when it ends; the end gets one here, so that whoever follows a trace can
-- tell what is new. Numbers are never given again.
CREATE TABLE _ended (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    trace INTEGER NOT NULL,
    span  INTEGER NOT NULL                  -- _span.id
);
CREATE INDEX _ended_trace ON _ended (trace);
