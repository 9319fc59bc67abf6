-- Moments that this node shares with others: its own sync points, and the names that the source of a copy gave them.

-- name: find_base
-- Return the base point of a promotion.
SELECT b.seq, p.nonce, b.source_node
  FROM agent.base_points AS b
  JOIN agent.sync_points AS p ON p.capture = b.capture AND p.seq = b.seq
 WHERE b.capture = $1 AND b.epoch = $2;

-- name: insert_base
-- Record that a sync point is the moment of a promotion, under the name that the source gave it too.
INSERT INTO agent.base_points (capture, epoch, seq, source_node, peer_capture_id, peer_seq, peer_nonce)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: hold_base
-- Hold everything since a base point for the node that may come back.
INSERT INTO agent.subscribers AS s (capture, node_id, confirmed_seq) VALUES ($1, $2, $3)
ON CONFLICT (capture, node_id) DO UPDATE SET confirmed_seq = coalesce(s.confirmed_seq, excluded.confirmed_seq);

-- name: list_points
-- Return the newest sync points that changes are kept since, with the other name of those that have one.
SELECT p.seq, p.nonce, b.peer_capture_id, b.peer_seq, b.peer_nonce
  FROM agent.sync_points AS p
  JOIN agent.captures AS c ON c.number = p.capture
  LEFT JOIN agent.base_points AS b ON b.capture = p.capture AND b.seq = p.seq
 WHERE p.capture = $1 AND p.seq >= c.trimmed_seq
 ORDER BY p.seq DESC
 LIMIT $2;

-- name: find_common
-- Return the first of the named moments that this capture knows, by its own name or by the one the source gave it.
SELECT n.place, p.seq, p.nonce, p.snapshot::text AS snapshot
  FROM unnest($2::integer[], $3::text[], $4::bigint[], $5::text[]) AS n (place, capture_id, seq, nonce)
  JOIN agent.captures AS c ON c.number = $1
  LEFT JOIN agent.base_points AS b
    ON b.capture = c.number AND b.peer_capture_id = n.capture_id AND b.peer_seq = n.seq AND b.peer_nonce = n.nonce
  JOIN agent.sync_points AS p
    ON p.capture = c.number AND p.seq >= c.trimmed_seq
   AND (p.seq = b.seq OR (n.capture_id = c.capture_id AND p.seq = n.seq AND p.nonce = n.nonce))
 ORDER BY n.place, p.seq DESC
 LIMIT 1;
