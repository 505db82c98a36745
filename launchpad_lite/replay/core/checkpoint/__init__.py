"""Checkpoints: what the tables of a server hold, in a file."""
