-- name: seen
-- Of one stretch of time: spans, how many of them lost their parent, calls of databases, and how many have their text.
-- A span of getting a connection (pg-pool.connect, pg.connect) is of the database and has no statement to show.
SELECT count(*) AS spans,
       count(*) FILTER (parent_id IS NOT NULL AND coalesce(kind, 0) NOT IN (2, 5) AND NOT EXISTS (
         SELECT 1 FROM read_parquet($file) p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_id)) AS orphans,
       count(*) FILTER (of_database AND (statement IS NOT NULL OR NOT connects)) AS database_spans,
       count(*) FILTER (of_database AND statement IS NOT NULL) AS with_text
FROM (SELECT *, system IS NOT NULL AND NOT list_contains($caches, system::VARCHAR) AS of_database,
             regexp_matches(name, '(^|[^a-z])(pool|connect|getconn|acquire)([^a-z]|$)', 'i') AS connects
      FROM read_parquet($file) WHERE start_ns BETWEEN $low AND $high) s
