"""The floor of bandwidth: copying the array from one piece of memory to another, in one process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.calls.peer import CallPeer, Session
from benchmarks.calls.service import Array, Service, floats, read
from benchmarks.calls.workloads import Target, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from benchmarks.window import Figures, Window


class Memcpy(CallPeer):
    """Copies once for each way that an array would go, into memory that is there already."""

    @contextlib.contextmanager
    def start(self, service: Service, clients: int) -> Generator[Session]:
        """See the base class."""
        yield _Session()


class _Session(Session):
    def run(self, workload: Workload, window: Window, clients: int) -> list[Figures]:
        return [workload(_Target(), window)]


class _Target(Target):
    def caller(self, method: str) -> Callable[[Any], Any]:
        buffers: list[Array] = []

        def copy(array: Array) -> Array:
            if not buffers:
                buffers.extend((np.empty_like(array), np.empty_like(array)))
            buffers.reverse()
            np.copyto(buffers[0], array)
            return buffers[0]

        def call(argument: Any) -> Any:
            if method == "echo":
                return copy(copy(argument))
            return read(copy(argument)) if method == "take" else copy(floats(argument))

        return call
