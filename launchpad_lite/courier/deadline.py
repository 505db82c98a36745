"""How long a call may still take."""

from __future__ import annotations

import time

_FOREVER_S = 2.0**31  # more than locks, sockets or gRPC can wait, infinity included


class Deadline:
    """What is left of a timeout.

    Attributes:
      timeout: the seconds that there were in the beginning; None for no limit.
    """

    def __init__(self, timeout: float | None) -> None:
        """Start the clock; None never ends."""
        if timeout is not None and timeout >= _FOREVER_S:
            timeout = None
        self.timeout = timeout
        self._at = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None for no limit."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def __str__(self) -> str:
        """Return what there was in the beginning, for messages."""
        return "the time there was" if self.timeout is None else f"{self.timeout:g} s"

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0
