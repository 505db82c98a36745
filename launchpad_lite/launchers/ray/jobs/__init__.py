"""Runs of a cluster that the launching machine is no node of: each is held by a job of Ray."""
