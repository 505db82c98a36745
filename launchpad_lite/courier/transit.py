"""How long calls were on their way: what waits in a socket ages, and its client may be gone."""

from __future__ import annotations

import time

WINDOW_MS = 60_000
"""For so long the quickest way is remembered.

Meanwhile the clocks of two hosts drift apart by less than 30 ms. After a host was suspended they
differ by any time, and all is well again after this one.
"""

_MASK = 0xFFFFFFFF  # the clock goes round, every 49 days
_HALF = 2**31


def now() -> int:
    """Return the time in ms of this host's clock; never 0."""
    return int(time.monotonic() * 1000) & _MASK or 1


def _difference(later: int, earlier: int) -> int:
    return (later - earlier + _HALF & _MASK) - _HALF


class TransitTimes:
    """Tells how much longer than the quickest what came from one peer was on its way.

    On one host both ends have the same clock, and the quickest way takes no time. Between hosts,
    what the clocks differ by is not known: it is part of the time of the quickest. While a
    connection is so busy that all waits, for longer than `WINDOW_MS`, times are too short by that.
    """

    def __init__(self, *, one_clock: bool) -> None:
        """Begin with a peer.

        Args:
          one_clock: whether it is on this host.
        """
        self._one_clock = one_clock
        self._least: int | None = 0 if one_clock else None
        self._recent = 0  # the least since `_since`
        self._since = 0

    def of(self, sent: int, arrived: int | None = None) -> float:
        """Return the seconds that something was on its way.

        Args:
          sent: the time of `now` at the peer.
          arrived: that of this process; None for now.
        """
        arrived = now() if arrived is None else arrived
        took = arrived - sent & _MASK
        if not self._one_clock:
            self._learn(took, arrived)
        return max(0, _difference(took, self._least or 0)) / 1000

    def _learn(self, took: int, arrived: int) -> None:
        age = arrived - self._since & _MASK
        if self._least is None or age > 2 * WINDOW_MS:  # all that is known is too old
            self._least = self._recent = took
            self._since = arrived
        elif age > WINDOW_MS:
            self._least, self._recent, self._since = self._recent, took, arrived
        elif _difference(took, self._recent) < 0:
            self._recent = took
        if _difference(self._recent, self._least) < 0:
            self._least = self._recent
