"""`codec="pickle"`: anything that can be pickled, between peers that trust each other."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, ClassVar

from launchpad_lite.courier import codec, failures
from launchpad_lite.courier.codec import ATOMS
from launchpad_lite.errors import PayloadTooLarge
from launchpad_lite.payload import PROTOCOL

if TYPE_CHECKING:
    from launchpad_lite.scope import Scope


class PickleCodec(codec.Codec):
    """Pickles."""

    name: ClassVar[str] = "pickle"

    def encode(
        self,
        value: object,
        scope: Scope | None = None,
        *,
        copy: bool = False,
        direct: bool = False,
        limit: int | None = None,
    ) -> codec.Payload:
        """See the base class."""
        return codec.encode(value, scope, copy=copy, direct=direct, limit=limit)

    def decode(self, encoded: codec.Payload, scope: Scope | None = None) -> Any:
        """See the base class."""
        return codec.decode(encoded, scope)

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
    ) -> codec.Payload:
        """See the base class."""
        if not (kwargs or direct) and ATOMS.issuperset(map(type, args)):
            return codec.Payload(pickle.dumps((args,), PROTOCOL))  # with no names and no buffers
        arguments = (args, kwargs) if kwargs else (args,)
        try:
            return codec.encode(arguments, scope, copy=copy, direct=direct, limit=limit)
        except PayloadTooLarge as error:
            raise codec.said(error, "the arguments of a call to ", title) from None
        except Exception as error:
            raise codec.blame(args, kwargs, scope, title, error) from error

    def decode_arguments(
        self, encoded: codec.Payload, scope: Scope | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """See the base class."""
        arguments = codec.decode(encoded, scope)
        return arguments if len(arguments) > 1 else (arguments[0], {})

    def encode_failure(self, error: BaseException, scope: Scope | None) -> codec.Payload:
        """See the base class."""
        return failures.encode_failure(error, scope)

    def decode_failure(self, encoded: codec.Payload, scope: Scope | None) -> Exception:
        """See the base class."""
        return failures.decode_failure(encoded, scope)
