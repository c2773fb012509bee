-- name: requests
-- Every request: a server's or consumer's span, or a root that is no call to others.
CREATE TEMP VIEW requests AS
SELECT trace_id, coalesce(route, name) AS route, service, start_ns, duration_ns
FROM spans
WHERE kind IN (2, 5) OR (parent_id IS NULL AND kind NOT IN (3, 4))

-- name: route_times
-- How long each route's requests took in one stretch of time, and which of them are in the middle and among the slowest.
WITH those AS (
    SELECT route, service, duration_ns FROM requests WHERE start_ns >= $begin AND start_ns < $end
), bounds AS (
    SELECT route, service,
           quantile_cont(duration_ns, 0.4) AS low, quantile_cont(duration_ns, 0.6) AS high,
           quantile_cont(duration_ns, 0.95) AS slow
    FROM those GROUP BY ALL
)
SELECT route, service, count(*) AS requests, sum(duration_ns)::DOUBLE AS total_ns, any_value(low) AS low_ns,
       any_value(high) AS high_ns, any_value(slow) AS slow_ns,
       coalesce(sum(duration_ns) FILTER (duration_ns BETWEEN low AND high), 0)::DOUBLE AS middle_total_ns,
       coalesce(sum(duration_ns) FILTER (duration_ns >= slow), 0)::DOUBLE AS slow_total_ns
FROM those JOIN bounds USING (route, service)
GROUP BY ALL

-- name: chosen
-- Traces in which a statement comes twice: of each route so many, drawn by a hash, with how many each of them stands for.
CREATE TEMP TABLE chosen AS
WITH repeated AS (
    SELECT trace_id FROM spans WHERE statement IS NOT NULL GROUP BY trace_id, statement HAVING count(*) >= 2
), sized AS (
    SELECT trace_id, count(*) AS spans,
           coalesce(arg_min(coalesce(route, name), start_ns) FILTER (kind IN (2, 5)), arg_min(name, start_ns)) AS route
    FROM spans SEMI JOIN repeated USING (trace_id) GROUP BY trace_id
), ranked AS (
    SELECT trace_id, route, spans,
           row_number() OVER drawn AS place, sum(spans) OVER drawn AS reached, count(*) OVER (PARTITION BY route) AS n
    FROM sized
    WINDOW drawn AS (PARTITION BY route ORDER BY hash(trace_id), trace_id ROWS UNBOUNDED PRECEDING)
), kept AS (
    SELECT * FROM ranked WHERE place = 1 OR (place <= $traces AND reached <= $spans)
)
SELECT trace_id, n / count(*) OVER (PARTITION BY route) AS stands_for FROM kept

-- name: spans_of_chosen
-- Those traces' spans, trace by trace.
SELECT hash(trace_id) AS trace, hash(span_id) AS span, hash(parent_id) AS parent, parent_id IS NOT NULL AS has_parent,
       kind::BIGINT AS kind, start_ns, duration_ns, error, service, coalesce(route, name) AS route, system, statement,
       peer, code, key, rows, stands_for
FROM spans JOIN chosen USING (trace_id)
ORDER BY trace_id, start_ns
