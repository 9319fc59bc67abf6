"""The agent's HTTP routes: each reads what the agent already knows, or hands the request to a use case."""
