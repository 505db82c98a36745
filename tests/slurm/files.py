"""The files of a lab: they are written at its boot, and removed at its end or by the next lab."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path

from tests.slurm.cluster import GPUS_PER_NODE, Cluster

CLIENTS = ("salloc", "sattach", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")

_LOCK = "lock"


@contextlib.contextmanager
def directory_of(cluster: Cluster) -> Generator[None]:
    """Makes a cluster's directory, with all its files, and removes it at the end of the block."""
    here = cluster.directory
    here.mkdir(parents=True, exist_ok=True)
    here.chmod(0o755)
    try:
        with (here / f"new-{_LOCK}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (here / f"new-{_LOCK}").rename(here / _LOCK)  # none is ever seen that is not held
            _write(cluster)
            yield
    finally:
        shutil.rmtree(here)


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


def remove_abandoned(directories: Iterable[Path]) -> None:
    """Removes what is left of labs whose pytest was killed: their files.

    Their processes, and with them their mounts and networks, ended together with it. A lab that
    lives holds its lock.
    """
    for directory in directories:
        with contextlib.suppress(OSError), (directory / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory)


def _write(cluster: Cluster) -> None:
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
