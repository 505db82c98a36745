"""A job's log as it comes over lines that may break: what of it is new, and when it is all."""

from __future__ import annotations

LOST_S = 60.0
"""Seconds without any answer after which a dashboard is taken to be gone."""

SILENT_S = 10.0
"""Seconds that the rest of a log is tried for whose job has ended."""


class Tail:
    """Decides; others talk to the dashboard. Times are a monotonic clock's, in seconds.

    Each line brings the log from its beginning.
    """

    def __init__(self, now: float) -> None:
        """Begin with nothing."""
        self._seen = 0
        self._skipped = 0
        self._rest = ""
        self._is_open = False
        self._answered = now
        self._all_told = False
        self._over_since: float | None = None

    def begin(self) -> None:
        """Note that another line begins."""
        self._skipped = 0
        self._is_open = False

    def take(self, text: str) -> list[str]:
        """Take what came over the line, at first something empty; return the lines that are new."""
        self._is_open = True
        fresh = text[max(0, self._seen - self._skipped) :]
        self._skipped += len(text)
        self._seen += len(fresh)
        *lines, self._rest = (self._rest + fresh).split("\n")
        return lines

    def end(self, now: float, *, told_all: bool) -> None:
        """Note that the line has ended, or was lost; it may have been held for days.

        Args:
          now: the time.
          told_all: whether it ended in order.
        """
        if self._is_open:
            self._answered = now
        self._all_told = told_all

    def asked(self, now: float, *, is_over: bool) -> None:
        """Note whether the job is over, of which the dashboard was asked after the line."""
        self._answered = now
        if is_over and self._over_since is None:
            self._over_since = now

    def lacks_end(self) -> bool:
        """Whether the job is over, and its log not known to be here."""
        return self._over_since is not None and not self._all_told

    def is_complete(self, now: float) -> bool:
        """Whether no more will come."""
        since = self._over_since
        return since is not None and (self._all_told or now - since > SILENT_S)

    def is_lost(self, now: float) -> bool:
        """Whether the dashboard is taken to be gone."""
        return now - self._answered > LOST_S

    def rest(self) -> list[str]:
        """Return the last line if nothing has ended it."""
        return [self._rest] if self._rest else []
