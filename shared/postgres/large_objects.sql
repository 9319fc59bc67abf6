-- Large objects: what they hold and to whom they belong, read the same way on two servers.

-- name: count_objects
-- Return how many there are, and how many of them our role may not read.
SELECT count(*) AS total, count(*) FILTER (WHERE NOT ({may_read})) AS unreadable FROM pg_largeobject_metadata AS m;

-- name: may_read
-- Say whether our role may read a large object (m): as its owner does, by a right, or because rights do not count.
pg_has_role(m.lomowner, 'USAGE') OR current_setting('lo_compat_privileges')::boolean
OR EXISTS (SELECT FROM aclexplode(m.lomacl) AS g
            WHERE g.privilege_type = 'SELECT' AND (g.grantee = 0 OR pg_has_role(g.grantee, 'USAGE')))

-- name: list_rights
-- What a large object (m) lets whom do, as sorted text: what nobody changed reads like its owner's rights.
(SELECT coalesce(jsonb_agg(jsonb_build_array(CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee) END,
                                             g.privilege_type, g.is_grantable)
                           ORDER BY g.grantee <> 0, pg_get_userbyid(g.grantee) COLLATE "C", g.privilege_type), '[]')::text
   FROM aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) AS g)

-- name: list_objects
-- Tell each large object, with a digest of its content where our role may read it. The content is read in pieces, of which
-- only the digests are kept: memory stays flat, and gaps read as the zeros that they mean.
WITH RECURSIVE object AS (
    SELECT m.oid, pg_get_userbyid(m.lomowner)::text AS owner, {rights} AS rights,
           obj_description(m.oid, 'pg_largeobject') AS comment, {may_read} AS is_readable
      FROM pg_largeobject_metadata AS m
), piece AS (
    SELECT o.oid, 0::bigint AS place, length(p.data) AS length, sha256(p.data) AS digest
      FROM object AS o
     CROSS JOIN LATERAL (SELECT lo_get(o.oid, 0, {piece_bytes}) AS data OFFSET 0) AS p
     WHERE o.is_readable
    UNION ALL
    SELECT b.oid, b.place + {piece_bytes}, length(p.data), sha256(p.data)
      FROM piece AS b
     CROSS JOIN LATERAL (SELECT lo_get(b.oid, b.place + {piece_bytes}, {piece_bytes}) AS data OFFSET 0) AS p
     WHERE b.length = {piece_bytes}
), whole AS (
    SELECT oid, sum(length)::bigint AS size, sha256(string_agg(digest, '' ORDER BY place)) AS digest
      FROM piece
     GROUP BY oid
)
SELECT o.oid, o.owner, o.rights, o.comment, w.size, w.digest FROM object AS o LEFT JOIN whole AS w ON w.oid = o.oid

-- name: list_contents
-- Return the content of large objects (a FROM clause with their `oid` is put in) in pieces; an empty one has none.
SELECT w.oid, p.place, lo_get(w.oid, p.place, {piece_bytes}) AS data
  FROM {wanted} AS w
 CROSS JOIN LATERAL (SELECT lo_lseek64(lo_open(w.oid, 262144), 0, 2) AS size OFFSET 0) AS s
 CROSS JOIN LATERAL generate_series(0, s.size - 1, {piece_bytes}) AS p (place)

-- name: name_objects
-- Large objects by their oids, as a FROM clause.
(SELECT unnest('{{{oids}}}'::oid[]) AS oid)
