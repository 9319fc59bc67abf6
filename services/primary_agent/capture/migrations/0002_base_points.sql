-- What a node that took over keeps for the one that comes back, and what a node that comes back must tell of itself.

ALTER TABLE agent.captures ADD COLUMN is_ahead boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN agent.captures.is_ahead IS 'Made ahead on a standby: nothing was collected in it, its slot is only moved up.';

ALTER TABLE agent.spool ADD COLUMN inserted xid8;
COMMENT ON COLUMN agent.spool.inserted IS 'The transaction that inserted the key, where its first captured change was that: before it there was no such row.';

CREATE TABLE agent.base_points (
    capture          integer     NOT NULL REFERENCES agent.captures ON DELETE CASCADE,
    epoch            bigint      NOT NULL,
    seq              bigint      NOT NULL,
    source_node      text        NOT NULL,
    peer_capture_id  text        NOT NULL,
    peer_seq         bigint      NOT NULL,
    peer_nonce       text        NOT NULL,
    made_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (capture, epoch),
    FOREIGN KEY (capture, seq) REFERENCES agent.sync_points ON DELETE CASCADE
);
COMMENT ON TABLE agent.base_points IS 'The moment of a promotion under two names: the source''s sync point that the copy stood at, and our own.';
