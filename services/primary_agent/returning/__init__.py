"""A node that comes back: what it has alone, told on its side; what both share, found on the active one's."""
