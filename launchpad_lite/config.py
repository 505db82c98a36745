"""Settings that are fixed when a run, a server or a client is made."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast, get_args

from launchpad_lite import validation
from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

CodecName = Literal["pickle", "data"]
"""What makes bytes of arguments and results: anything Python can pickle, or data without code."""

DEFAULT_THREAD_POOL_SIZE = 16
"""Calls that a server runs at a time, as in the original Courier."""

DEFAULT_MAX_WAITING_CALLS = 1024
"""Calls that may wait for their turn in a server."""

DEFAULT_MAX_STREAMS = 1024
"""Streams that a server has open at a time."""

DEFAULT_MAX_IN_FLIGHT = 10_000
"""Calls for futures that a process may have under way at one server."""

WhenFull = Literal["block", "fail"]
"""What becomes of a call that there is no room for."""

MAX_PAYLOAD_BYTES = 2**40
"""The highest limit of a call or result that can be set; each transport carries so much."""

DEFAULT_MAX_PAYLOAD_BYTES = 2**32
"""The largest call or result by default, 4 GiB: more is most likely a mistake."""


TRANSPORTS = ("inproc", "unix", "tcp", "grpc")
"""What can carry the calls of a run, the cheapest first."""

MAX_BUSY_POLL_US = 10**6
"""The longest busy waiting: a second, after which to sleep costs nothing that counts."""


def _call_timeout(name: str, value: Any) -> float:
    timeout = validation.real(value)
    if not timeout > 0:
        validation.refuse(name, value, "a number of seconds above 0, or None for no limit")
    return timeout


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        validation.refuse(name, value, "a path, or None for a place inside the run directory")
    return os.fspath(cast("str", value))


_BYTES = validation.integer(1, MAX_PAYLOAD_BYTES, "bytes")
_BUSY_POLL = validation.integer(0, MAX_BUSY_POLL_US, "microseconds")
_CODEC = validation.one_of(get_args(CodecName))
_WHEN_FULL = validation.one_of(get_args(WhenFull))

_RUN_RULES = {
    "notice_s": validation.wait,
    "grace_s": validation.wait,
    "seed": validation.integer(),
    "max_payload_bytes": _BYTES,
    "checkpoint_dir": validation.optional(_path),
    "pdb": validation.boolean,
    "transport": validation.optional(validation.one_of(TRANSPORTS)),
    "busy_poll_us": _BUSY_POLL,
}
_SERVER_RULES = {
    "port": validation.optional(validation.integer(0, 2**16 - 1)),  # 0 for any
    "thread_pool_size": validation.integer(1),
    "max_payload_bytes": _BYTES,
    "max_waiting_calls": validation.integer(1),
    "max_streams": validation.integer(0),
    "when_full": _WHEN_FULL,
    "codec": _CODEC,
    "tracebacks": validation.boolean,
    "busy_poll_us": _BUSY_POLL,
}
_CLIENT_RULES = {
    "compress": validation.boolean,
    "call_timeout": validation.optional(_call_timeout),
    "wait_for_ready": validation.boolean,
    "max_payload_bytes": _BYTES,
    "busy_poll_us": _BUSY_POLL,
    "max_in_flight": validation.integer(1),
    "when_in_flight_full": _WHEN_FULL,
    "codec": _CODEC,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How one run behaves.

    Attributes:
      notice_s: seconds between the notice that the run stops and the end of nodes that asked to
        be told (a stop handler, `lp.wait_for_stop`, a `save` method).
      grace_s: seconds a node then has before it is killed (a process) or given up (a thread).
      seed: from which each node's own seed is derived.
      max_payload_bytes: the largest call or result.
      checkpoint_dir: where nodes' `save(path)` writes and `restore(path)` reads; None for a place
        inside the run directory.
      pdb: start pdb on the launching terminal for a node that has failed.
      transport: the only one that carries the run's calls, one of `TRANSPORTS`; None for the
        cheapest that works between two nodes.
      busy_poll_us: microseconds for which whoever waits for a call or a reply looks for it again
        and again before it sleeps; see `ServerConfig`.
    """

    notice_s: float = 10.0
    grace_s: float = 5.0
    seed: int = 0
    max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    checkpoint_dir: str | None = None
    pdb: bool = False
    transport: str | None = None
    busy_poll_us: int = 0

    @property
    def encrypts(self) -> bool:
        """Whether the run needs certificates."""
        return self.transport in ("tcp", "grpc")

    def check_transport(self, launcher: str, *, in_process: bool) -> None:
        """Refuse a transport that does not reach from node to node.

        Args:
          launcher: its name.
          in_process: whether its nodes share a process.

        Raises:
          UsageError: it does not.
        """
        if self.transport == "inproc" and not in_process:
            message = (
                "transport 'inproc' carries calls inside one process, and launcher "
                f"{launcher!r} gives each node its own. Choose transport 'unix', 'tcp' or 'grpc', "
                "or launcher 'thread'."
            )
            raise UsageError(message)

    def seed_of(self, node: str) -> int:
        """Return a node's own seed, 32 bits."""
        digest = hashlib.blake2b(f"{self.seed}:{node}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little")

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type, or is out of its range.
        """
        validation.validate(self, _RUN_RULES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """How one Courier server behaves.

    Attributes:
      port: the TCP port of its gRPC endpoint; None for no such endpoint inside a run.
      thread_pool_size: calls that run at a time; more wait for their turn.
      max_payload_bytes: the largest call or result.
      max_waiting_calls: calls that may wait for their turn.
      max_streams: streams that are open at a time, each with a thread; more are refused with
        `ResourceExhausted`.
      when_full: what becomes of more calls: "block" leaves them with their clients until there is
        room; "fail" answers them with `ResourceExhausted`.
      codec: `pickle` carries anything, from peers that are trusted to run code here; `data` carries
        values without code, from whoever may call.
      tracebacks: whether callers see the tracebacks of exceptions with `data`; with `pickle` they
        always do.
      busy_poll_us: microseconds for which the server looks for the next call again and again before
        it sleeps: to be woken takes long on a virtual machine. It keeps a core busy meanwhile. For
        `unix` and `tcp`; 0 for the run's own, which is 0.
    """

    port: int | None = None
    thread_pool_size: int = DEFAULT_THREAD_POOL_SIZE
    max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    max_waiting_calls: int = DEFAULT_MAX_WAITING_CALLS
    max_streams: int = DEFAULT_MAX_STREAMS
    when_full: WhenFull = "block"
    codec: CodecName = "pickle"
    tracebacks: bool = False
    busy_poll_us: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type, or is out of its range.
        """
        validation.validate(self, _SERVER_RULES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """How one Courier client behaves.

    Attributes:
      compress: ask for compression where the transport has it (gRPC).
      call_timeout: seconds for each call; None for no limit.
      wait_for_ready: wait for a server that is not up yet instead of failing at once.
      max_payload_bytes: the largest call or result.
      busy_poll_us: microseconds for which a call looks for its reply before it sleeps; see
        `ServerConfig`.
      max_in_flight: calls for futures (`submit`, `aio`) that a process may have under way at one
        server, or at one pool.
      when_in_flight_full: what becomes of one more: "block" waits for the end of another, "fail"
        fails with `ResourceExhausted`.
      codec: `data` refuses a server that has another codec, so that nothing is ever unpickled that
        a server sends; `pickle` takes whatever codec the server has.
    """

    compress: bool = False
    call_timeout: float | None = None
    wait_for_ready: bool = True
    max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    busy_poll_us: int = 0
    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    when_in_flight_full: WhenFull = "block"
    codec: CodecName = "pickle"

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type, or is out of its range.
        """
        validation.validate(self, _CLIENT_RULES)


class ClientSettings(TypedDict, total=False):
    """What users can set on the clients of a Courier node; see `ClientConfig`.

    Attributes:
      compress: as there.
      call_timeout: as there, or a `timedelta`; 0 means no limit.
      wait_for_ready: as there.
      chunk_tensors: accepted as in the original, and not needed.
      busy_poll_us: as there.
      max_in_flight: as there.
      when_in_flight_full: as there.
      codec: as there.
    """

    compress: bool
    call_timeout: float | dt.timedelta | None
    wait_for_ready: bool
    chunk_tensors: bool
    busy_poll_us: int
    max_in_flight: int
    when_in_flight_full: WhenFull
    codec: CodecName


def with_settings(config: ClientConfig, settings: Mapping[str, Any]) -> ClientConfig:
    """Return a client's configuration with what a user wants to be different.

    Args:
      config: the configuration.
      settings: see `ClientSettings`.

    Raises:
      UsageError: there is no such setting, or its value is out of range.
    """
    known = ClientSettings.__annotations__
    for name in settings:
        if name not in known:
            message = f"a Courier client has no setting {name!r}{nearest(name, known)}"
            raise UsageError(message)
    changes = {name: value for name, value in settings.items() if name != "chunk_tensors"}
    if "call_timeout" in changes:
        changes["call_timeout"] = seconds(changes["call_timeout"])
    return dataclasses.replace(config, **changes)


def seconds(timeout: float | dt.timedelta | None) -> float | None:
    """Return a timeout in seconds; the original's 0 and `timedelta(0)` mean no limit.

    Raises:
      UsageError: it is no number, or a negative one.
    """
    if timeout is None or validation.real(timeout) == 0:
        return None
    return _call_timeout("call_timeout", timeout)
