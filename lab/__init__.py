"""A pair on one machine, for the demo, the tests and the bench: real clusters, real ports; run-time code never imports it."""
