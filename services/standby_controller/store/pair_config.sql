-- Named queries of pair_config.py.

-- name: read_config
-- Read the one document.
SELECT * FROM control.pair_config

-- name: lock_config
-- Read the one document and keep others from changing it until the transaction is over.
SELECT * FROM control.pair_config FOR UPDATE

-- name: init_config
-- Write the first document where there is none.
INSERT INTO control.pair_config (epoch, version, document, changed_at, changed_by) VALUES (0, 1, $1::jsonb, $2, $3)
ON CONFLICT DO NOTHING

-- name: replace_config
-- Write the document over the one that is there.
UPDATE control.pair_config
SET epoch = $1, version = $2, node_id = $3, document = $4::jsonb, changed_at = $5, changed_by = $6, lineage = $7::jsonb

-- name: read_tokens
-- Read all tokens, deleted ones too.
SELECT * FROM control.tokens ORDER BY id COLLATE "C"

-- name: take_token
-- Take a token as another node holds it; a deletion is never taken back.
INSERT INTO control.tokens (id, name, role, secret_sha256, created_at, expires_at, made_on, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET deleted_at = least(control.tokens.deleted_at, excluded.deleted_at)
