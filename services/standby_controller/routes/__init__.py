"""The routes for the peers of the pair: what this controller knows. No decision is made here."""
