"""The roles of a pair explored: the rules exhaustively as a model, the agents' code by seeded runs."""
