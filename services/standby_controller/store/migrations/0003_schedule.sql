-- What became of runs of the schedule that were not begun, and who changed what.

ALTER TABLE control.syncs DROP CONSTRAINT syncs_result_check;
ALTER TABLE control.syncs ADD CONSTRAINT syncs_result_check CHECK (result IN (
    'running', 'succeeded', 'failed', 'cancelled', 'interrupted', 'superseded', 'refused_guard',
    'skipped_overlap', 'skipped_maintenance', 'held_clock_skew'));

-- Changes made by people, kept longer than events.
CREATE TABLE control.audit (
    node text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    who text NOT NULL,
    action text NOT NULL,
    subject text,
    before jsonb,
    after jsonb,
    change bigint NOT NULL,
    PRIMARY KEY (node, seq)
);

CREATE INDEX audit_by_time ON control.audit (at DESC, node DESC, seq DESC);
CREATE UNIQUE INDEX audit_by_change ON control.audit (change);
CREATE TRIGGER number_change BEFORE INSERT ON control.audit
FOR EACH ROW EXECUTE FUNCTION control.number_change();

SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('control.audit', 'seq'), control.first_seq());
