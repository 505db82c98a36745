"""A stream inside one process: a thread runs the method, a bounded number of values ahead."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING

from launchpad_lite import context as node_context
from launchpad_lite.courier import threads
from launchpad_lite.courier.stream_window import Readings, Window
from launchpad_lite.courier.transport import ReplyStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Context
    from launchpad_lite.courier.messages import Reply


class InprocStream(ReplyStream):
    """A service's stream that its listener and its channel can end."""

    def __init__(self, replies: ReplyStream, forget: Callable[[InprocStream], object]) -> None:
        """Take over a service's stream; `start` begins it.

        Args:
          replies: the stream.
          forget: is called when it has ended.
        """
        self._replies = replies
        self._forget = forget
        self._window = Window()
        self._readings = Readings()
        self._changed = threading.Condition()
        self._ready: collections.deque[Reply] = collections.deque()
        self._over = False
        self._why: Exception | None = None

    def start(self, name: str, context: Context | None) -> None:
        """Run the method in a thread of its own.

        Raises:
          ResourceExhausted: there can be none.
        """
        threads.start(name, self._run, context)

    def _run(self, context: Context | None) -> None:
        node_context.adopt(context)
        while self._window.wait() and (reply := next(self._replies, None)) is not None:
            self._window.note(reply.content.size)
            with self._changed:
                if self._over:
                    break
                self._ready.append(reply)
                self._changed.notify_all()
        self._replies.close()
        self.end(None)

    def __next__(self) -> Reply:
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._ready)
            if self._ready:
                reply = self._ready.popleft()
                self._window.give(self._readings.note(reply.content.size))
                return reply
            why, self._why = self._why, None
        if why is not None:
            raise why
        raise StopIteration

    def end(self, why: Exception | None) -> None:
        """End it after what is ready, with an error or as complete; the first end counts."""
        with self._changed:
            if not self._over:
                self._over, self._why = True, why
            self._changed.notify_all()
        self._window.close()
        self._forget(self)
        if why is not None:
            self._replies.close()

    def close(self) -> None:
        """See the base class."""
        with self._changed:
            self._over = self.closed = True
            self._why = None
            self._ready.clear()
            self._changed.notify_all()
        self._window.close()
        self._forget(self)
        self._replies.close()
