"""Counts the calls that this process makes and answers, by method and server."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from launchpad_lite import validation
from launchpad_lite.courier.counting import clock, code_of, note_end
from launchpad_lite.courier.transport import ReplyStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.courier.codec import Payload
    from launchpad_lite.courier.messages import Reply, Request
    from launchpad_lite.courier.transport import Channel
    from launchpad_lite.metrics import CallMetrics, CallStats


class Source(Protocol):
    """Something that counts."""

    @property
    def run_id(self) -> str:
        """The run it belongs to; empty for none."""
        ...

    @property
    def internal(self) -> bool:
        """Whether its calls hold the run together, and are no user's."""
        ...

    def metrics(self) -> Iterator[CallMetrics]:
        """Yield what it has counted."""
        ...


_sources: weakref.WeakSet[Source] = weakref.WeakSet()
_lock = threading.RLock()  # may be wanted again by a garbage collection inside it


def register(source: Source) -> None:
    """Ask something for its counts, as long as it lives."""
    with _lock:
        _sources.add(source)


def metrics(run_id: str | None = None, *, internal: bool = False) -> list[CallMetrics]:
    """Return what this process has counted of calls, those it made and those it answered.

    Counting is always on. What a client has counted is kept as long as anyone in the node has a
    client of the same server; what a server has counted, as long as there is the server.

    Args:
      run_id: of one run's nodes; None for all that the process has.
      internal: also the calls that hold a run together, between its nodes and its controller.

    Raises:
      UsageError: an argument has another type.
    """
    with validation.within("courier.metrics"):
        run_id = validation.optional(validation.text)("run_id", run_id)
        internal = validation.boolean("internal", internal)
    with _lock:
        sources = list(_sources)
    found = [
        row
        for source in sources
        if (run_id is None or source.run_id == run_id) and (internal or not source.internal)
        for row in source.metrics()
    ]
    return sorted(found, key=lambda row: (row.node, row.side, row.server, row.method, row.caller))


def call(channel: Channel, request: Request) -> Reply:
    """Make a call on a channel, and count it."""
    stats = channel.meter[request.method]
    stats.begun += 1
    start = clock()
    try:
        reply = channel.call(request)
    except BaseException as error:
        note_end(stats, start, request.arguments, None)
        stats.fail(code_of(error))
        raise
    note_end(stats, start, request.arguments, reply.content)
    if not reply.ok:
        stats.fail(reply.code)
    return reply


def stream(channel: Channel, request: Request) -> ReplyStream:
    """Begin a stream on a channel; it is one call, which ends with it."""
    stats = channel.meter[request.method]
    stats.begun += 1
    start = clock()
    try:
        return _CountedStream(channel.stream(request), stats, start, request.arguments)
    except BaseException as error:
        note_end(stats, start, request.arguments, None)
        stats.fail(code_of(error))
        raise


class _CountedStream(ReplyStream):
    def __init__(
        self, replies: ReplyStream, stats: CallStats, start: int, arguments: Payload
    ) -> None:
        self._replies = replies
        self._stats = stats
        self._start = start
        self._arguments: Payload | None = arguments

    def __next__(self) -> Reply:
        try:
            reply = next(self._replies)
        except StopIteration:
            self._end()
            raise
        except BaseException as error:
            self._end(code_of(error))
            raise
        self._stats.received += reply.content.size
        if not reply.ok:
            self._end(reply.code)
        return reply

    def _end(self, code: str | None = None) -> None:
        arguments, self._arguments = self._arguments, None
        if arguments is not None:
            note_end(self._stats, self._start, arguments, None)
            if code is not None:
                self._stats.fail(code)

    def close(self) -> None:
        self._replies.close()
        self._end()
