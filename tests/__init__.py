"""Unit, integration, end-to-end and property tests; real parts throughout."""
