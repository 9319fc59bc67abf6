-- What of a copy was compared with its source, and what differed.

ALTER TABLE control.syncs DROP CONSTRAINT syncs_trigger_check;
ALTER TABLE control.syncs ADD CONSTRAINT syncs_trigger_check
    CHECK (trigger IN ('schedule', 'request', 'verification'));

-- A sync that was to compare.
CREATE TABLE control.verifications (
    node text NOT NULL,
    seq bigint NOT NULL,
    level text NOT NULL CHECK (level IN ('counts', 'changed', 'full')),
    is_repairing boolean NOT NULL,
    is_whole boolean NOT NULL,
    PRIMARY KEY (node, seq),
    FOREIGN KEY (node, seq) REFERENCES control.syncs (node, seq) ON DELETE CASCADE
);

CREATE TABLE control.verification_components (
    node text NOT NULL,
    seq bigint NOT NULL,
    component text NOT NULL,
    ended_at timestamptz NOT NULL,
    duration_seconds double precision NOT NULL,
    snapshot_at timestamptz,
    tables bigint NOT NULL,
    rows bigint NOT NULL,
    next_after text,
    code text,
    detail text,
    PRIMARY KEY (node, seq, component),
    FOREIGN KEY (node, seq) REFERENCES control.verifications (node, seq) ON DELETE CASCADE
);

CREATE INDEX verification_components_by_end ON control.verification_components (node, component, ended_at DESC);

-- One that is open still stands as far as is known: no later comparison looked there.
CREATE TABLE control.differences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node text NOT NULL,
    seq bigint NOT NULL,
    component text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('rows', 'sequence', 'definition', 'strange')),
    name text NOT NULL,
    detail text NOT NULL,
    rows_here bigint,
    rows_there bigint,
    missing bigint,
    extra bigint,
    changed bigint,
    first_key text,
    last_key text,
    is_expected boolean NOT NULL,
    is_open boolean NOT NULL,
    repaired_at timestamptz,
    FOREIGN KEY (node, seq) REFERENCES control.verifications (node, seq) ON DELETE CASCADE
);

CREATE INDEX differences_by_verification ON control.differences (node, seq);
CREATE INDEX differences_open ON control.differences (node, component) WHERE is_open;
