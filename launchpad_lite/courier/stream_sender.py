"""A stream as its server sends it over a framed connection, which it has to itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from launchpad_lite import context as node_context
from launchpad_lite.courier import frame, threads
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.stream_window import Window

if TYPE_CHECKING:
    from launchpad_lite.courier.callers import Caller
    from launchpad_lite.courier.messages import Request
    from launchpad_lite.courier.outbox import Outbox
    from launchpad_lite.courier.sharing import Sharing
    from launchpad_lite.courier.transport import ReplyStream, Service


class StreamSender:
    """Runs a stream's method in a thread of its own, no further ahead than its reader wants."""

    def __init__(self, service: Service, outbox: Outbox, sharing: Sharing | None) -> None:
        """Prepare it.

        Args:
          service: has the method.
          outbox: the connection's.
          sharing: what large arrays travel in beside it.
        """
        self._service = service
        self._outbox = outbox
        self._sharing = sharing
        self._window = Window()
        self._lock = threading.Lock()
        self._replies: ReplyStream | None = None
        self._closed = False

    def start(self, request: Request, caller: Caller) -> None:
        """Begin.

        Raises:
          ResourceExhausted: there can be no more threads.
        """
        name = f"lp-stream {self._service.info().name}"
        threads.start(name, lambda: self._run(request, caller))

    def _run(self, request: Request, caller: Caller) -> None:
        node_context.adopt(self._service.context)
        replies = self._service.open_stream(request, caller)
        with self._lock:
            self._replies = replies
            closed = self._closed
        if closed:
            replies.close()
        complete = False
        try:
            complete = self._send(replies)
        except OSError:
            pass  # the client is gone
        finally:
            replies.close()
            # a client that has all of it hangs up itself: what it tells until then is no trouble
            if not complete:
                self._outbox.hang_up()

    def _send(self, replies: ReplyStream) -> bool:
        """Send the replies; return whether it was all of them."""
        while self._window.wait():
            reply = next(replies, None)
            if reply is None:
                if not replies.closed:
                    self._outbox.send(frame.pack(frame.Kind.END, 0, Payload(b"")))
                return not replies.closed
            self._window.note(reply.content.size)
            self._outbox.send(frame.pack_reply(reply, 0, self._sharing))
        return False

    def hear(self, count: int) -> None:
        """Note that the reader has read so many values more."""
        self._window.give(count)

    def close(self) -> None:
        """End it, for its reader is gone."""
        with self._lock:
            self._closed = True
            replies = self._replies
        self._window.close()
        if replies is not None:
            replies.close()
