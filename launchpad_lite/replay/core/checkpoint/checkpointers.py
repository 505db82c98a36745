"""Checkpointers: what writes and reads the checkpoints of a replay server."""

from __future__ import annotations

import abc
import grp
import logging
import os
import pathlib
import tempfile
from typing import TYPE_CHECKING, cast

from launchpad_lite import validation
from launchpad_lite.errors import CheckpointError, UsageError
from launchpad_lite.replay.core.checkpoint.directory import Directory
from launchpad_lite.replay.core.checkpoint.restoring import read_tables
from launchpad_lite.replay.core.checkpoint.sections import SectionReader, SectionWriter
from launchpad_lite.replay.core.checkpoint.snapshot import write_tables

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

    from launchpad_lite.replay.core.rows import RowStore
    from launchpad_lite.replay.core.table import Table

_log = logging.getLogger(__name__)

_count = validation.integer(1)

_PATHS: tuple[type, ...] = (str, os.PathLike)


class CheckpointerBase(abc.ABC):
    """Where a server's checkpoints are written, and read.

    A server loads the latest one when it starts, and calls `save` from one thread at a time.
    """

    @abc.abstractmethod
    def save(self, tables: Sequence[Table], store: RowStore) -> str:
        """Write a checkpoint, while the tables go on.

        Args:
          tables: what to write.
          store: where their data is.

        Returns:
          The path.

        Raises:
          OSError: it cannot be written.
        """

    @abc.abstractmethod
    def load(self, tables: Sequence[Table], store: RowStore) -> tuple[str, ...] | None:
        """Fill tables with the latest checkpoint.

        Args:
          tables: the tables, all empty.
          store: where their data is to be.

        Returns:
          Which settings of the tables differ from those then, a sentence each; None if there is no
          checkpoint.

        Raises:
          CheckpointError: it is damaged, or does not fit the tables. They are empty still.
        """


class DefaultCheckpointer(CheckpointerBase):
    """Writes checkpoints as files in a directory, and loads the latest one there.

    A checkpoint appears under its name when it is whole and on the disk. The previous one is kept
    beside it; older ones are deleted then. Whatever ends the writing, a full disk or the end of the
    process, leaves them as they were.

    A latest checkpoint that is damaged is never passed over: `load` fails and says how to go on
    with the previous one, since nobody wants to lose the steps in between, or all of them, without
    being asked.

    Only one server at a time should write to a directory.

    Attributes:
      path: the directory.
      group: the group of the system's users that may read the files too; empty for none.
      keep: how many checkpoints are kept.
    """

    def __init__(self, path: str | os.PathLike[str], group: str = "", *, keep: int = 2) -> None:
        """Name the directory, which is made by the first checkpoint.

        Args:
          path: the directory.
          group: a group of the system's users that may read the files too; empty for none.
          keep: how many checkpoints are kept; at least 1.

        Raises:
          UsageError: an argument is wrong, or there is no such group.
        """
        with validation.within(type(self).__name__):
            self.path = _path(path)
            self.group: str = validation.text("group", group)
            self.keep: int = _count("keep", keep)
            if group:
                _check_group(group)

    def save(self, tables: Sequence[Table], store: RowStore) -> str:
        """See the base class; an `OSError` names the directory."""

        def fill(file: io.FileIO) -> None:
            write_tables(SectionWriter(file), tables, store)

        return str(self._directory().write(fill))

    def load(self, tables: Sequence[Table], store: RowStore) -> tuple[str, ...] | None:
        """See the base class."""
        found = self._directory().checkpoints()
        if not found:
            return None
        latest, *others = found
        path = str(latest)
        try:
            with latest.open("rb", buffering=0) as file:
                differences = read_tables(SectionReader(file, path), path, tables, store)
        except CheckpointError as error:
            then = f"load the one before it, {others[0]}" if others else "begin with empty tables"
            raise CheckpointError(f"{error} To {then}, move this file away.") from None
        _log.info("replay: the tables are those of the checkpoint %s", path)
        return differences

    def latest(self) -> str | None:
        """Return the path of the latest checkpoint, or None if there is none.

        Raises:
          OSError: the directory cannot be read.
        """
        return next(map(str, self._directory().checkpoints()), None)

    def _directory(self) -> Directory:
        return Directory(pathlib.Path(self.path), self.group, self.keep)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"


class TempDirCheckpointer(DefaultCheckpointer):
    """Writes checkpoints to a new temporary directory, which stays when the process ends.

    A later server finds nothing there by itself; give it `DefaultCheckpointer(path)` for that.
    """

    def __init__(self) -> None:
        """Choose the directory; it is made by the first checkpoint."""
        super().__init__(pathlib.Path(tempfile.gettempdir(), f"lp-replay-{os.urandom(8).hex()}"))


def default_checkpointer() -> CheckpointerBase:
    """Return what a server uses that is given none: a `TempDirCheckpointer`."""
    return TempDirCheckpointer()


def _path(given: object) -> str:
    path = os.fspath(cast("str", given)) if isinstance(given, _PATHS) else ""
    if not path:
        validation.refuse("path", given, "the path of a directory")
    return path


def _check_group(group: str) -> None:
    try:
        grp.getgrnam(group)
    except KeyError:
        message = f"group={group!r}: this host has no such group."
        raise UsageError(message) from None
