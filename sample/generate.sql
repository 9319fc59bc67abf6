-- Fills the sample database. Takes its size from the setting sample.rows and its seed from sample.seed (-1 .. 1); same seed, same rows.

SELECT setseed(current_setting('sample.seed')::double precision);

CREATE FUNCTION pg_temp.share(fraction numeric, at_least integer) RETURNS integer LANGUAGE sql STABLE AS
$$ SELECT greatest(at_least, round(fraction * current_setting('sample.rows')::integer)::integer) $$;

CREATE FUNCTION pg_temp.device(number integer) RETURNS uuid LANGUAGE sql STABLE AS
$$ SELECT md5(current_setting('sample.seed') || '/device/' || number)::uuid $$;

CREATE FUNCTION pg_temp.pick(below integer) RETURNS integer LANGUAGE sql VOLATILE AS
$$ SELECT 1 + floor(random() * below)::integer $$;

-- A moment of the first half of 2026; one in fifty lies before it.
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz LANGUAGE sql VOLATILE AS
$$ SELECT '2025-12-28 00:00+00'::timestamptz + random() * interval '184 days' $$;

INSERT INTO identity.users (login, email, full_name, roles, active, created_at, updated_at)
SELECT 'user' || i, 'user' || i || '@' || (ARRAY['example.com', 'example.org', 'bücher.example'])[1 + i % 3],
       (ARRAY['Ana', 'Björn', 'Chloé', 'Dmitrij', 'Ewa', '花子', 'O''Hara', 'Zoë "Z"'])[pg_temp.pick(8)] || ' ' || initcap(substr(md5(random()::text), 1, 7)),
       CASE WHEN i % 20 = 0 THEN ARRAY['admin', 'auditor'] WHEN i % 7 = 0 THEN ARRAY['auditor', NULL] ELSE '{}' END,
       random() < 0.95, pg_temp.moment(), '2026-07-01 00:00+00'
FROM generate_series(1, pg_temp.share(0.04, 40)) i;

INSERT INTO identity.groups (parent_id, name, description)
SELECT nullif(i / 8, 0), 'Group ' || i, CASE WHEN i % 3 = 0 THEN E'Line one\nline two\twith a tab \\ and a backslash' END
FROM generate_series(1, pg_temp.share(0.0004, 20)) i;

INSERT INTO identity.memberships (joined_on, group_id, user_id)
SELECT pg_temp.moment()::date, 1 + (u.id * 13 + i / u.total) % g.total, u.id
FROM generate_series(0, pg_temp.share(0.06, 60) - 1) i,
     (SELECT count(*)::integer AS total FROM identity.groups) g,
     LATERAL (SELECT 1 + i % n.total AS id, n.total FROM (SELECT pg_temp.share(0.04, 40) AS total) n) u;

INSERT INTO fleet.devices (id, serial, owner_id, model, os, state, address, mac, battery, storage_free, labels, attributes, enrolled_at, last_seen_at, updated_at)
SELECT pg_temp.device(i), 'SN' || lpad(i::text, 9, '0'),
       CASE WHEN random() < 0.97 THEN pg_temp.pick(n.users) END,
       (ARRAY['Tablet 10', 'Phone X', 'Scanner Pro', 'Kiosk', 'Laptop 14'])[pg_temp.pick(5)],
       ROW((ARRAY['android', 'ios', 'linux'])[pg_temp.pick(3)], 10 + pg_temp.pick(8), round((random() * 1000)::numeric, 3))::fleet.os_release,
       (ARRAY['enrolled', 'active', 'active', 'active', 'locked', 'lost']::fleet.device_state[])[pg_temp.pick(6)],
       '10.0.0.0'::inet + pg_temp.pick(16000000), ('02' || substr(md5(i::text), 1, 10))::macaddr,
       pg_temp.pick(101) - 1, random() * 256, CASE WHEN i % 3 = 0 THEN ARRAY['loan', 'site ' || i % 40] ELSE '{}' END,
       jsonb_build_object('imei', 350000000000000 + i, 'rooted', i % 97 = 0, 'disks', jsonb_build_array(64, 128), 'note', CASE WHEN i % 11 = 0 THEN 'naïve – ✓' END),
       m.moment, m.moment + random() * interval '30 days', '2026-07-01 00:00+00'
FROM generate_series(1, pg_temp.share(0.08, 80)) i, (SELECT pg_temp.share(0.04, 40) AS users) n, LATERAL (SELECT pg_temp.moment() AS moment, i AS per_row) m;

INSERT INTO fleet.apps (package_name, title, price, platforms)
SELECT 'org.example.app' || i, 'App ' || i, round((random() * 50)::numeric, 2), CASE WHEN i % 2 = 0 THEN ARRAY['android'] ELSE ARRAY['android', 'ios'] END
FROM generate_series(1, pg_temp.share(0.001, 20)) i;

INSERT INTO fleet.app_versions (app_id, version, released_on, package_sha256, notes)
SELECT a.id, (v || CASE WHEN a.id % 2 = 0 THEN '.0' ELSE '.10' END)::numeric, pg_temp.moment()::date, sha256(convert_to(a.id || '/' || v, 'UTF8')),
       CASE WHEN v > 1 THEN 'Fixes since ' || (v - 1) END
FROM fleet.apps a, generate_series(1, 6) v;

INSERT INTO fleet.device_apps (installed_at, version, used, managed, app_id, device_id)
SELECT pg_temp.moment(), pg_temp.pick(6), make_interval(hours => pg_temp.pick(5000), secs => random() * 60), random() < 0.6,
       1 + (d.number * 7 + i / d.total) % n.apps, pg_temp.device(d.number)
FROM generate_series(0, pg_temp.share(0.24, 240) - 1) i,
     (SELECT pg_temp.share(0.001, 20) AS apps) n,
     LATERAL (SELECT 1 + i % t.total AS number, t.total FROM (SELECT pg_temp.share(0.08, 80) AS total) t) d;

INSERT INTO fleet.certificates (serial_number, device_id, subject, fingerprint, valid)
SELECT 10::numeric ^ 30 + i, pg_temp.device(1 + i % pg_temp.share(0.08, 80)), 'CN=device ' || i || ', O=Example, C=DE',
       sha256(convert_to(current_setting('sample.seed') || '/certificate/' || i, 'UTF8')), tstzrange(m.moment, m.moment + interval '1 year')
FROM generate_series(1, pg_temp.share(0.03, 30)) i, LATERAL (SELECT pg_temp.moment() AS moment, i AS per_row) m;

INSERT INTO fleet.scan_queue (priority, request)
SELECT pg_temp.pick(5), jsonb_build_object('device', pg_temp.device(i), 'scan', 'full') FROM generate_series(1, pg_temp.share(0.0002, 10)) i;

INSERT INTO policy.policies (name, applies, rules, flags)
SELECT 'Policy ' || i, ROW('08:00', '17:30', ARRAY['mon', 'tue', 'w"d'])::policy.time_window,
       jsonb_build_object('min_pin', 4 + i % 5, 'wifi', jsonb_build_array('corp', 'guest'), 'camera', i % 2 = 0), (i % 256)::bit(8)
FROM generate_series(1, pg_temp.share(0.0006, 20)) i;

INSERT INTO policy.assignments (policy_id, assigned_at, device_id, assigned_by)
SELECT 1 + i % pg_temp.share(0.0006, 20), pg_temp.moment(), pg_temp.device(1 + i % pg_temp.share(0.08, 80)), pg_temp.pick(pg_temp.share(0.04, 40))
FROM generate_series(1, pg_temp.share(0.03, 30)) i;

-- Documents of 1 to 16 KB, now and then one of 256 KB, that do not compress; and text that does.
INSERT INTO policy.configurations (title, document, source)
SELECT 'Configuration ' || i,
       (SELECT string_agg(sha256(convert_to(current_setting('sample.seed') || i || '/' || part, 'UTF8')), ''::bytea ORDER BY part)
        FROM generate_series(1, CASE WHEN i % 500 = 1 THEN 8192 ELSE 32 + (i * 37) % 480 END) part),
       repeat('<payload type="wifi">Über ' || i || E'</payload>\n', 10 + i % 300)
FROM generate_series(1, pg_temp.share(0.004, 12)) i;

INSERT INTO policy."Settings" ("Value", "Key", "Überschreibbar", "order", "Last change")
SELECT CASE WHEN i % 10 = 0 THEN NULL WHEN i % 10 = 1 THEN '' ELSE md5(random()::text) END, 'setting/' || lpad(i::text, 8, '0') || '/größe',
       i % 3 > 0, i, pg_temp.moment() AT TIME ZONE 'UTC'
FROM generate_series(1, pg_temp.share(0.01, 20)) i;

INSERT INTO telemetry.audit_log (at, actor, action, object, old_value, origin)
SELECT pg_temp.moment(), 'user' || pg_temp.pick(pg_temp.share(0.04, 40)), (ARRAY['login', 'update device', 'assign policy', 'read report'])[pg_temp.pick(4)],
       'object/' || i, CASE WHEN i % 4 = 0 THEN json_build_object('before', i, 'after', i + 1) END, set_masklen(('10.0.' || i % 256 || '.0')::cidr, 24)
FROM generate_series(1, pg_temp.share(0.18, 180)) i;

INSERT INTO billing.account (id, customer, balance)
SELECT i, 'Customer ' || i, 10000.00 FROM generate_series(1, pg_temp.share(0.002, 20)) i;

INSERT INTO billing.ledger (to_account, amount, booked_at)
SELECT pg_temp.pick(pg_temp.share(0.002, 20)), 100.00, pg_temp.moment() FROM generate_series(1, pg_temp.share(0.01, 20)) i;

INSERT INTO telemetry.daily_summary (day, events, devices, severity)
SELECT d::date, pg_temp.pick(1000), pg_temp.pick(500), s
FROM generate_series('2026-06-01'::timestamp, '2026-06-30', '1 day') d, unnest(enum_range(NULL::telemetry.severity)) s
LIMIT least(120, pg_temp.share(0.002, 16));

-- What is left of the total are events.
INSERT INTO telemetry.events (occurred_at, device_id, severity, kind, payload, readings)
SELECT pg_temp.moment(), pg_temp.device(pg_temp.pick(pg_temp.share(0.08, 80))),
       (ARRAY['debug', 'info', 'info', 'info', 'warning', 'critical']::telemetry.severity[])[pg_temp.pick(6)],
       (ARRAY['boot', 'check-in', 'geofence', 'battery', 'crash'])[pg_temp.pick(5)],
       CASE WHEN i % 2 = 0 THEN jsonb_build_object('sequence', i, 'position', jsonb_build_array(round((random() * 180)::numeric, 5), round((random() * 90)::numeric, 5))) END,
       CASE WHEN i % 3 = 0 THEN ARRAY[random() * 100, random()]::real[] END
FROM generate_series(1, greatest(100, current_setting('sample.rows')::integer - (
    SELECT sum(counted) FROM (
        SELECT count(*) AS counted FROM identity.users UNION ALL SELECT count(*) FROM identity.groups
        UNION ALL SELECT count(*) FROM identity.memberships UNION ALL SELECT count(*) FROM fleet.devices
        UNION ALL SELECT count(*) FROM fleet.apps UNION ALL SELECT count(*) FROM fleet.app_versions
        UNION ALL SELECT count(*) FROM fleet.device_apps UNION ALL SELECT count(*) FROM fleet.certificates
        UNION ALL SELECT count(*) FROM fleet.scan_queue UNION ALL SELECT count(*) FROM policy.policies
        UNION ALL SELECT count(*) FROM policy.assignments UNION ALL SELECT count(*) FROM policy.configurations
        UNION ALL SELECT count(*) FROM policy."Settings" UNION ALL SELECT count(*) FROM telemetry.audit_log
        UNION ALL SELECT count(*) FROM billing.account UNION ALL SELECT count(*) FROM billing.ledger
        UNION ALL SELECT count(*) FROM telemetry.daily_summary) tables)::integer)) i;

REFRESH MATERIALIZED VIEW telemetry.events_by_kind;
