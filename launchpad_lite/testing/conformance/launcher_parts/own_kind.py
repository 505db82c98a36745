"""A kind of node as users write their own: what it runs is a method of the node itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launchpad_lite import launching
from launchpad_lite.address import Address
from launchpad_lite.handle import Handle
from launchpad_lite.nodes.python import PyNode
from launchpad_lite.testing.conformance.launcher_parts.nodes import note

if TYPE_CHECKING:
    from pathlib import Path


class PlaceHandle(Handle[str]):
    """Becomes the place of a node's service; keeps its address to itself."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def dereference(self) -> str:
        return self._address.resolve()


class PlaceNode(PyNode):
    """Tells a port, and runs until the program stops."""

    def __init__(self, path: Path) -> None:
        super().__init__(self.run)
        self._path = path
        self._address = Address()
        self.allocate_address(self._address)

    def create_handle(self) -> Any:
        return self._track_handle(PlaceHandle(self._address))

    def run(self) -> None:
        stops = launching.stop_event()  # having asked, it has time for the note
        note(self._path, f"at {self._address.resolve()}")
        stops.wait()


def compare_place(place: str, path: Path) -> None:
    """Note the place that a handle has become, and stop the program."""
    note(path, f"at {place}")
    launching.stop()
