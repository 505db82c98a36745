"""Servers with `codec="data"`: nothing they or their clients read is ever unpickled."""

from __future__ import annotations

import pickle
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import courier
from launchpad_lite.config import ClientConfig, CodecName, ServerConfig
from launchpad_lite.courier import transports
from launchpad_lite.courier.client import client_at
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.courier.messages import Request, ServerInfo
from launchpad_lite.courier.pickle_codec import PickleCodec
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Listener, ListenOptions
from launchpad_lite.courier.typed import stream
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import (
    CodecError,
    MethodNotFound,
    RemoteError,
    UsageError,
    VersionMismatch,
)
from launchpad_lite.nodes.courier_options import CourierOptions

PATIENCE_S = 30.0
CREDENTIALS = Credentials(token=bytes(range(32)))


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


class Instance:
    """What a node serves."""

    def work(self) -> int:
        return 1

    def _private(self) -> int:
        return 2


class Numbers:
    """A stream that never ends by itself."""

    def __init__(self, *args: Any) -> None:
        self._next = 0
        self._closed = False

    def __next__(self) -> int:
        if self._closed:
            raise StopIteration
        self._next += 1
        return self._next

    def close(self) -> None:
        self._closed = True


@lp.batched_handler(batch_size=2, timeout=PATIENCE_S)
def both(value: Any) -> Any:
    return value


class Bench:
    """A service on one transport."""

    def __init__(self, scheme: str, directory: str) -> None:
        self._scheme = scheme
        self._directory = directory
        self._listeners: list[Listener] = []
        self._clients: list[Any] = []

    def serve(self, codec: Any = None, **settings: Any) -> str:
        """Return the endpoint of a new service."""
        config = ServerConfig(codec="data", **settings)
        service = MethodService("server", CREDENTIALS, config, None, None)
        if codec is not None:
            service.codec = codec
        service.bind("echo", lambda *args, **kwargs: (args, kwargs) if kwargs else args)
        service.bind("fail", self.fail)
        service.bind("lock", threading.Lock)
        service.bind("batched", both)
        service.bind("count", Numbers)
        listener = transports.get(self._scheme).listen(
            service, ListenOptions(directory=self._directory)
        )
        listener.start()
        self._listeners.append(listener)
        return listener.endpoint

    @staticmethod
    def fail(text: str) -> None:
        raise ValueError(text)

    def client(self, endpoint: str) -> Any:
        one = client_at(endpoint, CREDENTIALS, ClientConfig())
        self._clients.append(one)
        return one

    def close(self) -> None:
        for one in self._clients:
            one._peer.close()  # noqa: SLF001 - sooner than garbage collection would
        for listener in self._listeners:
            listener.stop(PATIENCE_S)


@pytest.fixture(params=["inproc", "unix", "grpc"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    directory = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
    one = Bench(request.param, directory)
    yield one
    one.close()
    shutil.rmtree(directory)


def test_calls_futures_batches_and_failures(bench: Bench) -> None:
    one = bench.client(bench.serve())
    array = np.arange(6.0).reshape(2, 3)
    echoed, text = one.echo(array, ("a", {1}))
    assert echoed.flags.writeable
    np.testing.assert_array_equal(echoed, array)
    assert text == ("a", {1})
    assert one.echo(1, key=[2]) == ((1,), {"key": [2]})
    assert lp.submit(one.echo, 1).result(PATIENCE_S) == (1,)
    batch = [one.futures.batched(value) for value in (1, 2)]
    assert [each.result(PATIENCE_S) for each in batch] == [1, 2]
    with pytest.raises(ValueError, match=r"^no$") as caught:
        one.fail("no")
    assert caught.value.__cause__ is None
    with pytest.raises(
        TypeError, match=r"the result of server\.lock cannot be sent: it is of type"
    ):
        one.lock()
    with pytest.raises(MethodNotFound, match=r"did you mean 'echo'"):
        one.ehco()


def test_a_future_that_was_asked_for_before_the_codec_was_known(bench: Bench) -> None:
    endpoint = bench.serve()
    array = np.zeros(3)
    future = bench.client(endpoint).futures.echo(array)
    array += 1  # too late
    assert future.result(PATIENCE_S)[0].tolist() == [0, 0, 0]
    with pytest.raises(CodecError, match=r"\.echo: args\[0\]\[0\] is a function"):
        bench.client(endpoint).futures.echo([len]).result(PATIENCE_S)
    with pytest.raises(CodecError, match=r"\.echo: key is of type _thread\.lock") as caught:
        bench.client(endpoint).echo(key=threading.Lock())
    assert "codec='data' carries None, bools, numbers" in str(caught.value)


def test_tracebacks_by_choice(bench: Bench) -> None:
    with pytest.raises(ValueError, match="no") as caught:
        bench.client(bench.serve(tracebacks=True)).fail("no")
    assert "in fail" in str(caught.value.__cause__)


def test_a_server_never_unpickles(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "exploded"
    endpoint = bench.serve()
    channel = transports.get(endpoint.partition(":")[0]).connect(endpoint, CREDENTIALS, PATIENCE_S)
    assert channel.info.codec == "data"
    bomb = Payload(pickle.dumps(((Bomb(target),),)))
    for method in ("echo", "batched", "nothing"):
        reply = channel.call(Request(method, bomb, PATIENCE_S, channel.local))
        error = DataCodec().decode_failure(reply.content, None)
        assert type(error) is (MethodNotFound if method == "nothing" else CodecError)
    for name in ("count", "nothing"):
        reply = next(channel.stream(Request(name, bomb, None, channel.local)))
        assert not reply.ok
    channel.close()
    assert not target.exists()


class Liar(PickleCodec):
    """Says that it is `data`, and is not."""

    name: ClassVar[str] = "data"


def test_a_client_never_unpickles_the_answers(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "exploded"

    class LiarWithBombs(Liar):
        def decode_arguments(self, encoded: Any, scope: Any = None) -> Any:
            return (Bomb(target),), {}

    one = bench.client(bench.serve(LiarWithBombs()))
    for call in (one.echo, one.fail):
        with pytest.raises(CodecError, match="not encoded by codec='data'"):
            call()
        with pytest.raises(CodecError):
            lp.submit(call).result(PATIENCE_S)
    assert not target.exists()


@pytest.mark.parametrize(
    "name", ["_private", "__reduce__", "__class__", "__init__", "echo.__call__"]
)
def test_names_that_are_not_bound_are_not_called(bench: Bench, name: str) -> None:
    endpoint = bench.serve()
    channel = transports.get(endpoint.partition(":")[0]).connect(endpoint, CREDENTIALS, PATIENCE_S)
    content = DataCodec().encode_arguments((), {}, None, name, copy=True)
    reply = channel.call(Request(name, content, PATIENCE_S, channel.local))
    error = DataCodec().decode_failure(reply.content, None)
    assert isinstance(error, MethodNotFound)
    channel.close()


def test_private_names_cannot_be_bound() -> None:
    server = courier.Server()
    for name in ("_private", "__reduce__", "__init__"):
        with pytest.raises(UsageError, match="names with an underscore are private"):
            server.Bind(name, print)
    server.Bind("__call__", print)


def test_a_server_used_alone() -> None:
    server = courier.Server(codec="data")
    server.Bind("add", lambda a, b: a + b)
    server.Start()
    assert courier.Client(server.address).add(4, 7) == 11
    server.Stop()
    misspelt: Any = "dta"
    with pytest.raises(UsageError, match=r"codec='dta'; did you mean 'data'\?"):
        courier.Server(codec=misspelt)


class Asker:
    def __init__(self, server: Any, outcome: Callable[[list[str]], object]) -> None:
        self._server = server
        self._outcome = outcome

    def run(self) -> None:
        said = [str(self._server.work())]
        calls: list[Callable[[], object]] = [
            lambda: self._server.take(self._server),
            self._server.strange,
        ]
        for call in calls:
            try:
                call()
            except (CodecError, RemoteError) as error:
                said.append(str(error))
        self._outcome(said)
        lp.stop()


class Strange(Exception):
    pass


class Answerer(Instance):
    def take(self, value: Any) -> None: ...

    def strange(self) -> None:
        raise Strange("odd")


def test_a_node() -> None:
    said: list[str] = []
    program = lp.Program("data")
    server = program.add_node(lp.CourierNode(Answerer).options(codec="data"), label="server")
    program.add_node(lp.CourierNode(Asker, server, said.extend), label="asker")
    lp.launch(program, launcher="thread").wait()
    assert said[0] == "1"
    assert said[1].startswith("server/0.take: args[0] is a handle or a client")
    assert said[2].endswith("test_courier_data_server.Strange: odd")


class Turncoat(MethodService):
    """A service that says in its first handshakes that it never pickles."""

    says: CodecName = "data"

    def info(self) -> ServerInfo:
        return msgspec.structs.replace(super().info(), codec=self.says)


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_a_server_that_changes_its_codec_is_found_out(scheme: str, tmp_path: Path) -> None:
    service = Turncoat("server", CREDENTIALS, ServerConfig(), None, None)
    service.bind("bomb", lambda: Bomb(tmp_path / "exploded"))
    directory = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
    listener = transports.get(scheme).listen(service, ListenOptions(directory=directory))
    listener.start()
    client = client_at(listener.endpoint, CREDENTIALS, ClientConfig(codec="data"))
    courier.list_methods(client)
    service.says = "pickle"
    courier.list_methods(client)  # another handshake
    with pytest.raises(VersionMismatch, match="takes nothing but codec='data'"):
        client.bomb()
    assert isinstance(client.futures.bomb().exception(PATIENCE_S), VersionMismatch)
    with pytest.raises(VersionMismatch):
        stream(client.bomb)
    assert not (tmp_path / "exploded").exists()
    client._peer.close()  # noqa: SLF001 - sooner than garbage collection would
    listener.stop(PATIENCE_S)
    shutil.rmtree(directory)


def test_a_client_that_wants_data_calls_no_server_that_pickles() -> None:
    called = threading.Event()
    server = courier.Server("pickles")
    server.Bind("call", called.set)
    server.Start()
    client: Any = courier.Client("pickles", codec="data")
    wanted = "the server pickles has codec='pickle', and this client takes nothing but codec='data'"
    calls: list[Callable[[], Any]] = [
        client.call,
        lambda: stream(client.call),
        lambda: client.futures.call().result(PATIENCE_S),
    ]
    for call in calls:
        with pytest.raises(VersionMismatch, match=wanted):
            call()
    assert not called.is_set()
    assert pickle.loads(pickle.dumps(client))._config.codec == "data"  # noqa: SLF001
    server.Stop()
    misspelt: Any = "date"
    with pytest.raises(UsageError, match="codec='date'; did you mean 'data'"):
        courier.Client("pickles", codec=misspelt)


def test_a_client_that_wants_data_calls_a_server_that_has_it() -> None:
    server = courier.Server("plain", codec="data")
    server.Bind("add", lambda a, b: a + b)
    server.Start()
    for codec in get_args(CodecName):
        client: Any = courier.Client("plain", codec=codec)
        assert client.add(4, 7) == client.futures.add(4, 7).result(PATIENCE_S) == 11
    server.Stop()


def test_the_clients_of_a_node_want_what_the_node_has() -> None:
    assert CourierOptions(codec="data").client_config().codec == "data"
    assert CourierOptions().client_config().codec == "pickle"
