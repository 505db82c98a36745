"""Objects to bytes and back: what a codec is, and pickling with the buffers of arrays beside.

An array is never copied into the pickle. Who sends it may scatter the buffers; who receives it
owns them, so arrays arrive writable.
"""

from __future__ import annotations

import abc
import enum
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from launchpad_lite import payload, source
from launchpad_lite.address import current_names, naming
from launchpad_lite.courier import arrays
from launchpad_lite.errors import PayloadTooLarge, UnpicklableError
from launchpad_lite.handle import current_receiver

if TYPE_CHECKING:
    from launchpad_lite.scope import Scope


class Payload(msgspec.Struct, frozen=True):
    """One encoded object.

    Attributes:
      pickled: the pickle, or what another codec makes, without the contents of arrays.
      buffers: those contents, in the order the pickle refers to them.
      direct: holds the object itself when it is immutable and stays in this process.
    """

    pickled: bytes | bytearray | memoryview
    buffers: Sequence[bytes | bytearray | memoryview] = ()
    direct: tuple[Any] | None = None

    @property
    def size(self) -> int:
        """The bytes in it."""
        if not self.buffers:  # as in most
            return len(self.pickled)
        return len(self.pickled) + sum([memoryview(buffer).nbytes for buffer in self.buffers])


class Codec(abc.ABC):
    """One way to make bytes of arguments, results and exceptions.

    A server has one; its handshake tells clients which, and neither reads any other.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def encode(
        self,
        value: object,
        scope: Scope | None = None,
        *,
        copy: bool = False,
        direct: bool = False,
        limit: int | None = None,
    ) -> Payload:
        """Encode a result; see `encode` for the arguments.

        Raises:
          PayloadTooLarge: it exceeds the limit; nothing was copied.
          Exception: it cannot be sent.
        """

    @abc.abstractmethod
    def decode(self, encoded: Payload, scope: Scope | None = None) -> Any:
        """Decode a result, which takes over the payload's buffers.

        Raises:
          Exception: it cannot be rebuilt here.
        """

    @abc.abstractmethod
    def encode_arguments(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        scope: Scope | None,
        title: str,
        *,
        copy: bool = False,
        direct: bool = False,
        limit: int | None = None,
    ) -> Payload:
        """Encode a call's arguments; see `encode` for the others.

        Args:
          args: the arguments.
          kwargs: the keyword arguments.
          scope: where handles in them have their names.
          title: the method, with its server, for the message.
          copy: as in `encode`.
          direct: as in `encode`.
          limit: as in `encode`.

        Raises:
          PayloadTooLarge: they exceed the limit; nothing was copied.
          LaunchpadError: one of them cannot be sent; the message says which.
        """

    @abc.abstractmethod
    def decode_arguments(
        self, encoded: Payload, scope: Scope | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Decode a call's arguments, from a peer that has been authenticated.

        Raises:
          Exception: they cannot be rebuilt here.
        """

    @abc.abstractmethod
    def encode_failure(self, error: BaseException, scope: Scope | None) -> Payload:
        """Encode what a method raised; never raises itself."""

    @abc.abstractmethod
    def decode_failure(self, encoded: Payload, scope: Scope | None) -> Exception:
        """Return what a method raised, or an error that says what is known of it."""


def encode(
    value: object,
    scope: Scope | None = None,
    *,
    copy: bool = False,
    direct: bool = False,
    limit: int | None = None,
) -> Payload:
    """Encode an object.

    Args:
      value: what to encode.
      scope: where handles in it have their names.
      copy: copy the buffers of arrays, for a payload that outlives this call; otherwise they are
        views of the arrays' own memory.
      direct: the receiver is in this process: let immutable atoms pass as they are.
      limit: the most bytes, if arrays are among them; None for any number.

    Raises:
      PayloadTooLarge: it exceeds the limit; nothing was copied.
      Exception: whatever pickling the object raises.
    """
    if direct and _is_immutable(value):
        return Payload(b"", (), (value,))
    if type(value) in ATOMS:  # which have no name and no buffers
        return Payload(pickle.dumps(value, payload.PROTOCOL))
    buffers: list[pickle.PickleBuffer] = []
    token = current_names.set(scope)
    try:
        try:
            pickled = arrays.dumps(value, buffers.append)
            by_value = b"__main__" in pickled and not source.main_travels_by_reference()
        except (pickle.PicklingError, AttributeError, TypeError):
            pickled, by_value = b"", True
        if by_value:  # a lambda, a closure, or a class that only this process has
            buffers.clear()
            pickled = payload.dumps(value, buffers.append)
    finally:
        current_names.reset(token)
    if not buffers:
        return Payload(pickled)
    check_bytes(len(pickled) + sum(map(arrays.size, buffers)), limit)
    raw = [arrays.memory(buffer) for buffer in buffers]
    return Payload(pickled, [bytearray(buffer) for buffer in raw] if copy else raw)


def blame(
    args: tuple[Any, ...], kwargs: dict[str, Any], scope: Scope | None, title: str, error: Exception
) -> UnpicklableError:
    """Return the error that says which argument of a call could not be encoded.

    Args:
      args: the call's arguments.
      kwargs: its keyword arguments.
      scope: as in `encode`.
      title: the method, with its server.
      error: what encoding raised.
    """
    parts = {f"args[{index}]": value for index, value in enumerate(args)} | kwargs
    with naming(scope):
        found = payload.culprit(parts)
    what, why = (f"argument {found[0]}", found[1]) if found else ("the arguments", str(error))
    return UnpicklableError(f"{title}: {what} cannot be sent: {why}.")


def decode(encoded: Payload, scope: Scope | None = None) -> Any:
    """Decode an object that takes over the payload's buffers.

    Args:
      encoded: from a peer that has been authenticated; unpickling runs code.
      scope: where handles in it become clients.

    Raises:
      Exception: whatever unpickling the object raises.
    """
    if encoded.direct is not None:
        return encoded.direct[0]
    token = current_receiver.set(scope)
    try:
        return pickle.loads(encoded.pickled, buffers=encoded.buffers)
    finally:
        current_receiver.reset(token)


ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""What is the same in all processes, and cannot be changed."""


def _is_immutable(value: object) -> bool:
    """Whether a value may pass between threads as it is: exact atoms, enum members, tuples."""
    kind = type(value)
    if kind in ATOMS:
        return True
    if kind is tuple or kind is frozenset:
        return all(_is_immutable(part) for part in value)  # type: ignore[attr-defined]
    return isinstance(value, enum.Enum)  # there is one of each in a process


def check_size(encoded: Payload, limit: int, *what: str) -> Payload:
    """Return the payload unless it is too large.

    Args:
      encoded: the payload.
      limit: the most bytes.
      what: what it is, in parts: they are only put together for the message.

    Raises:
      PayloadTooLarge: it exceeds `limit` bytes.
    """
    try:
        check_bytes(encoded.size, limit)
    except PayloadTooLarge as error:
        raise said(error, *what) from None
    return encoded


def check_bytes(size: int, limit: int | None) -> None:
    """Refuse a number of bytes that exceeds a limit, if there is one.

    Raises:
      PayloadTooLarge: it does.
    """
    if limit is not None and size > limit:
        message = (
            f"{size:,} bytes exceed the limit of {limit:,}. Send less at a time, or raise "
            "--lp_max_payload_bytes."
        )
        raise PayloadTooLarge(message)


def said(error: PayloadTooLarge, *what: str) -> PayloadTooLarge:
    """Return the error of `check_bytes` as one that says what is too large; see `check_size`."""
    return PayloadTooLarge(f"{''.join(what)}: {error}")
