-- Which database an export is of.

-- name: identify_source
-- Return which server and database this is, and its size on disk where that is asked for.
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier, d.oid AS database_oid,
       CASE WHEN $1 THEN pg_database_size(d.oid) END AS database_bytes
  FROM pg_database AS d
 WHERE d.datname = current_database();
