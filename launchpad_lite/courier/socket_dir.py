"""Private directories for Unix sockets, with short paths: a socket's may have 108 bytes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile

_MAX_ROOT = 50
"""The longest path under which they are made."""


def make() -> str:
    """Return a new one, of mode 0700."""
    return tempfile.mkdtemp(prefix="lp-", dir=_root())


def remove(path: str | pathlib.Path) -> None:
    """Remove one, if nothing but sockets is in it."""
    directory = pathlib.Path(path)
    with contextlib.suppress(OSError):
        for each in directory.iterdir():
            if each.is_socket():
                each.unlink()
        directory.rmdir()


def _root() -> str:
    """Return where they are made: in memory, if that can be.

    A file system on a disk takes ten times as long to make a socket.
    """
    for path in (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108 - mkdtemp's parent
        if 0 < len(path) <= _MAX_ROOT and os.access(path, os.W_OK | os.X_OK):
            return path
    return "/tmp"  # noqa: S108 - mkdtemp's parent
