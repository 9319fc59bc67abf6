"""Comparisons side by side in one run, as ratios: seed and delta against native replication, pg_dump and COPY."""
