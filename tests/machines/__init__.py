"""Machines with networks of their own, in namespaces on this one; SLURM and Ray run on them."""
