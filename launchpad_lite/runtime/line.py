"""The controller's end of a line to an agent."""

from __future__ import annotations

import abc
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from launchpad_lite.runtime import link
from launchpad_lite.runtime.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable


class Line(abc.ABC):
    """A way to one agent, used once."""

    @abc.abstractmethod
    def open(self, hear: Callable[[link.FromAgent], object], lost: Callable[[], object]) -> None:
        """Begin.

        Args:
          hear: is told what the agent says, in order.
          lost: is told, once, that the agent is gone or was hung up on.

        Raises:
          LaunchpadError: the agent cannot be brought up.
        """

    @abc.abstractmethod
    def say(self, message: link.ToAgent) -> None:
        """Tell the agent something; nothing if it is gone."""

    @abc.abstractmethod
    def close(self) -> None:
        """Hang up, upon which the agent ends its workers and itself."""


class SocketLine(Line):
    """To an agent of this host, over a stream socket."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        """Remember what brings up the agent and returns the socket to it."""
        self._connect = connect
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None

    def open(self, hear: Callable[[link.FromAgent], object], lost: Callable[[], object]) -> None:
        """See the base class."""
        sock = self._socket = self._connect()

        def listen() -> None:
            reader = link.Reader(sock)
            with contextlib.suppress(EOFError, OSError):
                while True:
                    for frame in reader.frames():
                        hear(link.decode_from_agent(frame))
            lost()

        self._reader = threading.Thread(target=listen, name="lp-agent-link", daemon=True)
        self._reader.start()

    def say(self, message: link.ToAgent) -> None:
        """See the base class."""
        if self._socket is not None:
            with contextlib.suppress(OSError), self._lock:  # the listener sees that it is gone
                self._socket.sendall(link.encode(message))

    def close(self) -> None:
        """See the base class."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._reader is not None and self._reader is not threading.current_thread():
                self._reader.join()
            self._socket.close()


class CalledLine(Line):
    """To an agent that calls the controller: it is told things in a stream, and answers in calls.

    Attributes:
      told: what the agent is told, as the frames of `link`.
    """

    def __init__(self) -> None:
        """Make the stream."""
        self.told = Subscription(lambda _: self._end())
        self._hear: Callable[[link.FromAgent], object] = lambda _: None
        self._lost: Callable[[], object] | None = None
        self._lock = threading.Lock()

    def open(self, hear: Callable[[link.FromAgent], object], lost: Callable[[], object]) -> None:
        """See the base class."""
        self._hear, self._lost = hear, lost

    def hear(self, frame: bytes) -> None:
        """Take what the agent says, in order: a frame of `link`, without its length."""
        self._hear(link.decode_from_agent(frame))

    def say(self, message: link.ToAgent) -> None:
        """See the base class."""
        self.told.put(link.encode(message))

    def close(self) -> None:
        """See the base class."""
        self.told.end()
        self._end()

    def _end(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, None
        if lost is not None:
            lost()
