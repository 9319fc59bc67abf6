-- What a node that came back left open, and the keys that it had changed, taken into the active node's spool.

-- name: list_prepared
-- Return the transactions of this database that were prepared and never ended.
SELECT p.gid, p.owner::text AS owner, p.prepared AS prepared_at
  FROM pg_prepared_xacts AS p
 WHERE p.database = current_database()
 ORDER BY p.prepared, p.gid;

-- name: create_upload
-- Make the landing table of keys that another node had changed.
CREATE TEMP TABLE uploaded_keys (key bytea NOT NULL);

-- name: store_upload
-- Store keys as if this transaction had changed them; what is known of their birth here stays. Returns how many.
WITH stored AS (
    INSERT INTO agent.spool AS spool (capture, relid, digest, key, xid, definition)
    SELECT DISTINCT ON (digest) $1::integer, $2::oid, digest, long_key, pg_current_xact_id(), $3::bigint
      FROM (SELECT CASE WHEN octet_length(key) < 32 THEN key ELSE sha256(key) END AS digest,
                   CASE WHEN octet_length(key) < 32 THEN NULL ELSE key END AS long_key
              FROM pg_temp.uploaded_keys) AS uploaded
        ON CONFLICT (capture, relid, digest)
        DO UPDATE SET xid = excluded.xid, definition = excluded.definition
    RETURNING 1
)
SELECT count(*) FROM stored;
