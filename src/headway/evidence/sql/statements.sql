-- name: statements_scope
-- Is pg_stat_statements there, where, which version, and may this role read what others ran?
SELECT /* headway */
    current_database() AS database,
    current_user AS role,
    (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
      WHERE e.extname = 'pg_stat_statements') AS schema,
    (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements') AS extension_version,
    pg_catalog.current_setting('pg_stat_statements.track', true) AS track,
    pg_catalog.current_setting('compute_query_id', true) AS compute_query_id,
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS reads_all;

-- name: statements_columns
-- Which columns does the installed version of the view have?
SELECT /* headway */ a.attname AS name
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %(schema)s AND c.relname = 'pg_stat_statements' AND a.attnum > 0 AND NOT a.attisdropped;

-- name: statements_info
-- When were the statement counters last reset, and how often were entries thrown out for lack of room?
SELECT /* headway */ dealloc, stats_reset, pg_catalog.clock_timestamp() AS now FROM {schema}.pg_stat_statements_info;

-- name: statements_counters
-- What has each statement of this database cost since its counters began? (without texts: those are a file to read)
SELECT /* headway */ userid, toplevel, queryid, calls, rows, total_exec_time, mean_exec_time, stddev_exec_time,
       min_exec_time, max_exec_time, shared_blks_hit, shared_blks_read, temp_blks_written, wal_bytes
  FROM {schema}.pg_stat_statements(false)
 WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND queryid IS NOT NULL;

-- name: statements_counters_dated
-- The same, with the times at which each statement's counters and extremes began (pg_stat_statements 1.11 and newer).
SELECT /* headway */ userid, toplevel, queryid, calls, rows, total_exec_time, mean_exec_time, stddev_exec_time,
       min_exec_time, max_exec_time, shared_blks_hit, shared_blks_read, temp_blks_written, wal_bytes,
       stats_since, minmax_stats_since
  FROM {schema}.pg_stat_statements(false)
 WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND queryid IS NOT NULL;

-- name: statements_texts
-- What are the statements' texts?
SELECT /* headway */ userid, toplevel, queryid, query
  FROM {schema}.pg_stat_statements(true)
 WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND queryid IS NOT NULL;
