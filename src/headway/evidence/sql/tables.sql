-- name: tables_counters
-- How was each user table read and written since its counters began?
SELECT /* headway */ s.relid, s.seq_scan, s.seq_tup_read, COALESCE(s.idx_scan, 0) AS idx_scan, s.n_tup_ins, s.n_tup_upd,
       s.n_tup_hot_upd, s.n_tup_del,
       COALESCE(i.heap_blks_hit, 0) + COALESCE(i.idx_blks_hit, 0) + COALESCE(i.toast_blks_hit, 0)
         + COALESCE(i.tidx_blks_hit, 0) AS blks_hit,
       COALESCE(i.heap_blks_read, 0) + COALESCE(i.idx_blks_read, 0) + COALESCE(i.toast_blks_read, 0)
         + COALESCE(i.tidx_blks_read, 0) AS blks_read
  FROM pg_catalog.pg_stat_user_tables s
  JOIN pg_catalog.pg_statio_user_tables i ON i.relid = s.relid;

-- name: tables_sizes
-- How large is each user table, how many usable indexes has it, and what would its rows fill? (-1 rows: never analysed)
SELECT /* headway */ s.relid, s.schemaname, s.relname, c.reltuples, s.n_live_tup, s.n_dead_tup,
       pg_catalog.pg_table_size(s.relid) AS size_bytes, pg_catalog.pg_relation_size(s.relid) AS heap_bytes,
       (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = s.relid AND i.indisvalid) AS indexes,
       s.seq_scan, s.seq_tup_read, COALESCE(s.idx_scan, 0) AS idx_scan, s.n_tup_ins, s.n_tup_upd, s.n_tup_hot_upd,
       s.n_tup_del,
       COALESCE(o.heap_blks_hit, 0) + COALESCE(o.idx_blks_hit, 0) + COALESCE(o.toast_blks_hit, 0)
         + COALESCE(o.tidx_blks_hit, 0) AS blks_hit,
       COALESCE(o.heap_blks_read, 0) + COALESCE(o.idx_blks_read, 0) + COALESCE(o.toast_blks_read, 0)
         + COALESCE(o.tidx_blks_read, 0) AS blks_read,
       COALESCE((SELECT split_part(each, '=', 2)::int FROM pg_catalog.unnest(c.reloptions) each
                  WHERE each LIKE 'fillfactor=%'), 100) AS fillfactor,
       (SELECT sum((1 - w.null_frac) * w.avg_width)::float8 FROM pg_catalog.pg_stats w
         WHERE w.schemaname = s.schemaname AND w.tablename = s.relname AND NOT w.inherited
        HAVING count(*) = (SELECT count(*) FROM pg_catalog.pg_attribute a
                            WHERE a.attrelid = s.relid AND a.attnum > 0 AND NOT a.attisdropped)) AS row_bytes
  FROM pg_catalog.pg_stat_user_tables s
  JOIN pg_catalog.pg_statio_user_tables o ON o.relid = s.relid
  JOIN pg_catalog.pg_class c ON c.oid = s.relid;

-- name: tables_rows
-- How many rows has each table and partition, by name? (-1: never analysed)
SELECT /* headway */ n.nspname AS schema, c.relname AS name, c.reltuples, s.n_live_tup
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
 WHERE c.relkind IN ('r', 'm', 'p', 'f', 't');
