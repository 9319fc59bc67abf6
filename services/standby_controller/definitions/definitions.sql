-- What a copy is made of, kept with it.

-- name: read_entries
-- Return the packed entries that the copy was made by.
SELECT entries FROM warmstandby.definitions WHERE component = $1;

-- name: has_entries
-- Say whether it is known what the copy was made of.
SELECT EXISTS (SELECT FROM warmstandby.definitions WHERE component = $1);

-- name: keep_entries
-- Note what the copy is made of now.
INSERT INTO warmstandby.definitions (component, entries) VALUES ($1, $2)
ON CONFLICT (component) DO UPDATE SET entries = excluded.entries;

-- name: prepare_making
-- Have definitions mean what they say, as pg_restore does.
SET LOCAL search_path = '';
SET LOCAL check_function_bodies = false;
SET LOCAL xmloption = content;
SET LOCAL client_min_messages = warning;
SET LOCAL row_security = off;

-- name: analyze
-- Tell the planner of a table that was made anew.
ANALYZE {table};
