"""Lets peers in: accepts connections and hears who they are, before anyone waits for them."""

from __future__ import annotations

import abc
import logging
import math
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

MAX_GUESTS = 128
"""Peers that have not said who they are, at a time; each has a descriptor of this process."""

CROWDED_S = 1.0
"""Seconds that such a peer certainly has, if it speaks, even though as many as may be are there."""

SHUT_S = 0.1
"""Seconds until the next try after a peer could not be let in; it waits meanwhile."""

_log = logging.getLogger(__name__)


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
        self.speaks = False  # something came, if only a part of TLS's handshake
        self.since = time.monotonic()


class Greeter:
    """Accepts connections and hears hellos, without blocking, in a thread of its own.

    So a server whose threads are all busy can still be connected to, and a peer that says nothing
    keeps nobody waiting: when there are `MAX_GUESTS`, it makes room for the next one. Nothing that
    goes wrong with one peer ends the thread.
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
        self._door = acceptor.fileno()
        self._poll.register(self._door, select.POLLIN)
        self._is_open = True
        self._shut_until = 0.0
        self._wake = os.eventfd(0)
        self._poll.register(self._wake, select.POLLIN)
        self._guests: dict[int, _Guest] = {}  # the oldest first
        self._lock = threading.Lock()
        self._begun = self._stopping = False
        self._thread = threading.Thread(target=self._begin, name=name, daemon=True)

    def start(self) -> None:
        """Begin to let peers in."""
        self._thread.start()

    def stop(self) -> None:
        """Let nobody in any more; those that have not said who they are must go."""
        with self._lock:
            self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._begun:
            self._thread.join()
        self._acceptor.close()
        os.close(self._wake)

    def _begin(self) -> None:
        with self._lock:
            if self._stopping:  # a signal has interrupted the start, say
                return
            self._begun = True
        self._run()

    def _run(self) -> None:
        timeout: float | None = None
        while True:
            ready = {fd for fd, _ in self._poll.poll(timeout)}
            if self._wake in ready:
                break
            for fd in ready & self._guests.keys():
                self._guests[fd].speaks = True
                self._hear(fd)
            if self._door in ready:
                self._accept()
            timeout = self._look_around()
        for fd in list(self._guests):
            self._send_away(fd)

    def _look_around(self) -> float | None:
        """Send away who is late, and shut the door while nobody may come in.

        Returns:
          The milliseconds until it is time to do so again; None for no limit.
        """
        now = time.monotonic()
        for fd in [fd for fd, each in self._guests.items() if each.since + HANDSHAKE_S <= now]:
            self._send_away(fd)
        opens_at = max(self._shut_until, self._has_room_at())
        is_open = opens_at <= now
        if is_open != self._is_open:
            self._is_open = is_open
            if is_open:
                self._poll.register(self._door, select.POLLIN)
            else:
                self._poll.unregister(self._door)
        late_at = next((each.since + HANDSHAKE_S for each in self._guests.values()), math.inf)
        next_at = late_at if is_open else min(late_at, opens_at)
        return None if next_at == math.inf else math.ceil(max(0.0, next_at - now) * 1000)

    def _has_room_at(self) -> float:
        """Return when another guest may come in, for one that leaves if need be."""
        leaver = self._leaver()
        return 0.0 if leaver is None or not leaver.speaks else leaver.since + CROWDED_S

    def _leaver(self) -> _Guest | None:
        """Return who leaves when another guest comes in: one that is silent, or else the oldest."""
        if len(self._guests) < MAX_GUESTS:
            return None
        guests = list(self._guests.values())
        return next((each for each in guests if not each.speaks), guests[0])

    def _accept(self) -> None:
        leaver = self._leaver()
        if leaver is not None:
            self._send_away(leaver.stream.fileno())
        try:
            stream = self._acceptor.accept()
        except ConnectionError:  # it has gone again, or may not come in
            return
        except OSError:  # no descriptors or no memory left, which others may give back
            self._shut_until = time.monotonic() + SHUT_S
            return
        except Exception:
            _log.exception("a peer is not let in")
            self._shut_until = time.monotonic() + SHUT_S
            return
        fd = stream.fileno()
        self._guests[fd] = _Guest(stream, self._size)
        self._poll.register(fd, select.POLLIN)

    def _hear(self, fd: int) -> None:
        guest = self._guests[fd]
        try:
            count = guest.stream.receive_now(memoryview(guest.hello)[guest.heard :])
        except BlockingIOError:
            return
        except OSError as error:
            self._safely(self._refused, guest.stream.peer, error)
            count = 0
        except Exception:
            _log.exception("a peer is sent away")
            count = 0
        guest.heard += count
        if not count:
            self._send_away(fd)
        elif guest.heard == self._size:
            self._poll.unregister(fd)
            del self._guests[fd]
            if not self._safely(self._welcome, guest.stream, bytes(guest.hello)):
                self._safely(guest.stream.close)

    @staticmethod
    def _safely(function: Callable[..., object], *args: object) -> bool:
        """Call a function that must not end the thread; return whether it did what it should."""
        try:
            function(*args)
        except Exception:
            _log.exception("a peer is sent away")
            return False
        return True

    def _send_away(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._safely(self._guests.pop(fd).stream.close)
