"""A process that runs out of something, for real, for a while; and what it has."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

_PATIENCE_S = 30.0
_STACK_BYTES = 2**30  # address space that a thread asks for
_ROOM_BYTES = 2**28  # that is left for all else


@contextlib.contextmanager
def no_more_threads() -> Generator[None]:
    """In the block, no thread of Python's can be started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    stack = threading.stack_size(_STACK_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + _ROOM_BYTES, hard))
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threading.Thread().start()
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        threading.stack_size(stack)


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # that of the directory itself


def await_descriptors(most: int) -> None:
    """Wait until this process has no more open: a server sees a moment later that one has gone."""
    deadline = time.monotonic() + _PATIENCE_S
    while descriptors() > most:
        assert time.monotonic() < deadline, f"{descriptors()} descriptors instead of {most}"
        time.sleep(0.01)
