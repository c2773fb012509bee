-- name: tables_counters
-- How was each user table read since its counters began?
SELECT /* headway */ relid, seq_scan, seq_tup_read, COALESCE(idx_scan, 0) AS idx_scan
  FROM pg_catalog.pg_stat_user_tables;

-- name: tables_sizes
-- How large is each user table, and how many usable indexes has it? (-1 rows: never analysed)
SELECT /* headway */ s.relid, s.schemaname, s.relname, c.reltuples, s.n_live_tup,
       pg_catalog.pg_table_size(s.relid) AS size_bytes,
       (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = s.relid AND i.indisvalid) AS indexes,
       s.seq_scan, s.seq_tup_read, COALESCE(s.idx_scan, 0) AS idx_scan
  FROM pg_catalog.pg_stat_user_tables s
  JOIN pg_catalog.pg_class c ON c.oid = s.relid;

-- name: tables_rows
-- How many rows has each table and partition, by name? (-1: never analysed)
SELECT /* headway */ n.nspname AS schema, c.relname AS name, c.reltuples, s.n_live_tup
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
 WHERE c.relkind IN ('r', 'm', 'p', 'f', 't');
