"""`courier.Client` used alone, its futures, and how it finds its server again."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import gc
import logging
import pickle
import re
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any, NoReturn

import msgspec
import numpy as np
import pytest

from launchpad_lite import courier
from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier import transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.messages import ServerInfo
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Listener, ListenOptions
from launchpad_lite.courier.typed import stream, submit
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import (
    DeadlineExceeded,
    MethodNotFound,
    NotAuthenticated,
    PayloadTooLarge,
    Unavailable,
    UnpicklableError,
    UsageError,
    VersionMismatch,
)

PATIENCE_S = 30.0
SHORT_S = 0.1
CREDENTIALS = Credentials(token=bytes(range(32)))
NO_WAIT = ClientConfig(wait_for_ready=False)


class Calculator:
    """What most tests serve."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)

    def add(self, first: Any, second: Any = 1) -> Any:
        return first + second

    def enter(self, value: Any = None) -> Any:
        self.entered.release()
        self.opened.wait(PATIENCE_S)
        return value

    def wait_for(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=PATIENCE_S)

    def __call__(self, *values: int) -> int:
        return sum(values)


class Leaving:
    """Ends the thread that unpickles it."""

    def __reduce__(self) -> Any:
        return sys.exit, ("unpickled",)


@pytest.fixture
def calculator() -> Iterator[Calculator]:
    one = Calculator()
    yield one
    one.opened.set()


@pytest.fixture
def server(calculator: Calculator) -> Iterator[courier.Server]:
    one = serve(calculator)
    one.Start()
    yield one
    calculator.opened.set()
    one.Stop()


def serve(calculator: Calculator, port: int | None = None, threads: int = 4) -> courier.Server:
    server = courier.Server(port=port, thread_pool_size=threads)
    server.Bind("add", calculator.add)
    server.Bind("enter", calculator.enter)
    server.Bind("__call__", calculator)
    return server


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Place:
    """Listeners on a transport without addresses for people, and clients of them."""

    def __init__(self, scheme: str, calculator: Calculator) -> None:
        self._stack = contextlib.ExitStack()
        self._calculator = calculator
        self._transport = transports.get(scheme)
        self._directory = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
        self._stack.callback(shutil.rmtree, self._directory)
        self.service = self.new_service()
        self.listener = self.listen(self.service)

    def new_service(self, threads: int = 4, limit: int = 2**30) -> MethodService:
        config = ServerConfig(thread_pool_size=threads, max_payload_bytes=limit)
        service = MethodService("calculator", CREDENTIALS, config, None, None)
        service.bind("add", self._calculator.add)
        service.bind("enter", self._calculator.enter)
        return service

    def listen(self, service: MethodService) -> Listener:
        listener = self._transport.listen(service, ListenOptions(directory=self._directory))
        listener.start()
        self._stack.callback(listener.stop, PATIENCE_S)
        return listener

    def client(self, config: ClientConfig | None = None) -> Any:
        return client_at(self.listener.endpoint, CREDENTIALS, config or ClientConfig())

    def close(self) -> None:
        self._calculator.opened.set()
        self._stack.close()


@pytest.fixture(params=["inproc", "unix", "grpc"])
def place(request: pytest.FixtureRequest, calculator: Calculator) -> Iterator[Place]:
    one = Place(request.param, calculator)
    yield one
    one.close()


# Calls.


def test_attributes_are_methods(server: courier.Server) -> None:
    client = courier.Client(server.address)
    assert client.add(4, 7) == 11
    assert client.add("a", second="b") == "ab"
    add = client.add
    assert add(1) == 2
    assert repr(client) == f"<courier.Client of {server.address}>"
    assert repr(add) == f"<method 'add' of {client!r}>"
    assert client.address == server.address


def test_the_server_itself_can_be_called(server: courier.Server) -> None:
    client = courier.Client(server.address)
    assert client(1, 2, 3) == 6
    assert client.futures(1, 2).result(PATIENCE_S) == 3
    assert submit(client, 4).result(PATIENCE_S) == 4


def test_a_server_that_cannot_be_called_says_so(place: Place) -> None:
    with pytest.raises(MethodNotFound, match="method __call__ not found"):
        place.client()(1)


@pytest.mark.parametrize("name", ["_private", "__secret", "__len__", "_ipython_display_"])
def test_private_names_are_refused(name: str) -> None:
    client = courier.Client("localhost:1")
    for owner in (client, client.futures):
        with pytest.raises(AttributeError, match=f"'{name}': names with an underscore are private"):
            getattr(owner, name)
    assert not hasattr(client, name)


def test_an_unknown_method_names_the_nearest(server: courier.Server) -> None:
    client = courier.Client(server.address)
    expected = f"method ad not found on {server.address}; did you mean 'add'? Known: __call__, add"
    with pytest.raises(MethodNotFound, match=expected.replace("?", r"\?")):
        client.ad(1)
    error = client.futures.ad(1).exception(PATIENCE_S)
    assert isinstance(error, MethodNotFound)
    assert isinstance(error, AttributeError)
    assert expected in str(error)


def test_methods_bound_later_are_found_by_asking_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    info = MethodService.info

    def count(service: MethodService) -> ServerInfo:
        nonlocal asked
        asked += 1
        return info(service)

    client = place.client()
    assert client.add(1) == client.futures.add(1).result(PATIENCE_S) == 2
    monkeypatch.setattr(MethodService, "info", count)
    place.service.bind("later", lambda: "found")
    assert client.later() == "found"
    first = asked
    assert first > 0
    assert client.later() == "found"
    assert client.futures.later().result(PATIENCE_S) == "found"
    assert client.add(1) == 2
    assert asked == first


def test_list_methods(server: courier.Server) -> None:
    assert courier.list_methods(courier.Client(server.address)) == ["__call__", "add", "enter"]


def test_exceptions_keep_their_type(place: Place) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        place.client().add(1, "a")
    error = place.client().futures.add(1, "a").exception(PATIENCE_S)
    assert isinstance(error, TypeError)


def test_arguments_that_cannot_be_sent_fail_here(place: Place) -> None:
    client = place.client()
    deep = {"key": [1, threading.Lock()]}
    message = re.escape(r".add: argument args[1]['key'][1] cannot be sent: cannot pickle")
    with pytest.raises(UnpicklableError, match=message):
        client.add(1, deep)
    with pytest.raises(UnpicklableError, match=message):
        client.futures.add(1, deep).result(PATIENCE_S)
    assert client.add(1) == 2
    with pytest.raises(UnpicklableError, match=r"\.add: argument b\['key'\]\[1\] cannot be sent"):
        client.futures.add(1, b=deep).result(PATIENCE_S)


def test_an_argument_deeper_than_pickles_go_is_named(place: Place) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    client = place.client()
    with pytest.raises(UnpicklableError, match=r"argument args\[0\].* excessively deep"):
        client.add(deep)
    assert client.add(1) == 2


def test_a_client_can_be_sent(server: courier.Server) -> None:
    client = courier.Client(server.address, compress=True, call_timeout=7.0, wait_for_ready=False)
    assert client.add(1) == 2
    for other in (pickle.loads(pickle.dumps(client)), copy.copy(client), copy.deepcopy(client)):
        assert type(other) is courier.Client
        assert other.address == client.address
        assert other.add(2) == 3
        assert pickle.dumps(other) == pickle.dumps(client)  # with its settings


def test_a_client_may_be_sent_in_a_call(server: courier.Server) -> None:
    server.Bind("call_back", lambda client, value: client.add(value))
    client = courier.Client(server.address)
    assert client.call_back(client, 5) == 6


@pytest.mark.parametrize("compress", [False, True])
def test_compression(server: courier.Server, compress: bool) -> None:
    client = courier.Client(server.address, compress=compress)
    array = np.zeros(10**6)
    assert client.add(array).sum() == 10**6
    assert client.futures.add(array).result(PATIENCE_S).sum() == 10**6


def test_threads_may_share_a_client(place: Place) -> None:
    client = place.client()
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(client.add, range(200))) == list(range(1, 201))


def test_submit_is_typed_and_takes_methods_of_clients_only(place: Place) -> None:
    client = place.client()
    assert submit(client.add, 1, second=2).result(PATIENCE_S) == 3
    with pytest.raises(TypeError, match=r"needs a client's method, such as client\.work, not"):
        submit(len, "abc")


def test_streams(place: Place) -> None:
    class Numbers:
        def __init__(self, stop: int) -> None:
            self._numbers = iter(range(stop))

        def __next__(self) -> int:
            return next(self._numbers)

        def close(self) -> None: ...

    place.service.bind("numbers", Numbers)
    client = place.client()
    assert list(stream(client.numbers, 3)) == [0, 1, 2]
    with pytest.raises(MethodNotFound, match="did you mean 'numbers'"):
        list(stream(client.number, 3))
    with pytest.raises(TypeError):
        list(stream(client.numbers))


# Settings.


@pytest.mark.parametrize("timeout", [SHORT_S, dt.timedelta(seconds=SHORT_S)], ids=["s", "delta"])
def test_calls_have_a_timeout(
    server: courier.Server, calculator: Calculator, timeout: float | dt.timedelta
) -> None:
    client = courier.Client(server.address, call_timeout=timeout)  # it may pass while connecting
    with pytest.raises(DeadlineExceeded):
        client.enter()
    assert isinstance(client.futures.enter().exception(PATIENCE_S), DeadlineExceeded)
    calculator.opened.set()


@pytest.mark.parametrize("timeout", [None, 0, dt.timedelta(0), 1e9, float("inf")], ids=str)
def test_no_limit(place: Place, server: courier.Server, timeout: Any) -> None:
    for client in (
        courier.Client(server.address, call_timeout=timeout),
        place.client(ClientConfig(call_timeout=timeout if isinstance(timeout, float) else None)),
    ):
        assert client.add(1) == 2
        assert client.futures.add(1).result(PATIENCE_S) == 2


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), dt.timedelta(seconds=-1)], ids=str)
def test_timeouts_that_mean_nothing(timeout: Any) -> None:
    with pytest.raises(UsageError, match="call_timeout"):
        courier.Client("localhost:1", call_timeout=timeout)


def test_a_client_has_a_limit_of_its_own(place: Place) -> None:
    client = place.client(ClientConfig(max_payload_bytes=1000))
    with pytest.raises(PayloadTooLarge, match=r"the arguments of a call to .* exceed the limit"):
        client.add(np.zeros(1001, np.int8))
    error = client.futures.add(np.zeros(1001, np.int8)).exception(PATIENCE_S)
    assert isinstance(error, PayloadTooLarge)
    assert client.add(1) == 2


# Servers that are not there, or not yet, or not any more.


def test_a_client_does_not_connect_before_it_calls() -> None:
    assert "localhost:1" in repr(courier.Client("localhost:1"))


def test_without_waiting_a_call_fails_at_once() -> None:
    client = courier.Client(f"localhost:{free_port()}", wait_for_ready=False)
    with pytest.raises(Unavailable) as caught:
        client.add(1)
    assert not caught.value.maybe_executed
    error = client.futures.add(1).exception(PATIENCE_S)
    assert isinstance(error, Unavailable)
    assert not error.maybe_executed
    with pytest.raises(Unavailable):
        courier.list_methods(client)


def test_waiting_has_an_end() -> None:
    client = courier.Client(f"localhost:{free_port()}", call_timeout=SHORT_S)
    with pytest.raises(
        DeadlineExceeded, match=r"localhost:\d+ could not be reached within 0\.1 s: \S"
    ):
        client.add(1)
    error = client.futures.add(1).exception(PATIENCE_S)
    assert isinstance(error, DeadlineExceeded)
    assert "could not be reached within 0.1 s" in str(error)


def test_calls_wait_for_a_server_that_comes_up(calculator: Calculator) -> None:
    port = free_port()
    client = courier.Client(f"localhost:{port}")
    futures = [client.futures.add(number) for number in range(20)]
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(client.add, number) for number in range(4)]
        unknown = client.futures.multiply(2, 3)
        server = serve(calculator, port)
        server.Start()
        assert [call.result(PATIENCE_S) for call in futures] == list(range(1, 21))
        assert [call.result(PATIENCE_S) for call in calls] == [1, 2, 3, 4]
        assert isinstance(unknown.exception(PATIENCE_S), MethodNotFound)
    server.Stop()


def test_arrays_may_change_while_a_future_waits_for_its_server(calculator: Calculator) -> None:
    port = free_port()
    client = courier.Client(f"localhost:{port}")
    array = np.zeros(1000)
    future = client.futures.add(array)
    array += 5
    server = serve(calculator, port)
    server.Start()
    assert future.result(PATIENCE_S).sum() == 1000
    server.Stop()


def test_a_cancelled_future_waits_for_no_server() -> None:
    client = courier.Client(f"localhost:{free_port()}")
    futures = [client.futures.add(number) for number in range(3)]
    assert all(future.cancel() for future in futures)
    assert wait(futures, PATIENCE_S).not_done == set()  # and no thread goes on looking


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_another_version_is_refused(
    scheme: str, calculator: Calculator, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = MethodService.info
    with monkeypatch.context() as patch:
        patch.setattr(
            MethodService,
            "info",
            lambda service: msgspec.structs.replace(info(service), python="2.7"),
        )
        place = Place(scheme, calculator)
        client = place.client()
        with pytest.raises(VersionMismatch, match=r"calculator has Python 2\.7, this process has"):
            client.add(1)
        assert isinstance(client.futures.add(1).exception(PATIENCE_S), VersionMismatch)
        place.close()


def test_another_user_s_server_is_refused(
    server: courier.Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = courier.Client(server.address)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(NotAuthenticated, match="does not know this client's secret"):
        client.add(1)
    assert isinstance(client.futures.add(1).exception(PATIENCE_S), NotAuthenticated)


def test_a_server_that_was_restarted_is_found_again(calculator: Calculator) -> None:
    first = serve(calculator)
    first.Start()
    client = courier.Client(first.address)
    futures_only = courier.Client(first.address)
    assert client.add(1) == 2
    assert futures_only.futures.add(1).result(PATIENCE_S) == 2
    first.Stop()
    early = futures_only.futures.add(1)  # while nobody is there
    second = serve(calculator, first.port)
    second.Bind("new", lambda: "new")
    second.Start()
    assert early.result(PATIENCE_S) == 2
    assert client.new() == "new"
    assert client.add(2) == 3
    assert futures_only.futures.add(2).result(PATIENCE_S) == 3
    second.Stop()
    third = serve(calculator, first.port)
    third.Start()
    assert futures_only.futures.add(3).result(PATIENCE_S) == 4
    assert courier.list_methods(client) == ["__call__", "add", "enter"]
    third.Stop()


def test_a_server_that_went_away_is_unavailable(place: Place) -> None:
    client = place.client(NO_WAIT)
    assert client.add(1) == 2
    assert client.futures.add(1).result(PATIENCE_S) == 2
    place.listener.stop(PATIENCE_S)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            client.add(1)
        assert not caught.value.maybe_executed
        error = client.futures.add(np.ones(3)).exception(PATIENCE_S)
        assert isinstance(error, Unavailable)
        assert not error.maybe_executed


def test_one_call_that_finds_the_server_gone_ends_no_other(
    place: Place, calculator: Calculator
) -> None:
    client = place.client(NO_WAIT)
    running = client.futures.enter(1)
    calculator.wait_for(1)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(client.enter, 2)
        calculator.wait_for(1)
        stopping = threads.submit(place.listener.stop, PATIENCE_S)
        with pytest.raises(Unavailable):
            while True:
                client.add(1)
        assert isinstance(client.futures.add(1).exception(PATIENCE_S), Unavailable)
        calculator.opened.set()
        assert running.result(PATIENCE_S) == 1
        assert waiting.result(PATIENCE_S) == 2
        stopping.result(PATIENCE_S)


# Futures.


def test_a_future_can_be_cancelled(place: Place, calculator: Calculator) -> None:
    client = place.client()
    future = client.futures.enter(1)
    calculator.wait_for(1)
    assert not future.done()
    assert future.cancel()
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(0)
    calculator.opened.set()
    done = client.futures.add(1)
    assert done.result(PATIENCE_S) == 2
    assert not done.cancel()
    assert done.result(0) == 2


def test_cancelling_wakes_whoever_waits(place: Place, calculator: Calculator) -> None:
    client = place.client()
    future = client.futures.enter(1)
    calculator.wait_for(1)
    told = threading.Event()
    future.add_done_callback(lambda _: told.set())
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait, [future], PATIENCE_S)
        assert future.cancel()
        assert waiting.result(PATIENCE_S).done == {future}
    assert told.is_set()


def test_a_future_may_be_cancelled_by_many_at_once(place: Place, calculator: Calculator) -> None:
    client = place.client()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(50):
            future = client.futures.enter(1)
            start = threading.Barrier(8)

            def cancel(future: Future[Any] = future, start: threading.Barrier = start) -> bool:
                start.wait(PATIENCE_S)
                return future.cancel()

            cancels = [threads.submit(cancel) for _ in range(8)]
            assert all(call.result(PATIENCE_S) for call in cancels)
    calculator.opened.set()
    assert client.add(1) == 2


def test_cancelling_races_with_the_end(place: Place) -> None:
    client = place.client()
    for number in range(100):
        future = client.futures.add(number)
        if number % 2:
            client.add(1)
        assert future.cancel() or future.result(PATIENCE_S) == number + 1


def test_callbacks_may_call_and_raise(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "concurrent.futures")  # a record would keep the client
    client = place.client()
    seen: Future[Any] = Future()

    def call(future: Future[Any]) -> None:
        seen.set_result(client.add(future.result()))

    def fail(_: Future[Any]) -> NoReturn:
        raise ValueError("nobody asked")

    client.futures.add(1).add_done_callback(call)
    assert seen.result(PATIENCE_S) == 3
    future = client.futures.add(1)
    future.add_done_callback(fail)
    assert future.result(PATIENCE_S) == 2
    assert client.futures.add(2).result(PATIENCE_S) == 3


def test_what_unpickling_raises_is_the_future_s(place: Place) -> None:
    place.service.bind("leave", Leaving)
    client = place.client()
    with pytest.raises(SystemExit):
        client.leave()
    assert isinstance(client.futures.leave().exception(PATIENCE_S), SystemExit)
    assert client.futures.add(1).result(PATIENCE_S) == 2


# What a client holds.


def leftovers() -> list[str]:
    gc.collect()
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("lp-futures", "lp-send", "lp-connect"))
    ]


def join_leftovers() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(("lp-futures", "lp-send", "lp-connect")):
            thread.join(PATIENCE_S)


def test_a_client_that_is_let_go_hangs_up(place: Place) -> None:
    client = place.client()
    assert client.add(1) == 2
    future = client.futures.add(1)
    assert future.result(PATIENCE_S) == 2
    kept = client.add
    del client
    assert kept(2) == 3
    del kept
    join_leftovers()  # though the future is still held
    assert leftovers() == []
    assert future.result(0) == 2


def test_a_future_keeps_its_client(place: Place, calculator: Calculator) -> None:
    future = place.client().futures.enter(1)
    calculator.wait_for(1)
    gc.collect()
    calculator.opened.set()
    assert future.result(PATIENCE_S) == 1
