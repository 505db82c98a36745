"""What is pickled on one machine for another, with the versions that can read it."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import msgspec

from launchpad_lite.errors import UsageError
from launchpad_lite.version import __version__


class _Versions(msgspec.Struct, frozen=True):
    """Of who has pickled something: others may not be able to read it."""

    python: str
    launchpad_lite: str

    @classmethod
    def here(cls) -> _Versions:
        return cls(".".join(map(str, sys.version_info[:2])), __version__)

    def __str__(self) -> str:
        return f"Python {self.python} and launchpad_lite {self.launchpad_lite}"


def pack(program: object) -> bytes:
    """Return a program with the versions that can read it."""
    return msgspec.json.encode(_Versions.here()) + b"\n" + pickle.dumps(program)


def unpack(data: bytes) -> Any:
    """Return a program that was packed.

    Raises:
      UsageError: this process has other versions.
    """
    head, _, body = data.partition(b"\n")
    there, here = msgspec.json.decode(head, type=_Versions), _Versions.here()
    if there != here:
        message = (
            f"the program was launched with {there}, and the cluster's machines have {here}. "
            "Install the cluster's versions where it is launched, or ship others with "
            "lp.RayOptions(runtime_env=...)."
        )
        raise UsageError(message)
    return pickle.loads(body)
