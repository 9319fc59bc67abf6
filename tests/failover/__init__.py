"""Pairs whose nodes fail, hand over and return: real processes, real PostgreSQL, clients that write all the time."""
