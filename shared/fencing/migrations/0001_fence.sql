-- What closing took away from databases of this node, for giving back: written in the transaction that takes it.
-- Databases and roles by oid: a database that a seed swaps in has a record of its own, a renamed role stays the same.

CREATE TABLE fence.closed (
    database_oid      oid         PRIMARY KEY,
    database          text        NOT NULL,
    owner             oid         NOT NULL,
    connection_limit  integer,
    read_only         text,
    is_limited        boolean     NOT NULL DEFAULT false,
    closed_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN fence.closed.connection_limit IS 'The limit before we set 0; null where we did not touch it.';
COMMENT ON COLUMN fence.closed.read_only IS 'The database''s own default_transaction_read_only before; null where it had none.';
COMMENT ON COLUMN fence.closed.is_limited IS 'Whether rights, limit and read-only default were changed, not the subscriptions alone.';

CREATE TABLE fence.grants (
    database_oid  oid     NOT NULL REFERENCES fence.closed ON DELETE CASCADE,
    grantor       oid     NOT NULL,
    grantee       oid     NOT NULL,
    is_grantable  boolean NOT NULL,
    is_given      boolean NOT NULL,
    PRIMARY KEY (database_oid, grantor, grantee)
);
COMMENT ON TABLE fence.grants IS 'Rights to connect as they were; those given (is_given) are ours, and go when the database opens.';

CREATE TABLE fence.subscriptions (
    database_oid  oid  NOT NULL REFERENCES fence.closed ON DELETE CASCADE,
    name          text NOT NULL,
    PRIMARY KEY (database_oid, name)
);
COMMENT ON TABLE fence.subscriptions IS 'Subscriptions that were enabled; recorded before they are disabled.';
