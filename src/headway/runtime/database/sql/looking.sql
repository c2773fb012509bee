-- name: look
-- What a server is, how far it has come, which start of which cluster this is, and how long its log's files are.
/* headway */ SELECT pg_is_in_recovery(),
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text,
    pg_postmaster_start_time()::text,
    (SELECT system_identifier::text FROM pg_control_system()),
    pg_size_bytes(current_setting('wal_segment_size'));

-- name: replayed
-- How far a replica has come; NULL on a server that is none.
/* headway */ SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END::text;

-- name: arrive
-- Of a new connection: which start of the server it is to. Only `write()` may write.
/* headway */ SET default_transaction_read_only = on; SELECT pg_postmaster_start_time()::text;

-- name: commit
-- Did it write, commit, and how far is the log now: one round trip. The first is asked while there still is a
-- transaction; the last after COMMIT has returned, on the same connection.
/* headway */ SELECT pg_current_xact_id_if_assigned() IS NOT NULL; COMMIT;
SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END::text;
