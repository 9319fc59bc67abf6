"""Definitions in place: what differs between two pg_dump archives, and how a copy is brought from one to the other."""
