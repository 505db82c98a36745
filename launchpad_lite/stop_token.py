"""How a node learns that its run stops."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from launchpad_lite.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)


def call_handler(handler: Callable[[], object]) -> None:
    """Call a stop handler; what it raises ends no more than the handler."""
    try:
        handler()
    except SystemExit:
        pass
    except Exception:
        _log.exception("a stop handler raised")


class StopToken:
    """One node's view of its run's end, in two steps.

    *Notice*: the run stops; the node has some seconds to finish, and calls still work. *Close*:
    the time is over; every call that still waits raises `Stopped`.

    A node that used any of the methods for users is *attentive*: it gets those seconds. One that
    never asked would only waste them.
    """

    def __init__(self) -> None:
        """Make a token of a run that goes on."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._handlers: list[Callable[[], object]] = []
        self._closers: list[Callable[[], object]] = []
        self._deadline: float | None = None
        self._handled = threading.Event()
        self._closed_event = threading.Event()
        self.reason = ""
        self.attentive = False
        self.requested = False
        """Whether this node asked for the end of the run."""

    @property
    def event(self) -> threading.Event:
        """An event that is set at the notice."""
        self.attentive = True
        return self._event

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the notice, at most `timeout` seconds; return whether the run stops."""
        self.attentive = True
        return self._event.wait(timeout)

    def register(self, handler: Callable[[], object]) -> None:
        """Call `handler` once, in the thread that gives the notice; at once when that is past."""
        self.attentive = True
        with self._lock:
            if not self._event.is_set():
                self._handlers.append(handler)
                return
        call_handler(handler)

    def unregister(self, handler: Callable[[], object]) -> None:
        """Forget a handler; one that is not registered is no error."""
        with self._lock:
            if handler in self._handlers:
                self._handlers.remove(handler)

    def expect(self, seconds: float) -> bool:
        """Wait for a notice that is on its way; unlike `wait`, says nothing of the node."""
        return self._event.wait(seconds)

    @property
    def stopping(self) -> bool:
        """Whether the notice has come."""
        return self._event.is_set()

    @property
    def closed(self) -> bool:
        """Whether the time is over."""
        return self._closed_event.is_set()

    def seconds_left(self) -> float | None:
        """Return the seconds until the node must have ended; None while the run goes on."""
        deadline = self._deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def notice(self, seconds: float, reason: str) -> None:
        """Give notice, once; run the handlers in the calling thread."""
        with self._lock:
            if self._event.is_set():
                return
            self.reason = reason
            self._deadline = time.monotonic() + seconds
            handlers, self._handlers = self._handlers, []
            self._event.set()
        try:
            for handler in handlers:
                call_handler(handler)
        finally:
            self._handled.set()

    def finish(self) -> None:
        """Wait for the end of the stop handlers if the notice has come."""
        if self._event.is_set():
            self._handled.wait()

    def close(self, seconds: float = 0.0, reason: str = "") -> None:
        """End the node's time: wake every call that waits.

        Args:
          seconds: what is left to the stop handlers, if there was no notice.
          reason: why, if there was no notice.
        """
        self.notice(seconds, reason)
        with self._lock:
            self._closed_event.set()
            closers, self._closers = self._closers, []
        for closer in closers:
            closer()

    def wait_closed(self) -> None:
        """Wait until the time is over."""
        self._closed_event.wait()

    def on_close(self, closer: Callable[[], object]) -> None:
        """Call `closer` when the time is over; at once when it is."""
        with self._lock:
            if not self.closed:
                self._closers.append(closer)
                return
        closer()

    def forget(self, closer: Callable[[], object]) -> None:
        """Undo `on_close`."""
        with self._lock:
            if closer in self._closers:
                self._closers.remove(closer)

    def check(self) -> None:
        """Raise when the time is over.

        Raises:
          Stopped: the run has stopped.
        """
        if self.closed:
            message = f"the run has stopped ({self.reason or 'no reason given'})"
            raise Stopped(message)
