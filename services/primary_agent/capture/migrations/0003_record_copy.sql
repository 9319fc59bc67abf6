-- A second copy of the node's record (services/primary_agent/node/record_copy.py).

CREATE TABLE agent.record_copy (
    pair_id     text        NOT NULL,
    node_id     text        NOT NULL,
    serial      bigint      NOT NULL,
    document    jsonb       NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair_id, node_id)
);
COMMENT ON TABLE agent.record_copy IS 'Tells a record file that was restored from a backup: its serial is lower than this one.';
