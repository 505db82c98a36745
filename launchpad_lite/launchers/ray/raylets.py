"""Whether this machine is a node of Ray clusters, told by the daemons that Ray runs on it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
from typing import TYPE_CHECKING

from launchpad_lite.launchers.ray.cluster import VARIABLE
from launchpad_lite.launchers.ray.options import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD = "ray_current_cluster"


def is_node() -> bool:
    """Whether this machine is a node of any cluster."""
    return next(_raylets(), None) is not None


def started_cluster() -> str | None:
    """Return the address of the cluster that `ray start` has made this machine a node of.

    Not of one that a process has for itself, as a program has that is launched without an address.
    Of several it is that which `RAY_ADDRESS` names; none, if that is `local`.
    """
    named = os.environ.get(VARIABLE)
    if named == LOCAL:
        return None
    found = {address for address, files in _raylets() if _recorded(files) == address}
    return named if named in found else min(found, default=None)


def _raylets() -> Iterator[tuple[str, str]]:
    """Yield the address of the cluster of each raylet here, and where that keeps its files."""
    import psutil  # takes a moment

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "raylet":
                words = [word.partition("=") for word in process.cmdline()]
                given = {name: value for name, _, value in words}
                if _is_local(given.get("--node_ip_address", "")):
                    yield given.get("--gcs-address", ""), given.get("--temp_dir", "")


def _is_local(host: str) -> bool:
    """Whether an address is one of this machine, not of a container on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((host, 0))
        return True
    return False


def _recorded(files: str) -> str:
    """Return the address that `ray start` has left among Ray's files."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return pathlib.Path(files, _RECORD).read_text().strip()
    return ""
