"""The agent's tables in the node's own database, step by step."""
