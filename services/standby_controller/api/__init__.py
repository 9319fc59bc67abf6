"""The routes for people under /v1, and the probes. No decision is made here."""
