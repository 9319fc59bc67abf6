"""The fence's pure parts."""
