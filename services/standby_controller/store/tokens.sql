-- Named queries of tokens.py.

-- name: lock_tokens
-- Keep others from making tokens until the transaction is over.
LOCK TABLE control.tokens IN SHARE ROW EXCLUSIVE MODE

-- name: add_token
-- Record a token; no row when the name is taken on this node.
INSERT INTO control.tokens (id, name, role, secret_sha256, created_at, expires_at, made_on)
SELECT $1, $2, $3, $4, $5, $6, $7
WHERE NOT EXISTS (
    SELECT FROM control.tokens WHERE name = $2 AND made_on IN ($7, '') AND deleted_at IS NULL)
RETURNING *

-- name: read_token
-- Read a token by its id.
SELECT * FROM control.tokens WHERE id = $1 AND deleted_at IS NULL

-- name: note_use
-- Note that a token was used.
UPDATE control.tokens SET last_used_at = $2 WHERE id = $1

-- name: list_tokens
-- List the tokens by name, after a name and an id.
SELECT * FROM control.tokens
WHERE deleted_at IS NULL AND ($1::text IS NULL OR (name COLLATE "C", id COLLATE "C") > ($1, $2::text))
ORDER BY name COLLATE "C", id COLLATE "C" LIMIT $3

-- name: delete_token
-- End the use of a token and return it; the row stays, so that no other node brings it back.
UPDATE control.tokens SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING *
