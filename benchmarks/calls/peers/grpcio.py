"""Plain grpcio: generic handlers, arguments pickled, no TLS."""

from __future__ import annotations

import pickle
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.calls.peer import SpawnedPeer
from benchmarks.calls.workloads import FuturesTarget, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.calls.service import Service

_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_SERVICE = "service"
_THREADS = 16  # grpcio has no default of its own; it is ours


class Grpcio(SpawnedPeer):
    """A server with a thread pool, and a channel for each client."""

    def version(self) -> str:
        """See the base class."""
        return grpc.__version__

    def serve(self, service: Service, place: str, ready: Callable[[Any], None]) -> None:
        """See the base class."""
        server = grpc.server(
            futures.ThreadPoolExecutor(service.threads or _THREADS), options=_OPTIONS
        )
        served = service.make()
        handlers = {
            name: _handler(getattr(served, name))
            for name in dir(served)
            if not name.startswith("_")
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        ready(port)
        server.wait_for_termination()

    def connect(self, address: Any) -> Target:
        """See the base class."""
        return _Target(address)


def _handler(method: Callable[[Any], Any]) -> grpc.RpcMethodHandler[bytes, bytes]:
    def handle(message: bytes, _: grpc.ServicerContext) -> bytes:
        return pickle.dumps(method(pickle.loads(message)), 5)

    return grpc.unary_unary_rpc_method_handler(handle)


class _Target(FuturesTarget):
    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        grpc.channel_ready_future(self._channel).result()

    def _method(self, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self._channel.unary_unary(f"/{_SERVICE}/{method}")

    def caller(self, method: str) -> Callable[[Any], Any]:
        call = self._method(method)
        return lambda argument: pickle.loads(call(pickle.dumps(argument, 5)))

    def starter(self, method: str) -> Callable[[Any], Any]:
        call = self._method(method)
        return lambda argument: call.future(pickle.dumps(argument, 5))

    def wait(self, call: Any) -> Any:
        return pickle.loads(call.result())
