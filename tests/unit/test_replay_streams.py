"""What a server keeps of a writer: steps by their index, frames that are sent again, episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.replay.core.limiters import MinSize
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.selectors.ordered import Fifo
from launchpad_lite.replay.core.table import Table
from launchpad_lite.replay.core.types import AnyArray, Numbers
from launchpad_lite.replay.service.protocol import Block, Frame, ItemColumn, ItemRun, StreamLost
from launchpad_lite.replay.service.streams import WriteStream

STREAM = 0x1234


class Server:
    """One stream, and the table that its items go to."""

    def __init__(self) -> None:
        self.store = RowStore()
        self.table = Table("table", Fifo(), Fifo(), 100, MinSize(1), max_times_sampled=1)
        self.table.use_store(self.store)
        self.stream = WriteStream(self.store, self._find)

    def _find(self, name: str) -> Table:
        if name != self.table.name:
            raise UsageError(f"there is no table {name!r}{nearest(name, [self.table.name])}")
        return self.table

    def send(self, frame: Frame) -> None:
        for insertion in self.stream.accept(frame):
            assert insertion.advance()
        assert self.stream.outcome() == 0

    def columns(self) -> list[list[AnyArray]]:
        """The data of all items, in the order of their insertion."""
        samples = self.table.try_sample(len(self.table) or 1)
        assert samples is not None
        found = {place: data for some in samples.gathered for place, data in some.each()}
        return [found[place] for place in sorted(found)]


@pytest.fixture
def server() -> Server:
    return Server()


def frame(sequence: int, **parts: Any) -> Frame:
    usual: dict[str, Any] = {
        "stream": STREAM,
        "sequence": sequence,
        "begins": sequence == 0,
        "blocks": [],
        "runs": [],
        "drop": [],
    }
    return Frame(**(usual | parts))


def run(
    *steps: Sequence[int], table: str = "table", episode: int = 0, squeezed: bool = False
) -> ItemRun:
    """Items of steps of column 0; each must have as many."""
    columns = (ItemColumn(0, len(steps[0]), squeezed),)
    return ItemRun(table, episode, columns, np.ones(len(steps)), np.array(steps))


def numbers(first: int, count: int) -> Block:
    return Block(0, first, np.arange(first, first + count))


def test_items_have_the_steps_that_they_name(server: Server) -> None:
    server.send(frame(0, blocks=[numbers(0, 4)], runs=[run([0, 1], [2, 3], [3, 0])]))
    server.send(frame(1, blocks=[numbers(4, 1)], runs=[run([4], squeezed=True)]))
    data = [columns[0].tolist() for columns in server.columns()]
    assert data == [[0, 1], [2, 3], [3, 0], 4]


def test_columns_of_items_may_have_different_lengths(server: Server) -> None:
    blocks = [numbers(0, 3), Block(1, 0, np.ones((1, 2), np.float32))]
    columns = (ItemColumn(0, 3, squeezed=False), ItemColumn(1, 1, squeezed=True))
    steps = np.array([[0, 1, 2, 0]])
    server.send(frame(0, blocks=blocks, runs=[ItemRun("table", 0, columns, np.ones(1), steps)]))
    [(long, short)] = server.columns()
    assert long.tolist() == [0, 1, 2]
    assert short.tolist() == [1, 1]


def test_a_frame_that_is_sent_again_is_done_once(server: Server) -> None:
    one = frame(0, blocks=[numbers(0, 2)], runs=[run([0], [1])])
    server.send(one)
    server.send(one)
    server.send(frame(1, runs=[run([1])]))
    assert len(server.table) == 3


def test_a_frame_that_follows_nothing_is_lost(server: Server) -> None:
    with pytest.raises(StreamLost):
        server.send(frame(1, runs=[run([0])]))
    server.send(frame(7, begins=True, blocks=[numbers(5, 1)], runs=[run([5])]))
    with pytest.raises(StreamLost):
        server.send(frame(9, blocks=[numbers(6, 1)]))
    server.send(frame(8, blocks=[numbers(6, 1)], runs=[run([6])]))
    assert [int(columns[0][0]) for columns in server.columns()] == [5, 6]


@pytest.mark.parametrize("steps", [[1], [3]])
def test_steps_that_were_dropped_go_with_their_items(server: Server, steps: list[int]) -> None:
    server.send(frame(0, blocks=[numbers(0, 3)], runs=[run([0])], drop=[(0, 2)]))
    assert server.store.nbytes == 2 * 8  # the item's, and the last
    server.send(frame(1, runs=[run([2])]))
    with pytest.raises(UsageError, match="does not have"):
        server.send(frame(2, runs=[run(steps)]))
    server.stream.close()
    assert server.store.nbytes == 2 * 8
    server.table.reset()
    assert server.store.nbytes == 0


def test_steps_between_blocks_are_missing(server: Server) -> None:
    server.send(frame(0, blocks=[numbers(0, 1), numbers(3, 1)], runs=[run([0, 3])]))
    with pytest.raises(UsageError, match="never sent"):
        server.send(frame(1, runs=[run([2])]))


def test_steps_with_missing_ones_are_dropped(server: Server) -> None:
    server.send(frame(0, blocks=[numbers(0, 1), numbers(3, 1)], drop=[(0, 3)]))
    assert server.store.nbytes == 8


def test_all_may_be_dropped_and_others_follow(server: Server) -> None:
    server.send(frame(0, blocks=[numbers(0, 2)], runs=[run([1])], drop=[(0, 2)]))
    server.send(frame(1, blocks=[numbers(6, 2)], runs=[run([6, 7])], drop=[(0, 7)]))
    server.send(frame(2, blocks=[numbers(8, 1)], runs=[run([7, 8])]))
    assert [columns[0].tolist() for columns in server.columns()] == [[1], [6, 7], [7, 8]]


def test_episodes_are_counted_over_frames(server: Server) -> None:
    server.send(frame(0, blocks=[numbers(0, 3)], runs=[run([0]), run([1], episode=1)]))
    server.send(frame(1, runs=[run([2], episode=1)]))
    assert server.table.info.num_episodes == 2
    server.stream.close()
    assert server.table.info.num_episodes == 2


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"runs": [run([0], table="tabel")]}, "no table 'tabel'.*'table'"),
        ({"runs": [run([0])._replace(columns=(ItemColumn(5, 1, squeezed=False),))]}, "column 5"),
        ({"blocks": [Block(0, 2, np.zeros(1))]}, "int64.*float64"),
        ({"blocks": [numbers(0, 1)]}, "sent twice"),
        ({"runs": [run([0, 5])]}, "does not have"),
        ({"blocks": [Block(1, 0, np.array(["a", None], object))]}, "Python objects"),
    ],
)
def test_what_is_wrong_is_told_again(server: Server, parts: dict[str, Any], problem: str) -> None:
    server.send(frame(0, blocks=[numbers(0, 2)], runs=[run([0])]))
    for _ in range(2):
        with pytest.raises(UsageError, match=problem):
            server.send(frame(1, **parts))
    assert len(server.table) == 1
    server.table.reset()
    assert server.store.nbytes == 0
    with pytest.raises(StreamLost):
        server.send(frame(2, blocks=[numbers(2, 1)], runs=[run([2])]))


def test_nothing_is_held_of_a_frame_that_there_is_no_memory_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = server.store.put

    def scarce(values: AnyArray) -> Numbers:
        if values.dtype == np.float32:
            raise MemoryError("no room")
        return put(values)

    monkeypatch.setattr(server.store, "put", scarce)
    with pytest.raises(MemoryError, match="no room"):
        server.send(frame(0, blocks=[numbers(0, 2), Block(1, 0, np.ones((1, 2), np.float32))]))
    assert server.store.nbytes == 0


def test_a_frame_waits_for_the_one_before(server: Server) -> None:
    server.table = Table.queue("table", 1)
    server.table.use_store(server.store)
    [insertion] = server.stream.accept(
        frame(0, blocks=[numbers(0, 2)], runs=[run([0], [1])], drop=[(0, 2)])
    )
    assert not insertion.advance()
    with pytest.raises(UsageError, match="not answered yet"):
        server.stream.accept(frame(1))
    assert server.stream.outcome() == 1
    server.columns()
    assert insertion.advance()
    assert server.stream.outcome() == 0
    server.send(frame(1))
    server.columns()
    assert server.store.nbytes == 0


def test_a_closed_stream_abandons_what_waits(server: Server) -> None:
    server.table = Table.queue("table", 1)
    server.table.use_store(server.store)
    [insertion] = server.stream.accept(frame(0, blocks=[numbers(0, 2)], runs=[run([0], [1])]))
    assert not insertion.advance()
    server.stream.close()
    server.stream.close()
    with pytest.raises(StreamLost, match="was closed"):
        server.stream.outcome()
    server.columns()
    assert insertion.advance()
    assert not len(server.table)
    assert server.store.nbytes == 0
    with pytest.raises(StreamLost):
        server.stream.accept(frame(1))


@pytest.mark.parametrize("inserted", range(6))
def test_a_stream_that_begins_anew_in_a_frame_goes_on_where_it_was(
    server: Server, inserted: int
) -> None:
    """A server that lives inserts each item once, though it may have given up the stream."""
    server.table = Table.queue("table", max(inserted, 1))
    server.table.use_store(server.store)
    server.send(frame(0, blocks=[numbers(0, 1)]))
    one = frame(1, blocks=[numbers(1, 5)], runs=[run([1]), run([2, 3], [3, 4]), run([4], [5])])
    if inserted:
        [insertion] = server.stream.accept(one)
        assert insertion.advance() is (inserted == 5)
    again = one._replace(begins=True)
    for _ in range(2):  # given up once more before it was sent anything, too
        server.stream.close()
        server.stream = WriteStream(server.store, server._find, server.stream.done)  # noqa: SLF001 - ours
    first = [column[0].tolist() for column in server.columns()] if inserted else []
    server.table = server.table.replace(max_size=9, rate_limiter=MinSize(1))
    server.table.use_store(server.store)
    server.send(again)
    server.send(again)
    rest = [columns[0].tolist() for columns in server.columns()] if len(server.table) else []
    assert first + rest == [[1], [2, 3], [3, 4], [4], [5]]
    assert server.stream.done.items == {"table": 5}


def test_what_was_done_is_told_though_the_stream_is_closed(server: Server) -> None:
    [insertion] = server.stream.accept(frame(0, blocks=[numbers(0, 2)], runs=[run([0], [1])]))
    assert insertion.advance()
    server.stream.close()
    assert server.stream.outcome() == 0
