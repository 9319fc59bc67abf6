-- Named queries of tokens.py.

-- name: add_token
-- Record a token; no row when the name is taken.
INSERT INTO control.tokens (id, name, role, secret_sha256, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) DO NOTHING
RETURNING *

-- name: read_token
-- Read a token by its id.
SELECT * FROM control.tokens WHERE id = $1

-- name: note_use
-- Note that a token was used.
UPDATE control.tokens SET last_used_at = $2 WHERE id = $1

-- name: list_tokens
-- List all tokens by name, after a name.
SELECT * FROM control.tokens WHERE $1::text IS NULL OR (name COLLATE "C") > $1 ORDER BY name COLLATE "C" LIMIT $2

-- name: delete_token
-- Forget a token and return it.
DELETE FROM control.tokens WHERE id = $1 RETURNING *
