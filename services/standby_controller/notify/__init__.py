"""Telling people what happened: letters and webhooks, the files that replace a database that is away, the loops."""
