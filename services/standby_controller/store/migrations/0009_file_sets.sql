-- What of a file set's copy was not as its last sync had left it.

ALTER TABLE control.differences DROP CONSTRAINT differences_kind_check;
ALTER TABLE control.differences ADD CONSTRAINT differences_kind_check
    CHECK (kind IN ('rows', 'sequence', 'definition', 'strange', 'file'));
