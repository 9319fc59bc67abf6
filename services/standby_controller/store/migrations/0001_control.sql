-- Syncs, heartbeats, events with their outbox, tokens, and the pair's configuration.

-- History is append-only with ids (node, seq) that sort, so that two nodes can read each other's.
CREATE TABLE control.syncs (
    node text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    trigger text NOT NULL CHECK (trigger IN ('schedule', 'request')),
    requested_by text,
    idempotency_key text,
    source text,
    term_epoch bigint,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    result text NOT NULL CHECK (result IN ('running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
    code text,
    detail text,
    hint text,
    PRIMARY KEY (node, seq),
    CHECK ((result = 'running') = (ended_at IS NULL))
);

CREATE UNIQUE INDEX syncs_one_running ON control.syncs (node) WHERE result = 'running';
CREATE INDEX syncs_by_start ON control.syncs (started_at DESC, node DESC, seq DESC);
CREATE UNIQUE INDEX syncs_by_idempotency_key ON control.syncs (node, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE control.sync_components (
    node text NOT NULL,
    seq bigint NOT NULL,
    component text NOT NULL,
    result text NOT NULL CHECK (result IN ('succeeded', 'failed', 'cancelled')),
    kind text CHECK (kind IN ('seed', 'delta', 'compare')),
    reason text,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    snapshot_at timestamptz,
    point jsonb,
    rows bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    rows_per_table jsonb NOT NULL DEFAULT '{}',
    seconds_per_phase jsonb NOT NULL DEFAULT '{}',
    unkept jsonb NOT NULL DEFAULT '[]',
    drift jsonb NOT NULL DEFAULT '[]',
    code text,
    detail text,
    hint text,
    PRIMARY KEY (node, seq, component),
    FOREIGN KEY (node, seq) REFERENCES control.syncs (node, seq) ON DELETE CASCADE
);

CREATE INDEX sync_components_by_end ON control.sync_components (node, component, ended_at DESC) WHERE result = 'succeeded';

CREATE TABLE control.heartbeats (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    peer text NOT NULL,
    at timestamptz NOT NULL,
    result text NOT NULL,
    state text,
    term_epoch bigint,
    round_trip_seconds double precision,
    offset_low_seconds double precision,
    offset_high_seconds double precision
);

CREATE INDEX heartbeats_by_peer ON control.heartbeats (peer, id DESC);

CREATE TABLE control.events (
    node text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    subject text,
    text text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (node, seq)
);

-- What is still to be sent because of an event; an entry is written with its event.
CREATE TABLE control.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node text NOT NULL,
    seq bigint NOT NULL,
    channel text NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    last_problem text,
    FOREIGN KEY (node, seq) REFERENCES control.events (node, seq) ON DELETE CASCADE
);

CREATE INDEX outbox_unsent ON control.outbox (next_attempt_at) WHERE sent_at IS NULL;

-- Only hashes; a secret is shown once, to the administrator who makes it.
CREATE TABLE control.tokens (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    secret_sha256 bytea NOT NULL CHECK (pg_catalog.octet_length(secret_sha256) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz
);

-- One document, one row; (epoch, version) is its version in the pair.
CREATE TABLE control.pair_config (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch bigint NOT NULL,
    version bigint NOT NULL,
    document jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL
);
