-- name: indexes
-- Which indexes have the user tables, of what, how large, and how often were they used since the statistics began?
-- Never reset: since the server started at least.
SELECT /* headway */ n.nspname AS schema, t.relname AS table_name, i.relname AS name, m.amname AS method,
       x.indisunique AS is_unique, x.indisprimary AS is_primary, x.indisvalid AS is_valid,
       x.indisexclusion OR EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conindid = i.oid) AS is_constraint,
       pg_catalog.pg_get_indexdef(i.oid) AS definition,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.oid, k, true)
               FROM pg_catalog.generate_series(1, x.indnkeyatts::int) k) AS columns,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.oid, k, true)
               FROM pg_catalog.generate_series(x.indnkeyatts + 1, x.indnatts::int) k) AS included,
       ARRAY(SELECT (x.indoption[k - 1] & 1) = 1
               FROM pg_catalog.generate_series(1, x.indnkeyatts::int) k) AS descending,
       pg_catalog.pg_get_expr(x.indpred, x.indrelid, true) AS predicate,
       pg_catalog.pg_relation_size(i.oid) AS size_bytes, COALESCE(s.idx_scan, 0) AS scans,
       COALESCE((SELECT d.stats_reset FROM pg_catalog.pg_stat_database d
                  WHERE d.datname = pg_catalog.current_database()),
                pg_catalog.pg_postmaster_start_time()) AS counted_since
  FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_catalog.pg_am m ON m.oid = i.relam
  LEFT JOIN pg_catalog.pg_stat_user_indexes s ON s.indexrelid = i.oid
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
 ORDER BY n.nspname, t.relname, i.relname
 LIMIT 10000;

-- name: indexes_columns
-- What is known of the columns of the user tables? Of values nothing but how many and how alike they are.
SELECT /* headway */ n.nspname AS schema, t.relname AS table_name, a.attname AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       s.null_frac, s.n_distinct, s.most_common_freqs[1] AS commonest, s.correlation, s.avg_width
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class t ON t.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
  LEFT JOIN pg_catalog.pg_stats s
         ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = a.attname
        AND s.inherited = (t.relkind = 'p')
 WHERE t.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
 ORDER BY n.nspname, t.relname, a.attnum
 LIMIT 20000;
