-- pg_hba.conf as the server reads it.

-- name: read_rights
-- Say what our role may do with the server's rules.
SELECT has_function_privilege('pg_reload_conf()', 'EXECUTE') AS may_reload,
       has_table_privilege('pg_hba_file_rules', 'SELECT') AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE') AS may_read;

-- name: list_rules
-- Return the rules of the file in their order; from version 16 on several files make one list.
SELECT r.line_number AS line, r.type::text AS type, coalesce(r.database, '{}') AS databases, coalesce(r.user_name, '{}') AS roles,
       r.address, r.auth_method::text AS method, r.error
  FROM pg_hba_file_rules AS r
 ORDER BY coalesce((to_jsonb(r) ->> 'rule_number')::int, r.line_number);

-- name: reload
-- Have the server read its configuration files again; returns the moment before.
SELECT now() FROM pg_reload_conf();

-- name: read_loaded
-- Say whether the configuration that this session began with was loaded after a moment.
SELECT pg_conf_load_time() > $1;
