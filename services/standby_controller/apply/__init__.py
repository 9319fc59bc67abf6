"""Brings the copy from one sync point to the next: seed and swap, staging and merge."""
