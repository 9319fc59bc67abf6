-- Named queries of history_log.py.

-- name: read_clock
-- Read the generation of this database's history and the number of the last change.
SELECT generation, value FROM control.history_clock

-- name: rows_after
-- Read rows of history after a number up to another, in the order in which they came here.
SELECT found.change, found.kind, found.body FROM (
    (SELECT e.change, 'event' AS kind, to_jsonb(e) AS body FROM control.events e
     WHERE e.change > $1 AND e.change <= $2 ORDER BY e.change LIMIT $3)
    UNION ALL
    (SELECT s.change, 'sync', to_jsonb(s) || jsonb_build_object('components', (
        SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.component), '[]') FROM control.sync_components c
        WHERE c.node = s.node AND c.seq = s.seq))
     FROM control.syncs s WHERE s.change > $1 AND s.change <= $2 ORDER BY s.change LIMIT $3)
    UNION ALL
    (SELECT j.change, 'journal', to_jsonb(j) FROM control.journal j
     WHERE j.change > $1 AND j.change <= $2 ORDER BY j.change LIMIT $3)
    UNION ALL
    (SELECT v.change, 'evidence', to_jsonb(v) FROM control.evidence v
     WHERE v.change > $1 AND v.change <= $2 ORDER BY v.change LIMIT $3)
    UNION ALL
    (SELECT a.change, 'audit', to_jsonb(a) FROM control.audit a
     WHERE a.change > $1 AND a.change <= $2 ORDER BY a.change LIMIT $3)
) found
ORDER BY found.change LIMIT $3

-- name: renew_generation
-- Begin a new generation: this database was put back to an earlier state, and others know rows of it that it lost.
UPDATE control.history_clock SET generation = pg_catalog.gen_random_uuid()::text WHERE generation = $1

-- name: skip_numbers
-- Have events, syncs and the audit trail go on above what the lost rows, $1 at most of which a reader has, can have had.
SELECT pg_catalog.setval(seq, greatest(control.first_seq(), pg_catalog.nextval(seq) + $1::bigint)) FROM (VALUES
    (pg_catalog.pg_get_serial_sequence('control.events', 'seq')::regclass),
    (pg_catalog.pg_get_serial_sequence('control.syncs', 'seq')::regclass),
    (pg_catalog.pg_get_serial_sequence('control.audit', 'seq')::regclass)) sequences (seq)

-- name: take_event
-- Take an event of the pair unless it is here, or was before the time that history is kept for.
INSERT INTO control.events (node, seq, key, epoch, at, kind, severity, subject, text, data)
OVERRIDING SYSTEM VALUE
SELECT r.node, r.seq, coalesce(r.key, 'before-' || r.seq), coalesce(r.epoch, 0), r.at, r.kind, r.severity, r.subject,
    r.text, coalesce(r.data, '{}')
FROM jsonb_populate_record(NULL::control.events, $1::jsonb) r
WHERE r.at >= $2 AND NOT EXISTS (SELECT FROM control.events k WHERE k.node = r.node AND k.seq = r.seq)
ON CONFLICT DO NOTHING

-- name: take_audit
-- Take an entry of the audit trail unless it is here, or was before the time that it is kept for.
INSERT INTO control.audit (node, seq, at, who, action, subject, before, after)
OVERRIDING SYSTEM VALUE
SELECT r.node, r.seq, r.at, r.who, r.action, r.subject, r.before, r.after
FROM jsonb_populate_record(NULL::control.audit, $1::jsonb) r
WHERE r.at >= $2 AND NOT EXISTS (SELECT FROM control.audit k WHERE k.node = r.node AND k.seq = r.seq)
ON CONFLICT DO NOTHING

-- name: take_sync
-- Take an ended sync of the pair unless it is here, or was before the time that history is kept for.
INSERT INTO control.syncs (node, seq, trigger, requested_by, idempotency_key, source, term_epoch, started_at, ended_at,
    result, code, detail, hint, offset_low_seconds, offset_high_seconds, duration_seconds, accepted)
OVERRIDING SYSTEM VALUE
SELECT r.node, r.seq, r.trigger, r.requested_by, r.idempotency_key, r.source, r.term_epoch, r.started_at, r.ended_at,
    r.result, r.code, r.detail, r.hint, r.offset_low_seconds, r.offset_high_seconds, r.duration_seconds,
    coalesce(r.accepted, '{}')
FROM jsonb_populate_record(NULL::control.syncs, $1::jsonb) r
WHERE r.started_at >= $2 AND NOT EXISTS (SELECT FROM control.syncs k WHERE k.node = r.node AND k.seq = r.seq)
ON CONFLICT DO NOTHING

-- name: take_components
-- Take the components of a sync that was just taken.
INSERT INTO control.sync_components (node, seq, component, result, kind, reason, started_at, ended_at, snapshot_at, point,
    rows, keys, bytes, rows_per_table, seconds_per_phase, unkept, definitions, code, detail, hint, duration_seconds)
SELECT r.node, r.seq, r.component, r.result, r.kind, r.reason, r.started_at, r.ended_at, r.snapshot_at, r.point,
    coalesce(r.rows, 0), coalesce(r.keys, 0), coalesce(r.bytes, 0), coalesce(r.rows_per_table, '{}'),
    coalesce(r.seconds_per_phase, '{}'), coalesce(r.unkept, '[]'), coalesce(r.definitions, '[]'), r.code, r.detail, r.hint,
    r.duration_seconds
FROM jsonb_populate_recordset(NULL::control.sync_components, $1::jsonb -> 'components') r
ON CONFLICT DO NOTHING

-- name: take_journal
-- Take an entry of a journal unless it is here, or was before the time that transitions are kept for.
INSERT INTO control.journal (node, seq, at, transition_id, kind, step, outcome, seconds, detail, data, monotonic_seconds)
SELECT r.node, r.seq, r.at, r.transition_id, r.kind, r.step, r.outcome, r.seconds, r.detail, coalesce(r.data, '{}'),
    r.monotonic_seconds
FROM jsonb_populate_record(NULL::control.journal, $1::jsonb) r
WHERE r.at >= $2
  AND NOT EXISTS (SELECT FROM control.journal k WHERE k.node = r.node AND k.at = r.at AND k.seq = r.seq)
ON CONFLICT DO NOTHING

-- name: take_evidence
-- Take what a node knew of a transition, if it is newer than what is here.
INSERT INTO control.evidence (node, transition_id, topic, at, data)
SELECT r.node, r.transition_id, r.topic, r.at, coalesce(r.data, '{}')
FROM jsonb_populate_record(NULL::control.evidence, $1::jsonb) r
WHERE r.at >= $2 AND NOT EXISTS (
    SELECT FROM control.evidence k
    WHERE k.transition_id = r.transition_id AND k.node = r.node AND k.topic = r.topic AND k.at >= r.at)
ON CONFLICT (transition_id, node, topic) DO UPDATE SET at = excluded.at, data = excluded.data
WHERE control.evidence.at < excluded.at

-- name: read_place
-- Read how far a peer's history was read.
SELECT generation, value FROM control.history_read WHERE source = $1

-- name: write_place
-- Note how far a peer's history was read.
INSERT INTO control.history_read (source, generation, value) VALUES ($1, $2, $3)
ON CONFLICT (source) DO UPDATE SET generation = excluded.generation, value = excluded.value
