"""A stream as its client reads it from a framed connection, which it has to itself."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from launchpad_lite.courier import frame
from launchpad_lite.courier.frame_reader import NotReceived
from launchpad_lite.courier.framed_futures import BROKEN
from launchpad_lite.courier.stream_window import Readings
from launchpad_lite.courier.transport import ReplyStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.connection import Connection
    from launchpad_lite.courier.messages import Reply, Request


class FramedStream(ReplyStream):
    """Reads a stream's replies, and tells its sender how many were read."""

    def __init__(self, connection: Connection, forget: Callable[[FramedStream], None]) -> None:
        """Take over a connection.

        Args:
          connection: to the server.
          forget: is called in the end.
        """
        self._connection = connection
        self._forget = forget
        self._reading = threading.Lock()
        self._readings = Readings()
        self._over: Exception | None = None  # why it ends, if not with its last reply
        self._left = False  # by `close`

    def begin(self, request: Request, gone: Exception) -> None:
        """Ask for the stream.

        Args:
          request: which.
          gone: what is raised when the server goes away.

        Raises:
          OSError: it has gone already.
        """
        kind, sharing = frame.Kind.STREAM, self._connection.sharing
        self._connection.send(frame.pack_request(request, 0, kind, sharing))
        self._over = gone

    def __next__(self) -> Reply:
        if self.closed:
            raise StopIteration
        answer: frame.Frame | None = None
        try:
            with self._reading:
                answer = self._connection.read()
                if answer.kind == frame.Kind.RESULT:
                    self._tell(self._readings.note(answer.content.size))
                    return answer.reply()
        except BROKEN:
            pass
        except NotReceived as error:
            self.close()
            raise error.reason from None
        if answer is not None and answer.kind == frame.Kind.FAILURE:
            self.close()
            return answer.reply()
        broken = answer is None or answer.kind != frame.Kind.END
        why = None if self._left else self._over
        self.close()
        if broken and why is not None:
            raise why
        raise StopIteration

    def _tell(self, count: int) -> None:
        if count:
            with contextlib.suppress(OSError):  # what has come before it broke can still be read
                self._connection.send(frame.pack_read(count))

    def end(self, why: Exception) -> None:
        """Close it because of an error."""
        self._over = why
        self._hang_up()

    def close(self) -> None:
        """See the base class."""
        self.closed = self._left = True
        self._hang_up()

    def _hang_up(self) -> None:
        self._forget(self)
        self._connection.hang_up()
        with self._reading:
            self._connection.close()
