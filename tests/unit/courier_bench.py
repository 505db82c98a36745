"""Servers of a run that is not there, on real transports, and clients in it."""

from __future__ import annotations

import contextlib
import gc
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launchpad_lite import courier
from launchpad_lite.config import ClientConfig, ServerConfig
from launchpad_lite.courier.client import client_in_run
from launchpad_lite.credentials import Credentials
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.errors import DeadlineExceeded, Unavailable
from tests.unit.fake_scope import FakeScope

PATIENCE_S = 30.0
CREDENTIALS = Credentials(token=bytes(range(32)))


def certified(directory: str) -> Credentials:
    """Credentials with a certificate, the same for all processes that know the directory."""
    path = Path(directory) / "credentials"
    if not path.exists():
        Credentials.create().save(path)
    return Credentials.load(path)


def await_collection(reference: weakref.ref[Any]) -> None:
    """Wait until what a thread may still let go of has been collected."""
    deadline = time.monotonic() + PATIENCE_S
    while gc.collect() >= 0 and reference() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Run(FakeScope):
    """A run whose directory the test fills."""

    def __init__(self, directory: str, *schemes: str) -> None:
        super().__init__()
        self.credentials = certified(directory) if "tcp" in schemes else CREDENTIALS
        self.schemes = schemes
        self.socket_dir = directory
        self.changed = threading.Condition()
        self.ended: dict[str, str] = {}
        self.once_found: list[Callable[[], object]] = []  # called before a record is returned
        self.stop.on_close(self._wake)

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def resolve(self, name: str, timeout: float | None) -> EndpointRecord:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            while name not in self.published:
                self.stop.check()
                if name in self.ended:
                    message = f"{name} is not there any more: {self.ended[name]}"
                    raise Unavailable(message, maybe_executed=False)
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise DeadlineExceeded(f"{name} did not come up")
                self.changed.wait(left)
            self.stop.check()
            record = self.published[name]
        while self.once_found:
            self.once_found.pop()()
        return record

    def await_change(self, record: EndpointRecord, timeout: float) -> None:
        with self.changed:
            if self.published.get(record.name) == record:
                self.changed.wait(timeout)
        self.stop.check()

    def move(self, name: str, *endpoints: str, host: str | None = None) -> None:
        """Say where a service listens now."""
        with self.changed:
            before = self.published.get(name)
            incarnation = before.incarnation + 1 if before else 0
            self.published[name] = record = EndpointRecord(
                self.run_id, name, incarnation, host or host_id(), endpoints
            )
            self.changed.notify_all()
        for callback in list(self.watchers.get(name, ())):
            callback(record)

    def end(self, name: str, reason: str) -> None:
        """Say that a service will not come back."""
        with self.changed:
            self.published.pop(name, None)
            self.ended[name] = reason
            self.changed.notify_all()


class Bench:
    """Servers of a run, and clients in it."""

    def __init__(self, scheme: str) -> None:
        self.stack = contextlib.ExitStack()
        directory = tempfile.mkdtemp(prefix="lp-", dir="/tmp")
        self.stack.callback(shutil.rmtree, directory)
        self.run = Run(directory, scheme)
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)

    def enter(self, value: Any = None) -> Any:
        self.entered.release()
        self.opened.wait(PATIENCE_S)
        return value

    def wait_for(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=PATIENCE_S)

    def serve(self, tag: str = "", threads: int = 4, name: str = "server/0") -> courier.Server:
        """A server that is not published."""
        config = ServerConfig(thread_pool_size=threads)
        server = courier.Server.in_run(name, self.run, None, config)
        server.Bind("echo", lambda value: value)
        server.Bind("tag", lambda: tag)
        server.Bind("enter", self.enter)
        server.Start()
        self.stack.callback(server.Stop)
        return server

    def publish(self, tag: str = "", threads: int = 4, name: str = "server/0") -> courier.Server:
        server = self.serve(tag, threads, name)
        self.run.move(name, *server.endpoints)
        return server

    def client(self, config: ClientConfig | None = None, name: str = "server/0") -> Any:
        return client_in_run(self.run, name, config or ClientConfig())

    def close(self) -> None:
        self.opened.set()
        self.run.stop.close()
        self.stack.close()
