"""What may be wrong with a cluster."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

from tests.slurm.lab import Lab

_ITSELF = (
    ("100", "sport", "6817", "lookup", "main"),
    ("101", "dport", "6817-6818", "lookup", "main"),
)
_ANY_OTHER = ("102", "dport", "10000-65534", "unreachable")


@contextlib.contextmanager
def hidden(lab: Lab, node: str, directory: Path) -> Generator[None]:
    """An empty directory takes the place of a directory on a node."""
    mount = lab.words_on(node, "mount", "-t", "tmpfs", "tmpfs", str(directory))
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(lab.words_on(node, "umount", str(directory)), check=True)


@contextlib.contextmanager
def walled(lab: Lab) -> Generator[None]:
    """From the login node nobody reaches any ports of the others but SLURM's own."""
    rules = (*_ITSELF, _ANY_OTHER)
    for priority, *rule in rules:
        lab.run("ip", "rule", "add", "prio", priority, "ipproto", "tcp", *rule)
    try:
        yield
    finally:
        for priority, *_ in rules:
            lab.run("ip", "rule", "delete", "prio", priority)
