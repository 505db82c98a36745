"""Nodes of a program on the nodes of a SLURM cluster."""
