"""Settings that are fixed when a run, a server or a client is made."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
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

MAX_WAIT_S = 10.0**7
"""The longest notice or grace: four months, well within what threads can wait."""


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise UsageError(message)


def _require_busy_poll(micros: int) -> None:
    within = 0 <= micros <= MAX_BUSY_POLL_US
    _require(within, f"busy_poll_us={micros}: give 0 to {MAX_BUSY_POLL_US} microseconds.")


def _require_when_full(when_full: str, name: str) -> None:
    known = when_full in {"block", "fail"}
    _require(known, f"{name}={when_full!r}: give 'block' or 'fail'.")


def _require_codec(codec: str) -> None:
    known = get_args(CodecName)
    _require(codec in known, f"no codec {codec!r}{nearest(codec, known)}")


def _require_payload_limit(limit: int) -> None:
    within = 0 < limit <= MAX_PAYLOAD_BYTES
    _require(within, f"max_payload_bytes={limit}: give 1 to {MAX_PAYLOAD_BYTES}.")


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
        message = (
            f"transport 'inproc' carries calls inside one process, and launcher {launcher!r} gives "
            "each node its own. Choose transport 'unix', 'tcp' or 'grpc', or launcher 'thread'."
        )
        _require(in_process or self.transport != "inproc", message)

    def seed_of(self, node: str) -> int:
        """Return a node's own seed, 32 bits."""
        digest = hashlib.blake2b(f"{self.seed}:{node}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little")

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value is out of its range.
        """
        for name, value in (("notice_s", self.notice_s), ("grace_s", self.grace_s)):
            _require(0 <= value <= MAX_WAIT_S, f"{name}={value}: give 0 to {MAX_WAIT_S:g} seconds.")
        _require_payload_limit(self.max_payload_bytes)
        _require_busy_poll(self.busy_poll_us)
        if self.transport is not None and self.transport not in TRANSPORTS:
            message = f"unknown transport {self.transport!r}{nearest(self.transport, TRANSPORTS)}"
            raise UsageError(message)


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
          UsageError: a value is out of its range.
        """
        size = self.thread_pool_size
        _require(size >= 1, f"thread_pool_size={size}: a server needs at least one thread.")
        waiting = self.max_waiting_calls
        _require(waiting >= 1, f"max_waiting_calls={waiting}: give 1 or more.")
        streams = self.max_streams
        _require(streams >= 0, f"max_streams={streams}: give 0 or more.")
        _require_when_full(self.when_full, "when_full")
        port = self.port
        _require(port is None or 0 <= port < 2**16, f"port={port}: give 0 (any) to 65535.")
        _require_payload_limit(self.max_payload_bytes)
        _require_codec(self.codec)
        _require_busy_poll(self.busy_poll_us)


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
          UsageError: a value is out of its range.
        """
        most = self.max_in_flight
        _require(most >= 1, f"max_in_flight={most}: give 1 or more.")
        _require_when_full(self.when_in_flight_full, "when_in_flight_full")
        timeout = self.call_timeout
        _require(timeout is None or timeout > 0, f"call_timeout={timeout}: give seconds above 0.")
        _require_payload_limit(self.max_payload_bytes)
        _require_busy_poll(self.busy_poll_us)
        _require_codec(self.codec)


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
    """Return a timeout in seconds; the original's 0 and `timedelta(0)` mean no limit."""
    value = timeout.total_seconds() if isinstance(timeout, dt.timedelta) else timeout
    return float(value) if value else None
