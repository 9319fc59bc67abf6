"""Services and servers that die, stand still or are told to stop in the middle of a sync."""
