"""A directory of checkpoints: a new one appears when it is whole, and only then an old one goes."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pathlib
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"checkpoint-(\d+)\.replay")
_BEGINNING, _END = ".checkpoint-", ".partial"


class Directory(NamedTuple):
    """Where checkpoints are.

    Attributes:
      path: the directory, which need not exist.
      group: whose members may read them too; empty for nobody.
      keep: how many are kept.
    """

    path: pathlib.Path
    group: str
    keep: int

    def checkpoints(self) -> list[pathlib.Path]:
        """Return the checkpoints, the latest first.

        Raises:
          OSError: the directory cannot be read.
        """
        if not self.path.exists():
            return []
        numbers = [(_number(path), path) for path in self.path.iterdir()]
        return [path for number, path in sorted(numbers, reverse=True) if number]

    def write(self, fill: Callable[[io.FileIO], None]) -> pathlib.Path:
        """Make a checkpoint.

        It is written beside the others, and gets its name once it is whole and on the disk; then
        those that are too old go. What processes left that died while they wrote goes first.

        Args:
          fill: writes it to a file.

        Returns:
          Where it is.

        Raises:
          OSError: the directory cannot be made, or the file not written. Nothing is left of it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        descriptor, name = tempfile.mkstemp(_END, _BEGINNING, self.path)
        partial = pathlib.Path(name)
        try:
            with io.FileIO(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # it is no leftover as long as this is held
                if self.group:
                    shutil.chown(partial, group=self.group)
                    partial.chmod(0o640)
                fill(file)
                os.fsync(file)
                path = self._next()
                partial.rename(path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(partial.parent)
            raise
        self._sync()
        for old in self.checkpoints()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def _next(self) -> pathlib.Path:
        latest = next(iter(self.checkpoints()), None)
        number = 1 if latest is None else _number(latest) + 1
        return self.path / f"checkpoint-{number:08}.replay"

    def _sync(self) -> None:
        """Wait until the names are on the disk too."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_leftovers(self) -> None:
        for path in self.path.glob(f"{_BEGINNING}*{_END}"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while it is written
                path.unlink()


def _number(path: pathlib.Path) -> int:
    """Return a checkpoint's number, which is at least 1, or 0 for any other file."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0
