-- What each sync knew of the clocks, how long things took whatever the clocks did, and the looks at peers by the hour.

ALTER TABLE control.syncs
    ADD COLUMN offset_low_seconds double precision,
    ADD COLUMN offset_high_seconds double precision,
    ADD COLUMN duration_seconds double precision;

ALTER TABLE control.sync_components ADD COLUMN duration_seconds double precision;

-- For durations between lines of one node: its monotonic clock, which begins anew with each boot of the kernel.
ALTER TABLE control.journal ADD COLUMN monotonic_seconds double precision;

-- For how long the peer had been silent at this look, by the monotonic clock; unknown before its first answer.
ALTER TABLE control.heartbeats ADD COLUMN silent_seconds double precision;
CREATE INDEX heartbeats_by_time ON control.heartbeats (peer, at);

-- Looks by the hour; they stay when the looks themselves are forgotten.
CREATE TABLE control.heartbeat_hours (
    peer text NOT NULL,
    hour timestamptz NOT NULL,
    looks bigint NOT NULL,
    answered bigint NOT NULL,
    silent_seconds double precision,
    round_trip_p50_seconds double precision,
    round_trip_p95_seconds double precision,
    round_trip_p99_seconds double precision,
    round_trip_max_seconds double precision,
    offset_seconds double precision,
    PRIMARY KEY (peer, hour)
);
