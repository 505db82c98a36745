"""Tests on a real SLURM cluster, which they boot themselves; run with `make test-slurm`."""
