"""Callers of a gRPC server that are not ours: health checks, and programs in other languages."""

from __future__ import annotations

import importlib.resources
import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import msgspec
import numpy as np
import pytest

from launchpad_lite import courier
from launchpad_lite.config import CodecName, ServerConfig
from launchpad_lite.courier import protobuf, transports
from launchpad_lite.courier.auth import user_credentials
from launchpad_lite.courier.grpc_health import MAX_WATCHERS
from launchpad_lite.courier.grpc_outside import TOKEN
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import ListenOptions
from launchpad_lite.credentials import SERVER_NAME, Credentials
from launchpad_lite.errors import BatchError

PATIENCE_S = 30.0
SHORT_S = 0.2
SERVICE = "/launchpad_lite.courier.v1.Courier"
HEALTH = "/grpc.health.v1.Health"
SERVING, NOT_SERVING, UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
PLAIN = Credentials(token=bytes(range(32)))


class Outsider:
    """A service, and a caller that has only gRPC."""

    def __init__(self, credentials: Credentials, codec: CodecName = "data") -> None:
        config = ServerConfig(thread_pool_size=2, max_payload_bytes=10**6, codec=codec)
        service = MethodService("server", credentials, config, None, None)
        self.released = threading.Event()
        service.bind("add", lambda a, b: a + b)
        service.bind("mean", lambda values: float(np.mean(values)))
        service.bind("ones", lambda rows: np.ones((rows, 2), np.float32))
        service.bind("fail", self.fail)
        service.bind("wait", lambda: self.released.wait(PATIENCE_S))
        service.bind("complex", lambda: 1j)
        service.bind("set", threading.Lock)
        service.bind("count", Count)
        self.listener = transports.get("grpc").listen(service, ListenOptions())
        self.listener.start()
        self.metadata: Any = ((TOKEN, credentials.token.hex()),)
        place = self.listener.endpoint.removeprefix("grpc:")
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel: Any = grpc.insecure_channel(place, options)
        if credentials.tls:
            pem, key = credentials.certificate, credentials.key
            secure = grpc.ssl_channel_credentials(pem, key, pem)
            options_tls = [*options, ("grpc.ssl_target_name_override", SERVER_NAME)]
            self.channel = grpc.secure_channel(place, secure, options_tls)

    @staticmethod
    def fail(kind: str) -> None:
        raise {"value": ValueError("no"), "batch": BatchError("no fit"), "odd": OddError("x")}[kind]

    def ask(self, method: str, message: bytes, timeout: float = PATIENCE_S) -> bytes:
        stub = self.channel.unary_unary(method)
        answer: bytes = stub(message, timeout=timeout, metadata=self.metadata)
        return answer

    def call(self, method: str, arguments: Any = None, timeout: float = PATIENCE_S) -> Any:
        """Call in JSON."""
        answer = protobuf.read_bytes_fields(
            self.ask(f"{SERVICE}/Call", request(method, arguments), timeout)
        )
        return json.loads(bytes(answer[1]))

    def error(self, method: str, message: bytes, timeout: float = PATIENCE_S) -> tuple[Any, str]:
        """Return how a call fails."""
        with pytest.raises(grpc.RpcError) as caught:
            self.ask(method, message, timeout)
        failure: Any = caught.value
        return failure.code(), failure.details()

    def close(self) -> None:
        self.released.set()
        self.channel.close()
        self.listener.stop(PATIENCE_S)


class OddError(Exception):
    pass


class Count:
    def __init__(self, limit: int) -> None:
        self._values = iter(range(limit))

    def __next__(self) -> int:
        return next(self._values)

    def close(self) -> None:
        self._values = iter(())


def request(method: str, arguments: Any = None) -> bytes:
    text = b"" if arguments is None else protobuf.bytes_field(2, json.dumps(arguments).encode())
    return protobuf.bytes_field(1, method.encode()) + text


@pytest.fixture
def outsider() -> Iterator[Outsider]:
    one = Outsider(PLAIN)
    yield one
    one.close()


def test_calls_in_json(outsider: Outsider) -> None:
    assert outsider.call("add", [4, 7]) == 11
    assert outsider.call("add", {"a": "x", "b": "y"}) == "xy"
    assert outsider.call("mean", [[1, 2, 3]]) == 2.0
    array = outsider.call("ones", [3])
    assert outsider.call("mean", [array]) == 1.0
    assert array["$array"]["shape"] == [3, 2]


def test_calls_in_messagepack(outsider: Outsider) -> None:
    packed = protobuf.bytes_field(3, msgspec.msgpack.encode([b"a", b"b"]))
    answer = outsider.ask(f"{SERVICE}/Call", protobuf.bytes_field(1, b"add") + packed)
    assert msgspec.msgpack.decode(protobuf.read_bytes_fields(answer)[2]) == b"ab"


def test_streams_and_names(outsider: Outsider) -> None:
    stream = outsider.channel.unary_stream(f"{SERVICE}/Stream")
    answers = stream(request("count", [3]), metadata=outsider.metadata, timeout=PATIENCE_S)
    values = [bytes(protobuf.read_bytes_fields(answer)[1]) for answer in answers]
    assert values == [b"0", b"1", b"2"]
    names = outsider.ask(f"{SERVICE}/ListMethods", b"")
    assert names.startswith(protobuf.bytes_field(1, b"add"))


def test_a_generator_streams_to_outsiders() -> None:
    def feed(most: int) -> Iterator[int]:
        yield from range(most)

    server = courier.Server(codec="data")
    server.Bind("feed", feed)
    server.Start()
    metadata = ((TOKEN, user_credentials().token.hex()),)
    with grpc.insecure_channel(server.address) as channel:
        stream: Any = channel.unary_stream(f"{SERVICE}/Stream")
        answers = stream(request("feed", [300]), metadata=metadata, timeout=PATIENCE_S)
        values = [bytes(protobuf.read_bytes_fields(answer)[1]) for answer in answers]
    server.Stop()
    assert values == [str(number).encode() for number in range(300)]


def test_the_package_has_the_description_of_its_messages() -> None:
    text = importlib.resources.files("launchpad_lite.courier").joinpath("courier.proto").read_text()
    assert f"package {SERVICE.strip('/').rpartition('.')[0]};" in text


def packed(content: bytes) -> bytes:
    return protobuf.bytes_field(1, b"add") + protobuf.bytes_field(3, content)


CALLS: dict[str, tuple[bytes, str, str]] = {
    "unknown": (request("ad", []), "NOT_FOUND", "did you mean 'add'"),
    "private": (request("__reduce__", []), "NOT_FOUND", "not found"),
    "its own": (request("fail", ["value"]), "UNKNOWN", "ValueError: no"),
    "of the program": (request("fail", ["odd"]), "UNKNOWN", "OddError: x"),
    "of ours": (request("fail", ["batch"]), "INVALID_ARGUMENT", "no fit"),
    "too few": (request("add", [1]), "UNKNOWN", "TypeError: "),
    "no list": (request("add", 5), "INVALID_ARGUMENT", "arguments are a list"),
    "big integer": (request("add", [2**70, 1]), "INVALID_ARGUMENT", "more than 64 bits"),
    "no JSON": (request("add")[:5] + b"\x12\x01[", "INVALID_ARGUMENT", ""),
    "no message": (b"\x12\x7f", "INVALID_ARGUMENT", "longer than its message"),
    "bad packed": (packed(b"\xdd\xff\xff\xff\xff"), "INVALID_ARGUMENT", "truncated"),
    "deep": (packed(b"\x91" * 5000), "INVALID_ARGUMENT", ""),
    "an extension": (packed(b"\x92\xd4\x01\x00\x01"), "INVALID_ARGUMENT", "is of type msgspec"),
    "too large": (request("add", ["x" * 10**6]), "RESOURCE_EXHAUSTED", "exceeds the limit"),
    "no form": (request("complex", []), "INTERNAL", "the result of complex cannot be sent"),
    "a lock": (request("set", []), "UNKNOWN", "TypeError: the result of server.set cannot be"),
}


@pytest.mark.parametrize("what", CALLS)
def test_standard_codes(outsider: Outsider, what: str) -> None:
    message, code, details = CALLS[what]
    found = outsider.error(f"{SERVICE}/Call", message)
    assert found[0].name == code
    assert details in found[1]
    assert outsider.call("add", [1, 2]) == 3


def test_time_and_cancellation(outsider: Outsider) -> None:
    code, _ = outsider.error(f"{SERVICE}/Call", request("wait"), SHORT_S)
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    stub = outsider.channel.unary_unary(f"{SERVICE}/Call")
    call = stub.future(request("wait"), metadata=outsider.metadata)
    call.cancel()
    assert call.code() == grpc.StatusCode.CANCELLED


def test_a_server_that_pickles_is_not_for_outsiders() -> None:
    one = Outsider(PLAIN, "pickle")
    for method in ("Call", "ListMethods"):
        code, details = one.error(f"{SERVICE}/{method}", request("add", [1, 2]))
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert "no codec='data'" in details
    one.close()


def test_strangers_hear_of_the_health_only(outsider: Outsider) -> None:
    outsider.metadata = ()
    code, _ = outsider.error(f"{SERVICE}/Call", request("add", [1, 2]))
    assert code == grpc.StatusCode.UNAUTHENTICATED
    assert outsider.ask(f"{HEALTH}/Check", b"") == SERVING
    assert outsider.ask(f"{HEALTH}/Check", b"\xff" * 99) == SERVING  # it was not even received


def test_health(outsider: Outsider) -> None:
    for name in (b"", b"launchpad_lite.courier.v1.Courier"):
        assert outsider.ask(f"{HEALTH}/Check", protobuf.bytes_field(1, name)) == SERVING
    code, _ = outsider.error(f"{HEALTH}/Check", protobuf.bytes_field(1, b"other"))
    assert code == grpc.StatusCode.NOT_FOUND
    code, _ = outsider.error(f"{HEALTH}/Check", b"\xff")
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_health_is_watched_to_the_end(outsider: Outsider) -> None:
    watch = outsider.channel.unary_stream(f"{HEALTH}/Watch")
    known = watch(b"", metadata=outsider.metadata, timeout=PATIENCE_S)
    other = watch(protobuf.bytes_field(1, b"x"), metadata=outsider.metadata, timeout=PATIENCE_S)
    left = watch(b"", timeout=PATIENCE_S)
    assert (next(known), next(other), next(left)) == (SERVING, UNKNOWN, SERVING)
    left.cancel()
    outsider.listener.stop(PATIENCE_S)
    assert list(known) == [NOT_SERVING]
    assert list(other) == []


def test_those_who_watch_keep_no_thread(outsider: Outsider) -> None:
    watch = outsider.channel.unary_stream(f"{HEALTH}/Watch")
    watches = [watch(b"", timeout=PATIENCE_S) for _ in range(MAX_WATCHERS)]
    assert [next(each) for each in watches] == [SERVING] * MAX_WATCHERS
    with pytest.raises(grpc.RpcError, match="too many watch this server"):
        next(watch(b"", timeout=PATIENCE_S))
    names = [thread.name for thread in threading.enumerate()]
    assert sum(name.startswith(("lp-health", "lp-grpc")) for name in names) < 50
    assert outsider.call("add", [4, 7]) == 11
    for each in watches[1:]:
        each.cancel()
    outsider.listener.stop(PATIENCE_S)
    assert list(watches[0]) == [NOT_SERVING]


def test_who_has_left_watches_no_more(outsider: Outsider) -> None:
    watch = outsider.channel.unary_stream(f"{HEALTH}/Watch")
    watches = [watch(b"", timeout=PATIENCE_S) for _ in range(MAX_WATCHERS)]
    for each in watches:
        next(each)
        each.cancel()
    while True:  # the server hears of it soon
        try:
            assert next(watch(b"", timeout=PATIENCE_S)) == SERVING
        except grpc.RpcError as error:
            failure: Any = error
            assert failure.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        else:
            return


def test_a_certificate_is_enough() -> None:
    one = Outsider(Credentials.create())
    one.metadata = ()
    assert one.call("add", [4, 7]) == 11
    assert one.ask(f"{HEALTH}/Check", b"") == SERVING
    code, _ = one.error("/launchpad_lite.Courier/Hello", b"")
    assert code == grpc.StatusCode.UNAUTHENTICATED
    one.close()


def test_without_the_certificate_nothing_is_answered() -> None:
    one = Outsider(Credentials.create())
    place = one.listener.endpoint.removeprefix("grpc:")
    other = Credentials.create()
    options = [("grpc.use_local_subchannel_pool", 1)]
    pem = one_certificate(other)
    secure = [
        grpc.insecure_channel(place, options),
        grpc.secure_channel(
            place,
            grpc.ssl_channel_credentials(pem, other.key, pem),
            [*options, ("grpc.ssl_target_name_override", SERVER_NAME)],
        ),
    ]
    for channel in secure:
        stub: Any = channel
        with pytest.raises(grpc.RpcError) as caught:
            stub.unary_unary(f"{HEALTH}/Check")(b"", timeout=PATIENCE_S)
        failure: Any = caught.value
        assert failure.code() == grpc.StatusCode.UNAVAILABLE
        channel.close()
    one.close()


def one_certificate(credentials: Credentials) -> bytes:
    assert credentials.certificate is not None
    return credentials.certificate
