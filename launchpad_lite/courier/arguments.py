"""A call's arguments, encoded, perhaps before it is known which codec the server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier import codecs
from launchpad_lite.courier.codec import Codec, Payload
from launchpad_lite.scope import Scope

if TYPE_CHECKING:
    from launchpad_lite.courier.messages import ServerInfo


class Arguments(msgspec.Struct, frozen=True):
    """Arguments as they were when the call was made.

    Attributes:
      payload: what they are encoded to.
      size: the bytes of it.
      codec: by which.
      scope: where handles in them have their names.
      title: the method, with its server, for messages.
    """

    payload: Payload
    size: int
    codec: Codec
    scope: Scope | None
    title: str

    def for_server(self, info: ServerInfo) -> Payload:
        """Return them in a server's codec; only this process has made what is decoded for it.

        Raises:
          LaunchpadError: one of them cannot be sent there.
        """
        if info.codec == self.codec.name:
            return self.payload
        args, kwargs = self.codec.decode_arguments(self.payload, self.scope)
        codec = codecs.of_peer(info.codec)
        return codec.encode_arguments(args, kwargs, self.scope, self.title, copy=True)
