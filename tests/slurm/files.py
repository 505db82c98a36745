"""The files of a lab, which are written at its boot."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from tests.slurm.cluster import GPUS_PER_NODE, Cluster

CLIENTS = ("salloc", "sattach", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")


def entering(login: int) -> list[str]:
    """Returns the words before a command that enters the login node, which is that process."""
    return ["nsenter", f"--target={login}", "--net", "--uts", "--mount", "--root"]


def write_clients(directory: Path, login: int) -> None:
    """Writes the clients that enter the login node, which is that process, from outside."""
    enter = " ".join(entering(login))
    for name in CLIENTS:
        client = directory / "bin" / name
        client.write_text(f'#!/bin/sh\nexec {enter} --wdns="$PWD" {shutil.which(name)} "$@"\n')
        client.chmod(0o755)


def write(cluster: Cluster) -> None:
    """Writes all that SLURM reads, into its directory."""
    here = cluster.directory
    for name in ("bin", "dev", "empty", "log", "munge", "spool", "state"):
        (here / name).mkdir(mode=0o755)
    for node in cluster.nodes:
        (here / "spool" / node.name).mkdir()
    (here / "slurm.conf").write_text(cluster.slurm_conf())
    (here / "gres.conf").write_text(cluster.gres_conf())
    (here / "hosts").write_text(cluster.hosts())
    (here / "munge" / "key").write_bytes(secrets.token_bytes(128))
    (here / "munge" / "key").chmod(0o600)
    for number in range(GPUS_PER_NODE):  # SLURM binds to character devices; /dev/null is one
        os.mknod(here / "dev" / f"gpu{number}", 0o20666, os.makedev(1, 3))
