"""The codecs there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.courier.pickle_codec import PickleCodec
from launchpad_lite.errors import VersionMismatch, nearest

if TYPE_CHECKING:
    from launchpad_lite.config import ServerConfig
    from launchpad_lite.courier.codec import Codec

PICKLE = PickleCodec()
_BY_NAME: dict[str, Codec] = {"pickle": PICKLE, "data": DataCodec()}


def of_peer(name: str) -> Codec:
    """Return the codec that a server says it has.

    Raises:
      VersionMismatch: there is none of that name here.
    """
    codec = _BY_NAME.get(name)
    if codec is None:
        message = f"the server has a codec {name!r}{nearest(name, _BY_NAME)}"
        raise VersionMismatch(message)
    return codec


def of_server(config: ServerConfig) -> Codec:
    """Return the codec that a server of this process is to have."""
    return DataCodec(tracebacks=config.tracebacks) if config.codec == "data" else PICKLE
