"""Segments: what is sealed, what is refused, whose the memory is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad_lite.courier import memfd
from launchpad_lite.courier.frame import ProtocolError

pytestmark = pytest.mark.skipif(not memfd.is_available(), reason="this system has no memfds")

SIZE = memfd.HEADER + 2**16
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@pytest.fixture
def segment() -> Iterator[int]:
    fd = memfd.create(SIZE, [b"abc", bytearray(b"defg")])
    yield fd
    os.close(fd)


def unsealed(size: int = SIZE) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    return fd


def test_parts_begin_on_cache_lines_and_the_first_on_a_page() -> None:
    starts, end = memfd.offsets([1, 64, 65, 0, 3])
    assert starts == [memfd.HEADER + each for each in (0, 64, 128, 256, 256)]
    assert end == memfd.HEADER + 259
    assert memfd.offsets([]) == ([], memfd.HEADER)


def test_a_segment_holds_its_parts(segment: int) -> None:
    assert memfd.check(segment) == SIZE
    assert [bytes(each) for each in memfd.read(segment, [3, 4])] == [b"abc", b"defg"]
    mapped = memfd.map_whole(segment, SIZE)
    assert mapped[0] == memfd.HELD
    assert mapped[memfd.HEADER : memfd.HEADER + 3] == b"abc"


def test_all_of_a_segment_has_memory_from_the_beginning() -> None:
    size = memfd.HEADER + 2**22 + 2**16
    fd = memfd.create(size, [b"abc"])
    try:
        assert os.fstat(fd).st_blocks * 512 >= size
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [0, SIZE // 2, 2 * SIZE])
def test_a_segment_cannot_be_cut_or_grow(segment: int, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(segment, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(segment, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_a_segment_is_not_inherited_by_programs_that_are_started(segment: int) -> None:
    assert not os.get_inheritable(segment)


def test_a_mapping_is_written_through(segment: int) -> None:
    mapped, other = memfd.map_whole(segment, SIZE), memfd.map_whole(segment, SIZE)
    mapped[memfd.HEADER] = 7
    assert other[memfd.HEADER] == 7


def test_who_has_a_segment_is_seen_by_both(segment: int) -> None:
    mapped, other = memfd.map_whole(segment, SIZE), memfd.map_whole(segment, SIZE)
    memfd.release(mapped)
    assert other[0] == memfd.RELEASED
    memfd.set_state(segment, memfd.UNWANTED)
    assert other[0] == mapped[0] == memfd.UNWANTED


def test_a_discarded_segment_costs_no_memory_though_the_peer_maps_it(segment: int) -> None:
    mapped, other = memfd.map_whole(segment, SIZE), memfd.map_whole(segment, SIZE)
    memfd.discard(mapped)
    assert os.fstat(segment).st_blocks == 0
    assert os.fstat(segment).st_size == SIZE
    assert other[memfd.HEADER] == 0


def test_descriptors_that_are_no_memfds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(b"x" * SIZE)
    read_end, write_end = os.pipe()
    plain = os.open(path, os.O_RDWR)
    try:
        for fd in (plain, read_end):
            with pytest.raises(ProtocolError, match=r"file descriptor that is not a memfd|seals"):
                memfd.check(fd)
    finally:
        for fd in (plain, read_end, write_end):
            os.close(fd)


@pytest.mark.parametrize(
    "seals",
    [
        0,
        fcntl.F_SEAL_SHRINK,
        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW,
        fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
        SEALS | fcntl.F_SEAL_WRITE,
    ],
)
def test_memfds_with_other_seals_are_refused(seals: int) -> None:
    fd = unsealed()
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        with pytest.raises(ProtocolError, match=f"a memfd with seals {seals:#x} instead of 0x7"):
            memfd.check(fd)
    finally:
        os.close(fd)


def test_a_segment_that_cannot_be_made_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    create = os.memfd_create

    def note(name: str, flags: int) -> int:
        made.append(create(name, flags))
        return made[-1]

    monkeypatch.setattr(os, "memfd_create", note)
    with pytest.raises(OSError, match="Invalid argument"):
        memfd.create(-1, [])
    (descriptor,) = made
    try:  # by now it may be another thread's
        found = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except FileNotFoundError:
        found = ""
    assert not found.startswith("/memfd:")
