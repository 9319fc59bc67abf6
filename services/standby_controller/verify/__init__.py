"""Whether a copy equals its source: compared at one snapshot, told with tables and keys, and repaired."""
