-- What the active node keeps for its standbys; lives in the node's own database, never in the application's.

CREATE SCHEMA IF NOT EXISTS agent;

CREATE TABLE agent.captures (
    number        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    component     text        NOT NULL UNIQUE,
    capture_id    text        NOT NULL,
    database_oid  oid         NOT NULL,
    slot_name     text        NOT NULL,
    drained_lsn   pg_lsn      NOT NULL,
    ready_xid     xid8        NOT NULL,
    trimmed_seq   bigint      NOT NULL DEFAULT 0,
    last_seq      bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE agent.captures IS 'One row per component whose changes are captured; a new row and capture_id when history is lost.';

-- A key of at most 31 bytes is its own digest; a longer one has its SHA-256 there, which no shorter key can be.
-- A row of definition 0 is no key but marks the whole table: it was truncated, or changed in a way that carries no key we
-- can read. Its digest is 'T' and the transaction, one mark each: no key begins so, and none has that length and digest.
CREATE TABLE agent.spool (
    capture     integer NOT NULL,
    relid       oid     NOT NULL,
    digest      bytea   NOT NULL,
    key         bytea,
    xid         xid8    NOT NULL,
    definition  bigint  NOT NULL,
    PRIMARY KEY (capture, relid, digest)
) PARTITION BY LIST (capture);
COMMENT ON TABLE agent.spool IS 'Keys changed and not yet confirmed by every subscriber, with the transaction of the last change in decode order.';

CREATE TABLE agent.table_states (
    capture   integer NOT NULL REFERENCES agent.captures ON DELETE CASCADE,
    digest    bytea   NOT NULL,
    document  jsonb   NOT NULL,
    PRIMARY KEY (capture, digest)
);
COMMENT ON TABLE agent.table_states IS 'What the tables looked like at a sync point; points at equal states share a row.';

CREATE TABLE agent.sync_points (
    capture       integer     NOT NULL REFERENCES agent.captures ON DELETE CASCADE,
    seq           bigint      NOT NULL,
    nonce         text        NOT NULL,
    snapshot      pg_snapshot NOT NULL,
    lsn           pg_lsn      NOT NULL,
    state_digest  bytea       NOT NULL,
    taken_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (capture, seq),
    FOREIGN KEY (capture, state_digest) REFERENCES agent.table_states
);

CREATE TABLE agent.subscribers (
    capture        integer     NOT NULL REFERENCES agent.captures ON DELETE CASCADE,
    node_id        text        NOT NULL,
    confirmed_seq  bigint,
    seeding_seq    bigint,
    last_seen_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (capture, node_id)
);
COMMENT ON COLUMN agent.subscribers.seeding_seq IS 'The point of the last seed begun; kept beside confirmed_seq until it is confirmed.';

CREATE TABLE agent.guard (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    accepts_apply  boolean NOT NULL
);
COMMENT ON TABLE agent.guard IS 'Read FOR SHARE by whoever swaps a database in; updated when the node starts or stops to serve.';
INSERT INTO agent.guard (accepts_apply) VALUES (true);
