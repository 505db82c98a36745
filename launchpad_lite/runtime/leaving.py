"""Workers that leave hosts which will be gone: no I/O and no clock.

On each host they are ended as at the end of a run: notice, TERM, KILL.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launchpad_lite.runtime.events import Command, Kill, NotifyLeaving, Terminate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launchpad_lite.config import RunConfig
    from launchpad_lite.runtime.events import HostLeaving


@dataclasses.dataclass(eq=False)
class _Leave:
    """Workers that leave a host together.

    Attributes:
      names: those that have not ended yet.
      reason: why, for people.
      notice_end: until when they have time.
      end: when they are killed.
      deadline: when there is something to be done.
      terminating: whether they were told to end now.
    """

    names: list[str]
    reason: str
    notice_end: float
    end: float
    deadline: float | None
    terminating: bool = False


class Leaving:
    """The workers of a run that are to leave their hosts."""

    def __init__(self, runs: Mapping[str, bool], config: RunConfig) -> None:
        """Begin without any.

        Args:
          runs: for each worker, whether it still does something of its own; it changes.
          config: how long notice and grace are.
        """
        self._runs = runs
        self._config = config
        self._leaves: list[_Leave] = []

    def __contains__(self, name: str) -> bool:
        """Return whether a worker was told to leave, and has not ended yet."""
        return any(name in leave.names for leave in self._leaves)

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called; None for never."""
        found = [leave.deadline for leave in self._leaves if leave.deadline is not None]
        return min(found, default=None)

    def begin(self, event: HostLeaving, names: tuple[str, ...], now: float) -> Iterator[Command]:
        """Tell workers to leave; they have as long as at the end of a run, if there is the time."""
        notice = min(self._config.notice_s, max(0.0, event.seconds - self._config.grace_s))
        end = now + min(notice + self._config.grace_s, max(0.0, event.seconds))
        leave = _Leave(list(names), event.reason, now + notice, end, now + notice)
        self._leaves.append(leave)
        yield NotifyLeaving(names, notice, event.reason, ends=True)
        yield from self.look(now)

    def end(self, name: str) -> str:
        """Take it that a worker has ended; return why it was to leave, empty if it was not."""
        for leave in self._leaves:
            if name in leave.names:
                leave.names.remove(name)
                if not leave.names:
                    self._leaves.remove(leave)
                return leave.reason
        return ""

    def look(self, now: float) -> Iterator[Command]:
        """End those that only serve, where none of those beside them runs any more."""
        for leave in self._leaves:
            if not leave.terminating and not any(self._runs[name] for name in leave.names):
                yield self._terminate(leave, now)

    def tick(self, now: float) -> Iterator[Command]:
        """Act on deadlines that have passed."""
        for leave in self._leaves:
            if leave.deadline is None or now < leave.deadline:
                continue
            if leave.terminating:
                leave.deadline = None  # what does not even die is lost with its host
                yield Kill(tuple(leave.names))
            else:
                yield self._terminate(leave, now)

    def _terminate(self, leave: _Leave, now: float) -> Command:
        leave.terminating = True
        leave.deadline = leave.end
        return Terminate(tuple(leave.names), max(0.0, leave.notice_end - now))

    def forget(self) -> None:
        """Take it that the whole run ends."""
        self._leaves.clear()
