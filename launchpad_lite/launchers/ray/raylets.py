"""Whether this machine is a node of Ray clusters, told by the daemons that Ray runs on it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
from typing import TYPE_CHECKING, NamedTuple

from launchpad_lite.launchers.ray.addresses import VARIABLE
from launchpad_lite.launchers.ray.options import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD = "ray_current_cluster"
_ROOT = 0


class _Raylet(NamedTuple):
    """The daemon of a node.

    Attributes:
      address: that of the cluster.
      files: where it keeps its files.
      users: whose it is.
    """

    address: str
    files: str
    users: frozenset[int]


def is_node() -> bool:
    """Whether this machine is a node of any cluster."""
    return next(_raylets(), None) is not None


def started_cluster() -> str | None:
    """Return the address of the cluster that `ray start` has made this machine a node of.

    Not of one that a process has for itself, as a program has that is launched without an address.
    Nor of one that a user other than this one and root has started: who has a cluster has this
    process run what he likes. Of several it is that which `RAY_ADDRESS` names; none, if that is
    `local`.
    """
    named = os.environ.get(VARIABLE)
    if named == LOCAL:
        return None
    trusted = frozenset((_ROOT, os.geteuid()))
    found = {
        each.address
        for each in _raylets()
        if each.users <= trusted and _recorded(each.files, trusted) == each.address
    }
    return named if named in found else min(found, default=None)


def _raylets() -> Iterator[_Raylet]:
    """Yield the raylets here."""
    import psutil  # takes a moment

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "raylet":
                words = [word.partition("=") for word in process.cmdline()]
                given = {name: value for name, _, value in words}
                if _is_local(given.get("--node_ip_address", "")):
                    address, files = given.get("--gcs-address", ""), given.get("--temp_dir", "")
                    yield _Raylet(address, files, frozenset(process.uids()))


def _is_local(host: str) -> bool:
    """Whether an address is one of this machine, not of a container on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((host, 0))
        return True
    return False


def _recorded(files: str, trusted: frozenset[int]) -> str:
    """Return the address that `ray start` has left among Ray's files, where others may write."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        path = pathlib.Path(files, _RECORD)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK)) as record:  # no pipe is awaited
            if os.fstat(record.fileno()).st_uid in trusted:
                return record.read().strip()
    return ""
