"""Lets peers in: accepts connections and hears who they are, before anyone waits for them."""

from __future__ import annotations

import abc
import os
import select
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.byte_stream import ByteStream

HANDSHAKE_S = 10.0
"""Seconds in which a peer must have said who it is."""

_NO_DESCRIPTORS_S = 0.1


class Acceptor(abc.ABC):
    """A place where peers connect."""

    endpoint: str
    """`scheme:place`, to be published."""

    @abc.abstractmethod
    def accept(self) -> ByteStream:
        """Return the stream of a peer that has connected; never waits for the peer.

        Raises:
          OSError: there is none, or it may not come in.
        """

    @abc.abstractmethod
    def fileno(self) -> int:
        """Return the descriptor that is readable when a peer has connected."""

    @abc.abstractmethod
    def close(self) -> None:
        """Take no more peers."""


class _Guest:
    """A peer that has not said all of its hello."""

    def __init__(self, stream: ByteStream, size: int) -> None:
        self.stream = stream
        self.hello = bytearray(size)
        self.heard = 0
        self.until = time.monotonic() + HANDSHAKE_S


class Greeter:
    """Accepts connections and hears hellos, without blocking, in a thread of its own.

    So a server whose threads are all busy can still be connected to, and a peer that says nothing
    keeps nobody waiting.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        name: str,
        size: int,
        welcome: Callable[[ByteStream, bytes], object],
        refused: Callable[[str, object], object],
    ) -> None:
        """Make it; nobody is let in yet.

        Args:
          acceptor: where peers connect; closed in the end.
          name: of the thread.
          size: the bytes of a hello.
          welcome: takes over a stream and its hello; it decides about them.
          refused: is told where a peer is, and why it may not say its hello.
        """
        self._acceptor = acceptor
        self._size = size
        self._welcome = welcome
        self._refused = refused
        self._poll = select.poll()
        self._poll.register(acceptor.fileno(), select.POLLIN)
        self._wake = os.eventfd(0)
        self._poll.register(self._wake, select.POLLIN)
        self._guests: dict[int, _Guest] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to let peers in."""
        self._thread.start()

    def stop(self) -> None:
        """Let nobody in any more; those that have not said who they are must go."""
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        self._acceptor.close()
        os.close(self._wake)

    def _run(self) -> None:
        while True:
            timeout = HANDSHAKE_S * 1000 if self._guests else None
            ready = [fd for fd, _ in self._poll.poll(timeout)]
            if self._wake in ready:
                break
            for fd in ready:
                if fd == self._acceptor.fileno():
                    self._accept()
                else:
                    self._hear(fd)
            now = time.monotonic()
            for fd in [fd for fd, guest in self._guests.items() if guest.until <= now]:
                self._send_away(fd)
        for fd in list(self._guests):
            self._send_away(fd)

    def _accept(self) -> None:
        try:
            stream = self._acceptor.accept()
        except ConnectionError:  # it has gone again, or may not come in
            return
        except OSError:  # no descriptors or no memory left, which others may give back
            time.sleep(_NO_DESCRIPTORS_S)
            return
        fd = stream.fileno()
        self._guests[fd] = _Guest(stream, self._size)
        self._poll.register(fd, select.POLLIN)
        self._hear(fd)  # most have said it already

    def _hear(self, fd: int) -> None:
        guest = self._guests[fd]
        try:
            count = guest.stream.receive_now(memoryview(guest.hello)[guest.heard :])
        except BlockingIOError:
            return
        except OSError as error:
            self._refused(guest.stream.peer, error)
            count = 0
        guest.heard += count
        if not count:
            self._send_away(fd)
        elif guest.heard == self._size:
            self._poll.unregister(fd)
            del self._guests[fd]
            self._welcome(guest.stream, bytes(guest.hello))

    def _send_away(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._guests.pop(fd).stream.close()
