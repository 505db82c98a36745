"""The directory of a lab, which is removed at its end or by the next lab."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path

_LOCK = "lock"


@contextlib.contextmanager
def held(directory: Path) -> Generator[None]:
    """Makes a lab's directory, and removes it with all that is in it at the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    try:
        with (directory / f"new-{_LOCK}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (directory / f"new-{_LOCK}").rename(directory / _LOCK)  # none is seen that is not held
            yield
    finally:
        shutil.rmtree(directory)


def remove_abandoned(directories: Iterable[Path]) -> None:
    """Removes what is left of labs whose pytest was killed: their files.

    Their processes, and with them their mounts and networks, ended together with it. A lab that
    lives holds its lock.
    """
    for directory in directories:
        with contextlib.suppress(OSError), (directory / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory)
