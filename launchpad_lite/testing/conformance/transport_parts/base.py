"""What the parts of the transport suite share: a place to listen, and a client without comforts."""

from __future__ import annotations

import abc
import contextlib
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from launchpad_lite.config import DEFAULT_MAX_WAITING_CALLS, MAX_PAYLOAD_BYTES, ServerConfig
from launchpad_lite.courier import codec
from launchpad_lite.courier.failures import decode_failure
from launchpad_lite.courier.messages import Request
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import ConnectOptions
from launchpad_lite.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from launchpad_lite.config import WhenFull
    from launchpad_lite.courier.messages import Reply
    from launchpad_lite.courier.transport import (
        Channel,
        Listener,
        ListenOptions,
        ReplyStream,
        Transport,
    )

CALLER = "tester/7"
"""What channels say of who calls."""
PATIENCE_S = 30.0
"""Seconds after which something that a test waits for has gone wrong."""
SHORT_S = 0.1
"""Seconds for what a test expects to be too late."""


class Served:
    """A service and its listener."""

    def __init__(self, service: MethodService, listener: Listener) -> None:
        self.service = service
        self.listener = listener

    def stop(self, grace: float = PATIENCE_S) -> None:
        self.listener.stop(grace)

    def wait_until_waiting(self, count: int) -> None:
        """Wait until the server has heard that so many calls wait for their turn."""
        deadline = time.monotonic() + PATIENCE_S
        while (waiting := sum(row.waiting for row in self.service.metrics())) != count:
            assert time.monotonic() < deadline, f"{waiting} calls wait, not {count}"
            time.sleep(0.001)  # nobody announces it

    def stop_beside(self, grace: float = PATIENCE_S) -> threading.Thread:
        """Stop in another thread."""
        thread = threading.Thread(target=self.stop, args=(grace,), name="lp-test-stop", daemon=True)
        thread.start()
        return thread


class Caller:
    """Makes calls on one channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def _request(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
    ) -> Request:
        local = self.channel.local
        content = codec.encode((args, kwargs) if kwargs else (args,), copy=local, direct=local)
        return Request(method, content, timeout, local)

    def call(
        self, method: str, *args: Any, timeout: float | None = PATIENCE_S, **kwargs: Any
    ) -> Any:
        """Call a method; return its result, or raise its failure."""
        return _value(self.channel.call(self._request(method, args, kwargs, timeout)))

    def submit(
        self, method: str, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Future[Any]:
        """Call a method for a future."""
        future: Future[Any] = Future()
        self.submit_to(future, method, *args, timeout=timeout, **kwargs)
        return future

    def submit_to(
        self,
        future: Future[Any],
        method: str,
        *args: Any,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Callable[[], object]:
        """Call a method for a future that there is already; return what cancels the call."""

        def done(reply: Reply | None, error: Exception | None) -> None:
            if reply is None:
                future.set_exception(error)
                return
            try:
                future.set_result(_value(reply))
            except Exception as failure:
                future.set_exception(failure)

        return self.channel.submit(self._request(method, args, kwargs, timeout), done)

    def failure(
        self, method: str, *args: Any, timeout: float | None = None
    ) -> BaseException | None:
        """Return why a call for a future fails, at once or later."""
        try:
            return self.submit(method, *args, timeout=timeout).exception(PATIENCE_S)
        except Exception as error:
            return error

    def codes(self, method: str, *args: Any) -> set[str]:
        """Return the codes of the failures of a call, in all ways to make it but a stream."""
        request = self._request(method, args, {}, PATIENCE_S)
        later: Future[str] = Future()
        self.channel.submit(
            request, lambda reply, _: later.set_result("" if reply is None else reply.code)
        )
        return {self.channel.call(request).code, later.result(PATIENCE_S)}

    def stream(self, method: str, *args: Any) -> Values:
        """Begin a stream."""
        return Values(self.channel.stream(self._request(method, args, {}, None)))


class Values:
    """A stream's values."""

    def __init__(self, replies: ReplyStream) -> None:
        self.replies = replies
        self.close = replies.close

    def __iter__(self) -> Values:
        return self

    def __next__(self) -> Any:
        return _value(next(self.replies))


def _value(reply: Reply) -> Any:
    if reply.ok:
        return codec.decode(reply.content)
    raise decode_failure(reply.content, None)


class Gate:
    """A method that waits, and knows who is inside."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._changed = threading.Condition()
        self.entered = 0
        self._inside = 0
        self.most = 0

    def enter(self, value: Any = None) -> Any:
        """Return `value` when the gate is open."""
        with self._changed:
            self.entered += 1
            self._inside += 1
            self.most = max(self.most, self._inside)
            self._changed.notify_all()
        self._opened.wait(PATIENCE_S)
        with self._changed:
            self._inside -= 1
        return value

    def open(self) -> None:
        """Let all pass, now and later."""
        self._opened.set()

    def wait_for(self, count: int) -> None:
        """Wait until so many have entered."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.entered >= count, PATIENCE_S), (
                f"{self.entered} of {count} calls began"
            )


class Lab:
    """Makes listeners and channels, and stops them all in the end."""

    def __init__(
        self, transport: Transport, options: ListenOptions, credentials: Credentials
    ) -> None:
        self.transport = transport
        self.options = options
        self.credentials = credentials
        self._stack = contextlib.ExitStack()
        self._gates: list[Gate] = []

    def gate(self) -> Gate:
        """Return a method that waits; in the end it is opened, so that a failed test ends too."""
        gate = Gate()
        self._gates.append(gate)
        return gate

    def listen(
        self,
        *methods: Callable[..., Any],
        streams: tuple[Callable[..., Any], ...] = (),
        threads: int = 4,
        limit: int = MAX_PAYLOAD_BYTES,
        waiting: int = DEFAULT_MAX_WAITING_CALLS,
        when_full: WhenFull = "block",
    ) -> Served:
        """Return a listener that has not been started; functions are bound to their names."""
        config = ServerConfig(
            thread_pool_size=threads,
            max_payload_bytes=limit,
            max_waiting_calls=waiting,
            when_full=when_full,
        )
        service = MethodService("server", self.credentials, config, None, None)
        for method in (*methods, *streams):
            service.bind(method.__name__, method)
        served = Served(service, self.transport.listen(service, self.options))
        self._stack.callback(service.close)
        self._stack.callback(served.stop)
        return served

    def serve(
        self,
        *methods: Callable[..., Any],
        streams: tuple[Callable[..., Any], ...] = (),
        threads: int = 4,
        limit: int = MAX_PAYLOAD_BYTES,
        waiting: int = DEFAULT_MAX_WAITING_CALLS,
        when_full: WhenFull = "block",
    ) -> Served:
        """Return a listener that has been started; functions are bound to their names."""
        served = self.listen(
            *methods,
            streams=streams,
            threads=threads,
            limit=limit,
            waiting=waiting,
            when_full=when_full,
        )
        served.listener.start()
        return served

    def connect(self, served: Served, credentials: Credentials | None = None) -> Caller:
        """Return a new channel to a listener."""
        channel = self.transport.connect(
            served.listener.endpoint,
            credentials or self.credentials,
            PATIENCE_S,
            ConnectOptions(caller=CALLER),
        )
        self._stack.callback(channel.close)
        return Caller(channel)

    def caller(
        self,
        *methods: Callable[..., Any],
        streams: tuple[Callable[..., Any], ...] = (),
        threads: int = 4,
        limit: int = MAX_PAYLOAD_BYTES,
    ) -> Caller:
        """Return a channel to a new listener."""
        return self.connect(self.serve(*methods, streams=streams, threads=threads, limit=limit))

    def close(self) -> None:
        """Stop everything."""
        for gate in self._gates:
            gate.open()
        self._stack.close()


class TransportSuite(abc.ABC):
    """How the suite comes by the transport in question."""

    @abc.abstractmethod
    def place(self) -> contextlib.AbstractContextManager[tuple[Transport, ListenOptions]]:
        """Return the transport and where it listens; entered once for each test."""

    def credentials(self) -> Credentials:
        """Return what both sides have; a transport that needs certificates has another."""
        return Credentials.create(tls=False)

    @pytest.fixture
    def lab(self) -> Iterator[Lab]:
        """Return what makes listeners and channels, and stops them after the test."""
        with self.place() as (transport, options):
            lab = Lab(transport, options, self.credentials())
            try:
                yield lab
            finally:
                lab.close()


@contextlib.contextmanager
def in_thread(function: Callable[..., Any], *args: Any) -> Generator[Future[Any]]:
    """Run a function in a thread; the block gets its future, and waits for it at its end."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="lp-test", daemon=True)
    thread.start()
    yield future
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
