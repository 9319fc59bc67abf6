"""The sample application's transactions."""
