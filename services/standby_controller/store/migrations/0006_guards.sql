-- What an administrator accepted for one sync that a guard would stop.

ALTER TABLE control.syncs ADD COLUMN accepted text[] NOT NULL DEFAULT '{}';
