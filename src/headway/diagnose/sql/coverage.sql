-- name: seen
-- Of one stretch of time: spans, how many of them lost their parent, calls of databases, and how many have their text.
SELECT count(*) AS spans,
       count(*) FILTER (parent_id IS NOT NULL AND coalesce(kind, 0) NOT IN (2, 5) AND NOT EXISTS (
         SELECT 1 FROM read_parquet($file) p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_id)) AS orphans,
       count(*) FILTER (system IS NOT NULL AND NOT list_contains($caches, system::VARCHAR)) AS database_spans,
       count(*) FILTER (system IS NOT NULL AND NOT list_contains($caches, system::VARCHAR) AND statement IS NOT NULL)
         AS with_text
FROM read_parquet($file) s WHERE start_ns BETWEEN $low AND $high
