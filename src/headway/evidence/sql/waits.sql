-- name: waits_sample
-- What does each client's connection to this database do now, and what does it wait for? (idle ones without statement)
-- The function and not the view pg_stat_activity, whose joins take longer to plan than to run. `texts`: of executions
-- that are new, also of sessions idle since; not those cut off, which may mean something else.
SELECT /* headway */ COALESCE(NULLIF(a.application_name, ''), pg_catalog.pg_get_userbyid(a.usesysid)) AS client, a.state, a.wait_event_type,
       a.wait_event, CASE WHEN a.state <> 'idle' THEN a.query_id END AS query_id, count(*)::int AS seen,
       (count(*) FILTER (WHERE a.state = 'idle' AND pg_catalog.clock_timestamp() - a.state_change
                                                    > %(spare_s)s * interval '1 second'))::int AS spare,
       COALESCE(max(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.state_change)), 0)::float8 AS longest_s,
       json_agg(json_build_array(EXTRACT(epoch FROM a.query_start)::float8, a.query_id, a.query))
         FILTER (WHERE a.query_id <> ALL (%(enough)s::bigint[])
                   AND (%(only)s::bigint[] IS NULL OR a.query_id = ANY (%(only)s::bigint[]))
                   AND EXTRACT(epoch FROM a.query_start)::float8 > %(since_s)s
                   AND octet_length(a.query) < (SELECT pg_catalog.pg_size_bytes(  -- once a look, not once a session
                           pg_catalog.current_setting('track_activity_query_size')) - 1)) AS texts
  FROM pg_catalog.pg_stat_get_activity(NULL) a
 WHERE a.datid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
   AND a.backend_type = 'client backend'
   AND a.application_name <> 'headway'
 GROUP BY 1, 2, 3, 4, 5;

-- name: waits_blockers
-- Who waits for a lock in this database, whom for, and what do they run? Asked only when somebody was seen waiting.
WITH locks AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks),
     activity AS MATERIALIZED (SELECT * FROM pg_catalog.pg_stat_get_activity(NULL)),
     waiting AS MATERIALIZED (
         SELECT l.pid, l.locktype, l.mode, l.waitstart, pg_catalog.pg_blocking_pids(l.pid) AS holders,
                COALESCE(l.relation, (SELECT t.relation FROM locks t
                                       WHERE t.pid = l.pid AND t.granted AND t.locktype = 'tuple' LIMIT 1)) AS relation
           FROM locks l JOIN activity a ON a.pid = l.pid
          WHERE NOT l.granted
            AND a.datid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
          LIMIT 100)
SELECT /* headway */ a.pid, a.state, a.backend_type, a.query_id, pg_catalog.left(a.query, 2000) AS query,
       w.holders, w.locktype, w.mode, n.nspname AS schema, c.relname AS name,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - w.waitstart)::float8 AS waited_s
  FROM activity a
  LEFT JOIN waiting w ON w.pid = a.pid
  LEFT JOIN pg_catalog.pg_class c ON c.oid = w.relation
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE w.pid IS NOT NULL OR a.pid IN (SELECT pg_catalog.unnest(v.holders) FROM waiting v);

-- name: waits_texts
-- What are the texts of these statements?
SELECT /* headway */ DISTINCT ON (queryid) queryid, query
  FROM {schema}.pg_stat_statements(true)
 WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND queryid = ANY(%(ids)s);
