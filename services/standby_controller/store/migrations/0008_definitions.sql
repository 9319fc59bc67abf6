-- What of its definitions a sync brought, in words; before, what it could not bring.

ALTER TABLE control.sync_components RENAME COLUMN drift TO definitions;
