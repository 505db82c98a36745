"""How far a stream's method may be ahead of its reader."""

from __future__ import annotations

import collections
import threading

AHEAD = 64
"""Values that may have been sent and are not read."""

AHEAD_BYTES = 2**22
"""Bytes of such values; one value may have any number."""


class Window:
    """Counts what a stream has sent and nobody has read."""

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self._changed = threading.Condition()
        self._sizes: collections.deque[int] = collections.deque()
        self._bytes = 0
        self._closed = False

    def wait(self) -> bool:
        """Wait until one more value may be sent; return whether it may, for the end ends it too."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._open)
            return not self._closed

    @property
    def _open(self) -> bool:
        return len(self._sizes) < AHEAD and self._bytes < AHEAD_BYTES

    def note(self, size: int) -> None:
        """Count a value of so many bytes that is sent now."""
        with self._changed:
            self._sizes.append(size)
            self._bytes += size

    def give(self, count: int) -> None:
        """Note that so many values more have been read, or that more is claimed than is true."""
        if count:
            with self._changed:
                for _ in range(min(count, len(self._sizes))):
                    self._bytes -= self._sizes.popleft()
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Readings:
    """Counts what was read and is not told yet; to tell each value by itself costs too much."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._count = 0
        self._bytes = 0

    def note(self, size: int) -> int:
        """Count a value of so many bytes; return how many are to be told of now, mostly 0."""
        self._count += 1
        self._bytes += size
        if self._count < AHEAD // 2 and self._bytes < AHEAD_BYTES // 2:
            return 0
        count, self._count, self._bytes = self._count, 0, 0
        return count
