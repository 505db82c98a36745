"""The gates of a server's tables, and the calls that wait at them: what they are told, and when."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from launchpad_lite.courier.call_context import get_call_context
from launchpad_lite.errors import ContextError
from launchpad_lite.replay.service.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from launchpad_lite.replay.core.table import Table
    from launchpad_lite.replay.service.gate import Operation

_log = logging.getLogger(__name__)

TOLD_AFTER_S = 5.0
"""Seconds after which the log says that an operation waits, and why; then after twice as many."""


class Gates(dict[str, Gate]):
    """The gate of each table, by its name."""

    def __init__(self, tables: Mapping[str, Table], note: Callable[[str], object]) -> None:
        """Make a gate for each table.

        Args:
          tables: the tables.
          note: is told what has waited for long, and an empty text when nothing does any more.
        """
        super().__init__((name, Gate(table)) for name, table in tables.items())
        self._note = note
        self._held: dict[Operation, str] = {}  # touched by the event loop alone

    def hurry(self, reason: str) -> None:
        """Let nobody wait any more; see `Gate.hurry`."""
        for gate in self.values():
            gate.hurry(reason)

    def close(self, reason: str) -> None:
        """Let nobody in any more; see `Gate.close`."""
        for gate in self.values():
            gate.close(reason)

    def enter(self, operation: Operation) -> bool:
        """Do an operation, or let it stand in line; return whether it has ended."""
        return self[operation.table.name].enter(operation)

    def leave(self, operation: Operation) -> None:
        """Take an operation out of its line."""
        self[operation.table.name].leave(operation)

    async def wait(
        self,
        operations: Sequence[Operation],
        timeout_s: float | None,
        until: Future[None] | None = None,
    ) -> bool:
        """Wait for operations that stand in line.

        Args:
          operations: they.
          timeout_s: seconds; None for no limit.
          until: what to wait for; None for the end of all of them.

        Returns:
          Whether that came in time.
        """
        import asyncio  # takes a moment to import, and is not needed where nobody ever waits

        caller, began, told_at = _caller(), time.monotonic(), TOLD_AFTER_S
        for each in operations:
            each.waiters += 1
            self.enter(each)  # one who waited for it too may have taken it out of the line
        awaited = [each.ended for each in operations] if until is None else [until]
        pending = {asyncio.wrap_future(future) for future in awaited}
        try:
            while True:
                waited = time.monotonic() - began
                end = told_at if timeout_s is None else min(told_at, timeout_s)
                done, pending = await asyncio.wait(pending, timeout=max(0.0, end - waited))
                for future in done:
                    future.exception()  # seen: it is raised where the operation ends
                if not pending or end == timeout_s:
                    return not pending
                told_at *= 2
                self._tell([each for each in operations if not each.ended.done()], caller, end)
        finally:
            for future in pending:
                future.cancel()  # or nobody would see what they fail with later
            for each in operations:
                each.waiters -= 1
                if not each.waiters:
                    self.leave(each)
            self._tell_no_more(operations)

    def _tell(self, held: Sequence[Operation], caller: str, seconds: float) -> None:
        for each in held:
            self._held[each] = (
                f"table {each.table.name!r}: {each.wanted} by {caller} has waited for "
                f"{seconds:g} s: {each.table.describe_limiter()}"
            )
            _log.warning("%s", self._held[each])
        self._note("; ".join(self._held.values()))

    def _tell_no_more(self, operations: Sequence[Operation]) -> None:
        told = [each for each in operations if self._held.pop(each, None) is not None]
        if told:
            self._note("; ".join(self._held.values()))


def _caller() -> str:
    try:
        return get_call_context().peer or "a client"
    except ContextError:
        return "a client"
