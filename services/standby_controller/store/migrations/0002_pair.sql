-- Settings, tokens and history that are kept equal on all nodes of the pair, and the history of transitions.

-- Every row of history has a number, in the order in which this database got them: who reads on after a number misses
-- nothing, because the clock's row is locked until the transaction that moved it is over. A database that is made anew
-- has another generation, so that readers begin again.
CREATE TABLE control.history_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation text NOT NULL,
    value bigint NOT NULL,
    begun_at timestamptz NOT NULL
);

INSERT INTO control.history_clock (generation, value, begun_at)
VALUES (pg_catalog.gen_random_uuid()::text, 0, pg_catalog.clock_timestamp());

CREATE FUNCTION control.number_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE control.history_clock SET value = value + 1 RETURNING value INTO NEW.change;
    RETURN NEW;
END
$$;

-- What a new database numbers lies above what the one before it can have numbered: 100 rows for each second.
CREATE FUNCTION control.first_seq() RETURNS bigint LANGUAGE sql AS $$
    SELECT greatest(1, pg_catalog.floor(100 * extract(
        epoch FROM pg_catalog.clock_timestamp() - timestamptz '2026-01-01 00:00:00+00'))::bigint)
$$;

ALTER TABLE control.events ADD COLUMN change bigint;
ALTER TABLE control.syncs ADD COLUMN change bigint;

UPDATE control.events e SET change = n.number
FROM (SELECT node, seq, pg_catalog.row_number() OVER (ORDER BY at, node, seq) AS number FROM control.events) n
WHERE n.node = e.node AND n.seq = e.seq;

UPDATE control.syncs s SET change = n.number + (SELECT pg_catalog.count(*) FROM control.events)
FROM (
    SELECT node, seq, pg_catalog.row_number() OVER (ORDER BY ended_at, node, seq) AS number
    FROM control.syncs WHERE result <> 'running'
) n
WHERE n.node = s.node AND n.seq = s.seq;

UPDATE control.history_clock SET value =
    (SELECT pg_catalog.count(*) FROM control.events) + (SELECT pg_catalog.count(*) FROM control.syncs);

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM control.events) THEN
        PERFORM pg_catalog.setval(pg_catalog.pg_get_serial_sequence('control.events', 'seq'), control.first_seq());
    END IF;
    IF NOT EXISTS (SELECT FROM control.syncs) THEN
        PERFORM pg_catalog.setval(pg_catalog.pg_get_serial_sequence('control.syncs', 'seq'), control.first_seq());
    END IF;
END
$$;

ALTER TABLE control.events ALTER COLUMN change SET NOT NULL;
ALTER TABLE control.syncs ADD CHECK ((result = 'running') = (change IS NULL));

CREATE UNIQUE INDEX events_by_change ON control.events (change);
CREATE INDEX events_by_time ON control.events (at DESC, node DESC, seq DESC);
CREATE UNIQUE INDEX syncs_by_change ON control.syncs (change);

CREATE TRIGGER number_change BEFORE INSERT ON control.events
FOR EACH ROW EXECUTE FUNCTION control.number_change();

-- A sync is history when it has ended; its components are written before that.
CREATE TRIGGER number_new BEFORE INSERT ON control.syncs
FOR EACH ROW WHEN (NEW.result <> 'running') EXECUTE FUNCTION control.number_change();

CREATE TRIGGER number_ended BEFORE UPDATE ON control.syncs
FOR EACH ROW WHEN (OLD.result = 'running' AND NEW.result <> 'running') EXECUTE FUNCTION control.number_change();

-- The agents' journals: the truth about each change of roles, copied afterwards.
CREATE TABLE control.journal (
    node text NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    transition_id text NOT NULL,
    kind text NOT NULL,
    step text NOT NULL,
    outcome text NOT NULL,
    seconds double precision,
    detail text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    change bigint NOT NULL,
    PRIMARY KEY (node, at, seq)
);

CREATE INDEX journal_by_transition ON control.journal (transition_id);
CREATE UNIQUE INDEX journal_by_change ON control.journal (change);
CREATE TRIGGER number_change BEFORE INSERT ON control.journal
FOR EACH ROW EXECUTE FUNCTION control.number_change();

-- What each controller had seen of its peers in the minute before a transition, what it weighed, what was lost.
CREATE TABLE control.evidence (
    node text NOT NULL,
    transition_id text NOT NULL,
    topic text NOT NULL CHECK (topic IN ('looks', 'decision', 'loss')),
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    change bigint NOT NULL,
    PRIMARY KEY (transition_id, node, topic)
);

CREATE UNIQUE INDEX evidence_by_change ON control.evidence (change);
CREATE TRIGGER number_change BEFORE INSERT OR UPDATE ON control.evidence
FOR EACH ROW EXECUTE FUNCTION control.number_change();

-- Transitions as journal and evidence tell them; made of those on each node alike, so that lists can be filtered.
CREATE TABLE control.transitions (
    id text PRIMARY KEY,
    node text NOT NULL,
    kind text NOT NULL,
    result text NOT NULL,
    term_epoch bigint,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);

CREATE INDEX transitions_by_start ON control.transitions (started_at DESC, id DESC);

-- How far another's history was read: a peer's by its generation, the own agent's journal by its last entry.
CREATE TABLE control.history_read (
    source text PRIMARY KEY,
    generation text NOT NULL,
    value bigint NOT NULL
);

-- A deleted token stays as such, so that no node brings it back; names are unique on the node that makes a token.
ALTER TABLE control.tokens DROP CONSTRAINT tokens_name_key;
ALTER TABLE control.tokens ADD COLUMN made_on text NOT NULL DEFAULT '';
ALTER TABLE control.tokens ADD COLUMN deleted_at timestamptz;

ALTER TABLE control.pair_config ADD COLUMN node_id text NOT NULL DEFAULT '';
ALTER TABLE control.pair_config ADD COLUMN lineage jsonb NOT NULL DEFAULT '[]';
