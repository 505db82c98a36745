"""The server's side of the framed protocol, whatever carries its bytes."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier import auth, frame
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.event_loop import EventLoop
from launchpad_lite.courier.greeter import Acceptor, Greeter
from launchpad_lite.courier.refusals import Refusals
from launchpad_lite.courier.served_connection import ServedConnection
from launchpad_lite.courier.transport import Listener, Service
from launchpad_lite.credentials import TOKEN_BYTES

if TYPE_CHECKING:
    from launchpad_lite.courier.byte_stream import ByteStream

_HELLO_BYTES = len(frame.MAGIC) + TOKEN_BYTES


class FramedListener(Listener):
    """Serves one service to whoever connects in one place."""

    def __init__(self, service: Service, acceptor: Acceptor, busy_poll_us: int = 0) -> None:
        """Take over a place; see `ListenOptions` for the last."""
        self.endpoint = acceptor.endpoint
        self._service = service
        name = service.info().name
        self._loop = EventLoop(f"lp-loop {name}", service.context, busy_poll_us)
        self._refusals = Refusals(name)
        self._greeter = Greeter(
            acceptor, f"lp-accept {name}", _HELLO_BYTES, self._welcome, self._refusals.tell
        )
        self._connections: set[ServedConnection] = set()
        self._changed = threading.Condition()  # for who waits for the last answers
        self._stopping = False

    def start(self) -> None:
        """See the base class."""
        self._loop.start()
        self._greeter.start()

    def _welcome(self, stream: ByteStream, hello: bytes) -> None:
        """Take over a stream whose client has said who it is."""
        known = hello.startswith(frame.MAGIC) and auth.is_valid(
            hello[len(frame.MAGIC) :], self._service.credentials.token
        )
        if not known:
            self._refusals.tell(stream.peer, "it does not have the secret of this server")
            with contextlib.suppress(OSError):  # it may have gone
                stream.send_now(frame.pack(frame.Kind.REFUSED, 0, Payload(b"")))
            stream.hang_up()
            stream.close()
            return
        info = msgspec.msgpack.encode(self._service.info())
        connection = ServedConnection(
            stream, self._service, self._loop, changed=self._notice, closed=self._forget
        )
        connection.outbox.put(frame.pack(frame.Kind.WELCOME, 0, Payload(info)))
        with self._changed:
            self._connections.add(connection)
        try:
            connection.start()
        except BaseException:
            self._forget(connection)
            raise
        connection.outbox.flush()

    def _notice(self) -> None:
        """Look again at the connections, if anyone waits for their last answers."""
        if self._stopping:
            with self._changed:
                self._changed.notify_all()

    def _forget(self, connection: ServedConnection) -> None:
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def stop(self, grace: float) -> None:
        """See the base class."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
        deadline = time.monotonic() + grace
        self._greeter.stop()
        self._service.refuse()
        for connection in list(self._connections):
            connection.say_goodbye(last=False)
        with self._changed:
            self._changed.wait_for(
                lambda: not any(each.busy for each in self._connections),
                max(0.0, deadline - time.monotonic()),
            )
        self._loop.end()
        for connection in list(self._connections):
            connection.say_goodbye(last=True)
            connection.close()
        self._loop.close()
        self._service.join(max(0.0, deadline - time.monotonic()))
