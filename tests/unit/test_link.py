"""What a controller and an agent say to each other arrives whole, however it is delivered."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest

from launchpad_lite.runtime import link

TO_AGENT: list[link.ToAgent] = [
    link.StartWorker("a/0", "/log", {"KEY": "value"}, cold=True, boot=b"\0boot"),
    link.SignalWorker("a/0", 15),
    link.Leavings(["/tmp/x"]),
]
FROM_AGENT: list[link.FromAgent] = [
    link.WorkerStarted("a/0", 4711),
    link.WorkerExited("a/0", -9, b"report"),
    link.StartFailed("a/0", "no memory"),
]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("message", TO_AGENT)
def test_messages_to_an_agent(message: link.ToAgent, pair: Pair) -> None:
    pair[0].sendall(link.encode(message))
    (frame,) = link.Reader(pair[1]).frames()
    assert msgspec.msgpack.decode(frame, type=link.ToAgent) == message


@pytest.mark.parametrize("message", FROM_AGENT)
def test_messages_from_an_agent(message: link.FromAgent, pair: Pair) -> None:
    pair[0].sendall(link.encode(message))
    (frame,) = link.Reader(pair[1]).frames()
    assert msgspec.msgpack.decode(frame, type=link.FromAgent) == message


def test_frames_in_pieces(pair: Pair) -> None:
    reader = link.Reader(pair[1])
    data = b"".join(link.encode(message) for message in TO_AGENT)
    frames: list[bytes] = []
    for position in range(len(data)):
        pair[0].sendall(data[position : position + 1])
        frames += reader.frames()
    assert [msgspec.msgpack.decode(frame, type=link.ToAgent) for frame in frames] == TO_AGENT


def test_many_frames_at_once(pair: Pair) -> None:
    pair[0].sendall(b"".join(link.encode(message) for message in FROM_AGENT) * 10)
    frames = list(link.Reader(pair[1]).frames())
    expected = FROM_AGENT * 10
    assert [msgspec.msgpack.decode(frame, type=link.FromAgent) for frame in frames] == expected


def test_a_peer_that_hung_up(pair: Pair) -> None:
    reader = link.Reader(pair[1])
    pair[0].sendall(link.encode(FROM_AGENT[0])[:-1])  # in the middle of a frame
    pair[0].close()
    assert list(reader.frames()) == []
    with pytest.raises(EOFError):
        list(reader.frames())


def test_nothing_to_read_yet(pair: Pair) -> None:
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        list(link.Reader(pair[1]).frames())
