"""Borrowed segments: whose arrays lie in them, when they are released, and what is refused."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from launchpad_lite.courier import borrowing, memfd
from launchpad_lite.courier.borrowing import Borrower
from launchpad_lite.courier.frame import ProtocolError
from launchpad_lite.courier.memfd import Descriptor

pytestmark = pytest.mark.skipif(not memfd.is_available(), reason="this system has no memfds")

LENGTH = 2**16
SIZE = memfd.HEADER + LENGTH


@pytest.fixture
def segment() -> Iterator[int]:
    fd = memfd.create(SIZE, [b"a" * LENGTH])
    yield fd
    os.close(fd)


def state(fd: int) -> int:
    return os.pread(fd, 1, 0)[0]


def borrow(borrower: Borrower, fd: int, lengths: Sequence[int] = (LENGTH,)) -> list[memoryview]:
    borrower.add(1, Descriptor(os.dup(fd)))
    return again(borrower, lengths)


def again(borrower: Borrower, lengths: Sequence[int] = (LENGTH,)) -> list[memoryview]:
    return [memoryview(part) for part in borrower.borrow(1, lengths)]


def test_arrays_lie_in_the_segment_and_are_writable(segment: int) -> None:
    (part,) = borrow(Borrower(), segment)
    array = np.frombuffer(part, np.uint8)
    assert array.flags.writeable
    array[:] = 7
    assert os.pread(segment, 3, memfd.HEADER) == b"\7\7\7"


def test_a_segment_is_released_with_the_last_array_over_it(segment: int) -> None:
    borrower = Borrower()
    parts = borrow(borrower, segment, (100, 100))
    first, second = (np.frombuffer(part, np.uint8) for part in parts)
    del parts
    last = second[10:].reshape(9, 10)[:, 1]
    del first, second
    gc.collect()
    assert state(segment) == memfd.HELD
    del last
    assert state(segment) == memfd.RELEASED


def test_a_segment_is_used_many_times(segment: int) -> None:
    borrower = Borrower()
    parts = borrow(borrower, segment)
    for _ in range(3):
        del parts
        assert state(segment) == memfd.RELEASED
        memfd.set_state(segment, memfd.HELD)
        parts = again(borrower)
    assert bytes(parts[0]) == b"a" * LENGTH


def test_a_forgotten_segment_is_unmapped_with_its_last_array(segment: int) -> None:
    borrower = Borrower()
    before = len(borrowing.mapped)
    parts = borrow(borrower, segment)
    borrower.forget([1, 99])
    assert len(borrowing.mapped) == before + 1
    assert bytes(parts[0][:3]) == b"aaa"
    del parts
    assert len(borrowing.mapped) == before
    with pytest.raises(ProtocolError, match="that it has not passed"):
        again(borrower)


def test_a_process_that_maps_too_many_copies_instead(
    segment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowing, "most_segments", lambda: 0)
    parts = borrow(Borrower(), segment, (LENGTH // 2, LENGTH // 2))
    assert state(segment) == memfd.UNWANTED
    parts[0][:3] = b"xyz"
    assert os.pread(segment, 3, memfd.HEADER) == b"aaa"
    assert bytes(parts[1]) == b"a" * (LENGTH // 2)


@pytest.mark.parametrize("lengths", [(LENGTH + 1,), (LENGTH, 1), (2**63,), (2**64 - 1, 2**64 - 1)])
def test_buffers_that_end_after_the_segment_are_refused(
    segment: int, lengths: Sequence[int]
) -> None:
    borrower = Borrower()
    with pytest.raises(ProtocolError, match=r"bytes in a shared segment of 69,632"):
        borrow(borrower, segment, lengths)
    with pytest.raises(ProtocolError, match=r"bytes in a shared segment of 69,632"):
        again(borrower, lengths)


def test_unknown_known_and_held_segments_are_refused(segment: int) -> None:
    borrower = Borrower()
    with pytest.raises(ProtocolError, match="that it has not passed"):
        again(borrower)
    held = borrow(borrower, segment)
    with pytest.raises(ProtocolError, match="two shared segments of one number"):
        borrow(borrower, segment)
    with pytest.raises(ProtocolError, match="that it was not given back"):
        again(borrower)
    assert bytes(held[0][:3]) == b"aaa"


def test_a_descriptor_that_is_no_segment_is_refused() -> None:
    fd = os.memfd_create("test")
    try:
        with pytest.raises(ProtocolError, match="a memfd with seals"):
            borrow(Borrower(), fd)
    finally:
        os.close(fd)


def test_what_is_held_while_the_process_forks_is_never_released(segment: int) -> None:
    borrower = Borrower()
    parts = borrow(borrower, segment)
    child = os.fork()
    if child == 0:
        del parts
        os._exit(state(segment))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == memfd.HELD
    del parts
    assert state(segment) == memfd.HELD


def test_a_receiver_that_is_killed_releases_nothing() -> None:
    fd = memfd.create(SIZE, [b"a" * LENGTH])
    program = (
        "import sys, time\n"
        "from launchpad_lite.courier.borrowing import Borrower\n"
        "from launchpad_lite.courier.memfd import Descriptor\n"
        "borrower = Borrower()\n"
        f"borrower.add(1, Descriptor({fd}))\n"
        f"parts = borrower.borrow(1, ({LENGTH},))\n"
        "parts[0][:3] = b'xyz'\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[fd],
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        child.send_signal(signal.SIGKILL)
    assert state(fd) == memfd.HELD
    assert os.pread(fd, 3, memfd.HEADER) == b"xyz"
    os.close(fd)
