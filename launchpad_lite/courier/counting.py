"""Counts one call that has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import CallError, StatusCode

if TYPE_CHECKING:
    from launchpad_lite.courier.codec import Payload
    from launchpad_lite.metrics import CallStats

clock = time.perf_counter_ns
"""Of latencies."""

FAILED = StatusCode.UNKNOWN.name
"""The code of what a method raised."""

CANCELLED = StatusCode.CANCELLED.name
"""The code of a future that was cancelled."""


def code_of(error: BaseException | None) -> str:
    """Return the name of the status code of an exception."""
    return error.code.name if isinstance(error, CallError) else FAILED


def note_end(stats: CallStats, start: int, sent: Payload | None, received: Payload | None) -> None:
    """Count a call that has ended.

    Args:
      stats: where.
      start: the time of `time.perf_counter_ns` when it began.
      sent: what this side has sent; None for nothing that is not counted yet.
      received: what it got; the same.
    """
    stats.buckets[(clock() - start).bit_length()] += 1
    # most have no buffers
    if sent is not None:
        stats.sent += sent.size if sent.buffers else len(sent.pickled)
    if received is not None:
        stats.received += received.size if received.buffers else len(received.pickled)
