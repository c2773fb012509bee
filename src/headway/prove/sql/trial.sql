-- name: set_search_path
-- Statements find their tables as the service's own session does.
SELECT pg_catalog.set_config('search_path', %(path)s, false);

-- name: set_statement_timeout
-- How long may one statement take from now on?
SELECT pg_catalog.set_config('statement_timeout', %(ms)s, false);

-- name: server_identity
-- Which running server, and which database of it, is this?
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()) AS cluster,
       pg_catalog.pg_postmaster_start_time() AS started, current_database() AS database;

-- name: source_facts
-- What must a copy of this database be like?
SELECT current_database() AS database, current_user AS role, pg_catalog.current_setting('search_path') AS search_path,
       pg_catalog.current_setting('server_version_num')::int AS version,
       pg_catalog.pg_database_size(current_database()) AS size_bytes,
       (SELECT sum(pg_catalog.pg_database_size(oid))::bigint FROM pg_catalog.pg_database) AS cluster_bytes,
       (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10) AS superuser,
       (SELECT count(*)::int FROM pg_catalog.pg_tablespace) - 2 AS tablespaces,
       pg_catalog.pg_is_in_recovery() AS replica;

-- name: sessions_in
-- How many sessions are in this database, this one not counted?
SELECT count(*)::int AS sessions FROM pg_catalog.pg_stat_activity
 WHERE datname = %(database)s AND pid <> pg_catalog.pg_backend_pid();

-- name: create_from_template
-- A whole copy of a database on the same server.
CREATE DATABASE {copy} TEMPLATE {source};

-- name: drop_copy
-- Gone, with the sessions in it.
DROP DATABASE IF EXISTS {copy} WITH (FORCE);

-- name: source_settings
-- What makes this server plan and run as it does, where that is not PostgreSQL's default?
SELECT name, pg_catalog.current_setting(name) AS value FROM pg_catalog.pg_settings
 WHERE (category LIKE 'Query Tuning%' OR name IN ('work_mem', 'maintenance_work_mem', 'hash_mem_multiplier', 'temp_buffers',
        'effective_io_concurrency', 'max_parallel_workers', 'max_parallel_workers_per_gather', 'default_statistics_target',
        'full_page_writes', 'wal_compression', 'fsync', 'synchronous_commit', 'checkpoint_timeout', 'max_wal_size',
        'shared_buffers', 'max_connections', 'track_io_timing', 'wal_level'))
   AND setting IS DISTINCT FROM boot_val AND pg_catalog.current_setting(name) <> '';

-- name: vacuum_analyze
-- Dead rows away, visibility map and statistics fresh: plans and times are those of a kept table.
VACUUM (ANALYZE) {table};

-- name: checkpoint
-- The next change of each page logs the whole page.
CHECKPOINT;

-- name: index_state
-- Is this index usable, by whom, and how large is it?
SELECT i.indisvalid AS valid, i.indcheckxmin AS check_xmin, pg_catalog.pg_relation_size(i.indexrelid) AS size_bytes,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
  FROM pg_catalog.pg_index i WHERE i.indexrelid = pg_catalog.to_regclass(%(name)s);

-- name: index_definition
-- What would build this index again?
SELECT pg_catalog.pg_get_indexdef(i.indexrelid) AS definition, i.indisvalid AS valid, i.indisunique AS unique,
       (SELECT count(*)::int FROM pg_catalog.pg_constraint WHERE conindid = i.indexrelid) AS constraints,
       t.relname AS table_name, n.nspname AS table_schema, pg_catalog.pg_relation_size(i.indexrelid) AS size_bytes
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace WHERE i.indexrelid = pg_catalog.to_regclass(%(name)s);

-- name: drop_index
-- Inside a transaction that is rolled back this hides the index; outside it removes it.
DROP INDEX {index};

-- name: drop_index_if_there
-- Removed, if it is there.
DROP INDEX IF EXISTS {index};

-- name: updates_in_transaction
-- How many rows did this transaction update, and how many of them without touching an index (HOT)?
SELECT COALESCE(sum(n_tup_upd), 0)::int AS updated, COALESCE(sum(n_tup_hot_upd), 0)::int AS hot
  FROM pg_catalog.pg_stat_xact_user_tables;

-- name: table_facts
-- Is this a table that an index can be made on, and how large is it?
SELECT c.relkind::text AS kind, c.reltuples, pg_catalog.pg_table_size(c.oid) AS size_bytes, n.nspname AS schema, c.relname AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = pg_catalog.to_regclass(%(table)s);

-- name: columns_of
-- The columns of a table, with their types, and which are filled in by the database.
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       (a.attidentity <> '' OR a.attgenerated <> '' OR a.atthasdef) AS filled
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = pg_catalog.to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- name: sampled_rows
-- Some of a table's rows, spread over all of it: what its own queries meet, weighted by how often values occur.
SELECT {columns} FROM {table} TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (%(seed)s) LIMIT %(most)s;

-- name: free_connections
-- How many more connections may be opened, some left for others?
SELECT greatest(0, pg_catalog.current_setting('max_connections')::int
       - pg_catalog.current_setting('superuser_reserved_connections')::int
       - (SELECT count(*)::int FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') - 5) AS free;
