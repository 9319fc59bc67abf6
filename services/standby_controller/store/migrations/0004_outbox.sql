-- Events with keys that are the same however often an event is told, and what is sent because of them.

-- With its node, pair and kind the key names an event for those who are told of it; epoch is that of the term then.
ALTER TABLE control.events ADD COLUMN key text;
ALTER TABLE control.events ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
UPDATE control.events SET key = 'before-' || seq;
ALTER TABLE control.events ALTER COLUMN key SET NOT NULL;
CREATE UNIQUE INDEX events_by_key ON control.events (node, key);

-- Nothing was ever written here.
DROP TABLE control.outbox;

-- This node's own events of which nobody has yet said to whom they go; written with the event.
CREATE TABLE control.outbox_unsorted (
    node text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (node, seq),
    FOREIGN KEY (node, seq) REFERENCES control.events (node, seq) ON DELETE CASCADE
);

-- One row for each event and channel that gets it.
CREATE TABLE control.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node text NOT NULL,
    seq bigint NOT NULL,
    channel text NOT NULL,
    incident text NOT NULL,
    state text NOT NULL CHECK (state IN ('held', 'waiting', 'sent', 'dead', 'folded')),
    queued_at timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    problem text,
    delivered jsonb NOT NULL DEFAULT '[]',
    refused jsonb NOT NULL DEFAULT '{}',
    repeats jsonb NOT NULL DEFAULT '{}',
    UNIQUE (node, seq, channel),
    FOREIGN KEY (node, seq) REFERENCES control.events (node, seq) ON DELETE CASCADE
);

CREATE INDEX outbox_due ON control.outbox (channel, next_attempt_at) WHERE state IN ('held', 'waiting');
CREATE INDEX outbox_unsent ON control.outbox (channel, state) WHERE state IN ('held', 'waiting', 'dead');
CREATE INDEX outbox_sent ON control.outbox (channel, sent_at DESC) WHERE sent_at IS NOT NULL;

-- What a channel was told last of a topic.
CREATE TABLE control.incidents (
    channel text NOT NULL,
    topic text NOT NULL,
    id text NOT NULL,
    is_open boolean NOT NULL,
    begun_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    window_ends_at timestamptz NOT NULL,
    kinds text[] NOT NULL,
    PRIMARY KEY (channel, topic)
);
