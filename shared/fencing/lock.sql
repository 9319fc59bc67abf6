-- One fencing hand at a time on a node.

-- name: try_lock
-- Take the lock if nobody has it; it goes with the session.
SELECT pg_try_advisory_lock(hashtextextended('warmstandby.fence', 0));

-- name: end_holder
-- End the session that has it.
SELECT count(pg_terminate_backend(l.pid))
  FROM pg_locks AS l
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('warmstandby.fence', 0);
