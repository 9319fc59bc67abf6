"""Files that are either the old ones or the new ones."""
