-- name: logged_scope
-- Which database is this, and does auto_explain log plans here? (NULL: it isn't loaded, or not this role's to see)
SELECT /* headway */ pg_catalog.current_database() AS database,
       pg_catalog.current_setting('auto_explain.log_min_duration', true) AS min_duration,
       pg_catalog.current_setting('auto_explain.log_format', true) AS format,
       pg_catalog.current_setting('auto_explain.sample_rate', true) AS sample_rate;
