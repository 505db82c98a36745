"""The transport suite, on each transport of this package."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator

from launchpad_lite.courier import transports
from launchpad_lite.courier.transport import ListenOptions, Transport
from launchpad_lite.testing.conformance.transport import TransportConformance


class TestInproc(TransportConformance):
    @contextlib.contextmanager
    def place(self) -> Generator[tuple[Transport, ListenOptions]]:
        yield transports.get("inproc"), ListenOptions()


class TestUnix(TransportConformance):
    @contextlib.contextmanager
    def place(self) -> Generator[tuple[Transport, ListenOptions]]:
        directory = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
        try:
            yield transports.get("unix"), ListenOptions(directory=directory)
        finally:
            shutil.rmtree(directory)


class TestGrpc(TransportConformance):
    @contextlib.contextmanager
    def place(self) -> Generator[tuple[Transport, ListenOptions]]:
        yield transports.get("grpc"), ListenOptions()
