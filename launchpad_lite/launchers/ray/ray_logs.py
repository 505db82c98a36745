"""Nodes' logs among Ray's own, where its dashboard and `ray logs` find them."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable


def show(logs: Iterable[pathlib.Path], run_id: str, directory: pathlib.Path) -> None:
    """Give nodes' logs names among Ray's; where that cannot be done, they have none.

    On one file system they are the same files, and so stay when a run's directory is removed.

    Args:
      logs: the logs; those that are not there yet are made.
      run_id: what the names begin with.
      directory: Ray's, for the logs of this machine.
    """
    for log in logs:
        name = directory / f"{run_id}-{log.name}"
        with contextlib.suppress(OSError):
            os.close(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            if name.is_symlink() or name.exists():  # an actor before this one has done it
                if name.exists() and name.samefile(log):
                    continue
                name.unlink()
            try:
                name.hardlink_to(log)
            except OSError:  # another file system
                name.symlink_to(log)
