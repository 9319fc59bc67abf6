"""Captures what changes on the active node: slot, drain, spool."""
