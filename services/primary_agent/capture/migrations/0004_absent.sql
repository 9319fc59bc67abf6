-- A subscriber that was not seen for too long holds nothing any more; it is remembered, to be told of.

ALTER TABLE agent.subscribers ADD COLUMN dropped_at timestamptz;
COMMENT ON COLUMN agent.subscribers.dropped_at IS 'Since then nothing is held for this node, which was not seen for too long; its next sync is a full copy.';
