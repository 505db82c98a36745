"""What client and server say to each other, whatever carries it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.deadline import shown
from launchpad_lite.errors import DeadlineExceeded, NotAuthenticated, StatusCode, VersionMismatch
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from launchpad_lite.config import CodecName

PROTOCOL = 2
"""The version of the messages; peers must agree."""

PYTHON = ".".join(platform.python_version_tuple()[:2])


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself in the handshake.

    Attributes:
      run_id: the run it belongs to; empty for a server used alone.
      name: its service's name in the run.
      incarnation: how often its worker was started before.
      methods: the names it can be called by.
      thread_pool_size: how many calls it runs at a time.
      max_payload_bytes: the largest call it takes.
      codec: what makes bytes of its arguments, results and exceptions.
      python: its Python version, `major.minor`.
      package: its version of this package.
      protocol: its version of the messages.
    """

    run_id: str
    name: str
    incarnation: int
    methods: tuple[str, ...]
    thread_pool_size: int
    max_payload_bytes: int
    codec: str
    python: str
    package: str
    protocol: int = PROTOCOL


_FAILED = StatusCode.UNKNOWN.name  # to ask an enum takes longer than to make a reply


class Request(msgspec.Struct, frozen=True):
    """One call.

    Attributes:
      method: what to call.
      arguments: the encoded tuple `(args,)` or `(args, kwargs)`.
      timeout: the seconds it may still take; None for no limit.
      local: it comes from the server's own process.
      limit: the seconds it had in the beginning, for people; None if that is the same.
    """

    method: str
    arguments: Payload
    timeout: float | None = None
    local: bool = False
    limit: float | None = None

    @property
    def given(self) -> float | None:
        """The seconds it had in the beginning; None for no limit."""
        return self.timeout if self.limit is None else self.limit

    def late(self, server: str) -> DeadlineExceeded:
        """Return what the caller is told when the time is over."""
        return DeadlineExceeded(f"{server}.{self.method} did not end within {shown(self.given)}")


class Reply(msgspec.Struct, frozen=True):
    """The end of a call, or one item of a stream.

    Attributes:
      ok: whether it is a result; otherwise it is a failure, see `failures`.
      content: the encoded result or failure.
      code: the name of a failure's status code.
    """

    ok: bool
    content: Payload
    code: str = _FAILED


_INFO = msgspec.msgpack.Decoder(ServerInfo)  # to make one takes longer than to use it


def decode_info(encoded: bytes | bytearray | memoryview, where: str) -> ServerInfo:
    """Read what a server says of itself.

    Raises:
      VersionMismatch: it says it in another way than this version does.
    """
    try:
        return _INFO.decode(encoded)
    except msgspec.MsgspecError as error:
        message = (
            f"the server at {where} does not shake hands as this version of launchpad_lite, "
            f"{__version__}, does. Use the same environment for both."
        )
        raise VersionMismatch(message) from error


def check_codec(codec: str, server: str, accepted: CodecName) -> None:
    """Refuse a server that could send a pickle to who wants none.

    Raises:
      VersionMismatch: `data` is all that is accepted, and the server has another codec.
    """
    if accepted == "data" and codec != "data":
        message = (
            f"{server} has codec={codec!r}, and this client takes nothing but codec='data'. Make "
            "the server with codec='data', or the client without."
        )
        raise VersionMismatch(message)


def check_versions(info: ServerInfo, where: str, accepted: CodecName = "pickle") -> None:
    """Refuse a server whose Python, package or codec does not go with this process's.

    Args:
      info: what the server says of itself.
      where: the place it was found in, for messages.
      accepted: the codec that it must have; `pickle` for any.

    Raises:
      VersionMismatch: they differ; pickles would break in ways nobody understands. Without
        pickles, another Python does no harm.
    """
    check_codec(info.codec, f"the server {info.name or where}", accepted)
    ours = {"launchpad_lite": __version__, "protocol": PROTOCOL}
    theirs = {"launchpad_lite": info.package, "protocol": info.protocol}
    if info.codec == "pickle":
        ours["Python"], theirs["Python"] = PYTHON, info.python
    for what, version in ours.items():
        if theirs[what] != version:
            message = (
                f"the server {info.name or where} has {what} {theirs[what]}, this process has "
                f"{version}. Use the same environment for both."
            )
            raise VersionMismatch(message)


def check_identity(info: ServerInfo, run_id: str, name: str) -> None:
    """Refuse a server that is not the one that was looked for.

    Raises:
      NotAuthenticated: it belongs to another run or is another node.
    """
    if (info.run_id, info.name) != (run_id, name):
        message = (
            f"looked for {name!r} of run {run_id!r}, found {info.name!r} of run {info.run_id!r}."
        )
        raise NotAuthenticated(message)
