-- Named queries of pair_config.py.

-- name: read_config
-- Read the one document.
SELECT * FROM control.pair_config

-- name: init_config
-- Write the first document where there is none.
INSERT INTO control.pair_config (epoch, version, document, changed_at, changed_by) VALUES (0, 1, $1::jsonb, $2, $3)
ON CONFLICT DO NOTHING

-- name: replace_config
-- Replace the document if it still is the version the change was made from.
UPDATE control.pair_config SET epoch = $3, version = version + 1, document = $4::jsonb, changed_at = $5, changed_by = $6
WHERE epoch = $1 AND version = $2
RETURNING *
