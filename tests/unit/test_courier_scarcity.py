"""Calls where the other process, or this one, has no more memory, descriptors or file size."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from launchpad_lite.config import ClientConfig
from launchpad_lite.errors import PayloadTooLarge
from tests.unit.courier_bench import PATIENCE_S, Bench
from tests.unit.killable import RUN_NAME, Killable

LARGE = 2**26  # bytes, more than there will be room for
ROOM = 2**25
LIMITED = ClientConfig(call_timeout=PATIENCE_S)


class Pair:
    """A server in another process, and its client in this one."""

    def __init__(self, scheme: str, ran: Path) -> None:
        self.bench = Bench(scheme)
        self.server = Killable(scheme, str(self.bench.run.socket_dir), ran)
        self.bench.run.move(RUN_NAME, *self.server.endpoints)
        self.client = self.bench.client(LIMITED, RUN_NAME)
        assert self.echoes(np.arange(2.0**16)), "both have all they need for arrays"

    def echoes(self, value: Any) -> bool:
        """Whether a value comes back, waited for and as a future."""
        there = (self.client.echo(value), self.client.futures.echo(value).result(PATIENCE_S))
        return all(np.array_equal(value, each) for each in there)

    def close(self) -> None:
        self.server.kill()
        self.bench.close()


@pytest.fixture(params=["unix", "grpc"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    one = Pair(request.param, tmp_path / "ran")
    yield one
    one.close()


@contextlib.contextmanager
def limit(process: int, what: int, most: int) -> Generator[None]:
    """In the block, a process may have so much."""
    soft, hard = resource.prlimit(process, what)
    resource.prlimit(process, what, (most, hard))
    try:
        yield
    finally:
        resource.prlimit(process, what, (soft, hard))


def address_space(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("value", [np.ones(LARGE, np.uint8), bytes(LARGE)], ids=["array", "bytes"])
def test_a_server_without_memory_says_so_and_goes_on(pair: Pair, value: Any) -> None:
    process = pair.server.pid
    with limit(process, resource.RLIMIT_AS, address_space(process) + ROOM):
        waiting = pair.client.futures.echo(1)
        for call in (pair.client.echo, lambda v: pair.client.futures.echo(v).result(PATIENCE_S)):
            with pytest.raises((PayloadTooLarge, MemoryError)) as caught:
                call(value)
            assert caught.value.__cause__ is not None or "there is no memory" in str(caught.value)
        assert waiting.result(PATIENCE_S) == 1
        assert pair.echoes(2)
    assert pair.echoes(value)


@pytest.mark.parametrize("pair", ["unix"], indirect=True)
def test_a_client_without_memory_says_so_and_goes_on(pair: Pair) -> None:
    """On gRPC this takes gRPC's memory too, and it aborts the process."""
    value = np.ones(4 * LARGE, np.uint8)  # tests before may give back some room meanwhile
    here = os.getpid()
    assert pair.client.futures.echo(1).result(PATIENCE_S) == 1
    with limit(here, resource.RLIMIT_AS, address_space(here) + ROOM):
        waiting = pair.client.futures.echo(1)
        for call in (pair.client.echo, lambda v: pair.client.futures.echo(v).result(PATIENCE_S)):
            with pytest.raises((PayloadTooLarge, MemoryError)):
                call(value)
        assert waiting.result(PATIENCE_S) == 1
        assert pair.echoes(2)
    assert pair.echoes(value)


@pytest.mark.parametrize("whose", ["server", "client"])
@pytest.mark.parametrize("pair", ["unix"], indirect=True)
def test_where_no_segment_can_be_made_arrays_go_through_the_socket(pair: Pair, whose: str) -> None:
    """No file may be so large, or there can be no more descriptors; both ends may be without."""
    process = os.getpid() if whose == "client" else pair.server.pid
    array = np.arange(2.0**18)
    used = len(list(Path(f"/proc/{process}/fd").iterdir()))
    with limit(process, resource.RLIMIT_FSIZE, 2**16):
        assert pair.echoes(array)
    with limit(process, resource.RLIMIT_NOFILE, used):
        assert pair.echoes(array)
        assert pair.echoes(array)
    assert pair.echoes(array)


def test_a_directory_without_room_is_told(tmp_path: Path) -> None:
    """A socket needs an entry; where there can be none, the server does not start."""
    bench = Bench("unix")
    bench.run.socket_dir = f"{tempfile.gettempdir()}/lp-is-not-there"
    with pytest.raises(OSError, match="No such file") as caught:
        bench.publish()
    assert caught.value.errno
    bench.close()
