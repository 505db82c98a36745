"""The transport suite, on each transport of this package."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Generator

from launchpad_lite.courier import transports
from launchpad_lite.courier.transport import ListenOptions, Transport
from launchpad_lite.credentials import Credentials
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


certified = functools.cache(Credentials.create)


class TestTcp(TransportConformance):
    @contextlib.contextmanager
    def place(self) -> Generator[tuple[Transport, ListenOptions]]:
        yield transports.get("tcp"), ListenOptions()

    def credentials(self) -> Credentials:
        return certified()


class TestGrpc(TransportConformance):
    @contextlib.contextmanager
    def place(self) -> Generator[tuple[Transport, ListenOptions]]:
        yield transports.get("grpc"), ListenOptions()
