"""The codecs there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.courier import messages
from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.courier.pickle_codec import PickleCodec
from launchpad_lite.errors import VersionMismatch, nearest

if TYPE_CHECKING:
    from launchpad_lite.config import CodecName, ServerConfig
    from launchpad_lite.courier.codec import Codec

PICKLE = PickleCodec()
_BY_NAME: dict[str, Codec] = {"pickle": PICKLE, "data": DataCodec()}


def of_peer(name: str, accepted: CodecName = "pickle") -> Codec:
    """Return the codec that a server says it has.

    Args:
      name: the codec.
      accepted: `data` for nothing else, not even if the server says so after its handshake.

    Raises:
      VersionMismatch: there is none of that name here, or it is not accepted.
    """
    if accepted == "data":
        messages.check_codec(name, "the server", accepted)
    codec = _BY_NAME.get(name)
    if codec is None:
        message = f"the server has a codec {name!r}{nearest(name, _BY_NAME)}"
        raise VersionMismatch(message)
    return codec


def of_server(config: ServerConfig) -> Codec:
    """Return the codec that a server of this process is to have."""
    return DataCodec(tracebacks=config.tracebacks) if config.codec == "data" else PICKLE
