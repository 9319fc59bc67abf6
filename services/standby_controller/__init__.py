"""The service that follows the other node: it polls heartbeats, pulls syncs and answers people."""
