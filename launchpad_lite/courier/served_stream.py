"""A stream as its server sees it: values of a method, one after the other, as replies."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier import running_call
from launchpad_lite.courier.transport import ReplyStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launchpad_lite.courier.call import ReceivedCall
    from launchpad_lite.courier.messages import Reply

_log = logging.getLogger(__name__)


class ServedStream(ReplyStream):
    """Runs a method's generator in the thread that asks for replies; a failure is the last one."""

    def __init__(
        self,
        call: ReceivedCall,
        begin: Callable[[], Iterator[object]],
        encode: Callable[[object], Reply],
        failure: Callable[[BaseException], Reply],
        ended: Callable[[], object],
    ) -> None:
        """Prepare a stream; it begins when it is first asked for a reply.

        Args:
          call: what the client has sent.
          begin: calls the method, and returns its values.
          encode: returns a value as a reply.
          failure: returns an exception as a reply.
          ended: is called once, in the end.
        """
        self._call = call
        self._begin = begin
        self._encode = encode
        self._failure = failure
        self._when_ended = ended
        self._values: Iterator[object] | None = None
        self._thread = 0  # that asks
        self._over = False
        self._let_go = False
        self._lock = threading.Lock()
        self._variables = contextvars.copy_context()
        self._variables.run(running_call.current.set, call)

    def __next__(self) -> Reply:
        self._thread = threading.get_ident()
        if not self._over:
            try:
                if self._values is None:
                    self._values = self._variables.run(self._begin)
                    if self.closed:  # meanwhile, when there was nothing to close
                        self._close_values()
                reply = self._encode(self._variables.run(next, self._values))
            except StopIteration:
                self._over = True
            except BaseException as error:
                self._over = True
                if not self.closed:
                    reply = self._failure(error)
                    self._end()
                    return reply
            else:
                if not self._over:
                    return reply
        self._end()
        raise StopIteration

    def close(self) -> None:
        """See the base class; a generator that runs ends when it yields."""
        if not self._over:
            self._over = self.closed = True
            self._call.cancel()
            self._close_values()
        if self._thread in (0, threading.get_ident()):
            self._end()

    def _close_values(self, *, generator: bool = False) -> None:
        """Close what has something to close; a generator only in the thread that runs it."""
        close = getattr(self._values, "close", None)
        if close is not None and (generator or not hasattr(self._values, "gi_frame")):
            self._run(close)

    def _end(self) -> None:
        with self._lock:
            first, self._let_go = not self._let_go, True
        if first:
            self._close_values(generator=True)
            self._call.ended()
            self._when_ended()

    def _run(self, close: Callable[[], Any]) -> None:
        try:
            self._variables.copy().run(close)
        except BaseException:
            _log.exception("the stream %s could not be closed", self._call.title)
