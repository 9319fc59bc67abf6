"""A pair on one machine, for the demo, the tests and the bench; run-time code never imports it."""
