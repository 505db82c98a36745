"""What users give where tables, or a checkpointer, are needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.checkpoint.checkpointers import (
    CheckpointerBase,
    default_checkpointer,
)
from launchpad_lite.replay.core.table import Table
from launchpad_lite.validation import instance

_checkpointer = instance(
    CheckpointerBase, "one of replay.checkpointers, such as DefaultCheckpointer(path)"
)


def require_tables(given: object) -> list[Table]:
    """Return the tables that a server is to have.

    Raises:
      UsageError: these are none, or two have one name.
    """
    wanted = "a replay server needs a list of tables, such as [replay.Table(...)]"
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | dict):
        raise UsageError(f"{wanted}, not {_shown(cast('object', given))}.")
    tables = list(cast("Iterable[Any]", given))
    for index, each in enumerate(tables):
        if not isinstance(each, Table):
            raise UsageError(f"{wanted}; part [{index}] is {_shown(each)}.")
    if not tables:
        raise UsageError("a replay server needs at least one table, and the list is empty.")
    names = [table.name for table in tables]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two tables have the name {name!r}.")
    return tables


def checkpointer_of(given: object) -> CheckpointerBase:
    """Return the checkpointer that a server is to have, the default one for None.

    Raises:
      UsageError: it is none.
    """
    if given is None:
        return default_checkpointer()
    checkpointer: CheckpointerBase = _checkpointer("checkpointer", given)
    return checkpointer


def _shown(value: object) -> str:
    """Return a value in a few words."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    cls = type(value)
    return f"a {cls.__qualname__} of {cls.__module__.partition('.')[0]}"
