"""Code of the user's that a table calls when its items change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.replay.core.types import FloatArray, KeyArray, Numbers

_log = logging.getLogger(__name__)


class TableExtension:
    """What a table tells about its items. Override what you want to know.

    Methods are called after the change, for a whole batch, in the order of the changes, and under
    the table's lock: they must be quick, and must not call the table. What they raise is logged.
    Each takes the items' keys, `uint64[n]`, their priorities, `float64[n]`, and how often each has
    been sampled, `int32[n]`. An item that is sampled several times in one batch is named as often.
    """

    def on_insert(self, keys: KeyArray, priorities: FloatArray, times_sampled: Numbers) -> None:
        """Items were inserted."""

    def on_sample(self, keys: KeyArray, priorities: FloatArray, times_sampled: Numbers) -> None:
        """Items were sampled; this time counts already."""

    def on_update(self, keys: KeyArray, priorities: FloatArray, times_sampled: Numbers) -> None:
        """Items got other priorities."""

    def on_delete(self, keys: KeyArray, priorities: FloatArray, times_sampled: Numbers) -> None:
        """Items were deleted, by whomever; but not all of them at once by a reset."""

    def on_reset(self) -> None:
        """The table was emptied."""


class Extensions:
    """All extensions of a table, called as one."""

    def __init__(self, table: str, extensions: Sequence[TableExtension]) -> None:
        """Take the name of the table, for the log, and the extensions in their order."""
        self.all = tuple(extensions)
        self._table = table

    def __bool__(self) -> bool:
        return bool(self.all)

    def call(self, method: Callable[..., None], *arguments: object) -> None:
        """Call a method of `TableExtension` on each of them."""
        for extension in self.all:
            try:
                getattr(extension, method.__name__)(*arguments)
            except Exception:
                _log.exception(
                    "Table %r: %s of its extension %r failed. The table goes on.",
                    *(self._table, method.__name__, extension),
                )
