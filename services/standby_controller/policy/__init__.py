"""Decisions of the controller: pure functions of what they are given. No await, no clock, no I/O."""
