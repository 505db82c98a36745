"""What a writer keeps and sends, without a server: columns, batches, frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.service import outgoing as module
from launchpad_lite.replay.service.columns import StreamColumn
from launchpad_lite.replay.service.outgoing import Outgoing, Pattern
from launchpad_lite.replay.service.protocol import Frame


class Stream:
    """One column of numbers, of which some are kept, and its frames."""

    def __init__(self, keep: int) -> None:
        self.outgoing = Outgoing()
        self.column = StreamColumn(self.outgoing.stream, 0, "x", keep, 0)
        self.outgoing.columns = [self.column]
        self._patterns: dict[tuple[int, ...], Pattern] = {}

    def put(self, count: int = 1) -> None:
        for _ in range(count):
            step = self.outgoing.following
            self.column.put(step, np.int64(step))
            self.outgoing.following += 1

    def item(self, steps: Sequence[int], table: str = "table", episode: int = 0) -> None:
        assert self.column.has(steps)
        parts = [(self.column, steps, False)]
        key = tuple(step - steps[0] for step in steps)
        pattern = self._patterns.setdefault(key, Pattern.of(parts))
        self.outgoing.add(table, episode, pattern, parts, 1.0)

    def sent(self) -> Frame:
        batch = self.outgoing.take()
        frame = self.outgoing.frame(batch)
        self.outgoing.inserted(batch)
        return frame


def steps_of(frame: Frame) -> list[int]:
    """The steps that a frame brings along, which are their own values here."""
    found: list[int] = []
    for block in frame.blocks:
        assert block.values.tolist() == list(range(block.first, block.first + len(block.values)))
        found.extend(block.values.tolist())
    return found


def items_of(frame: Frame) -> list[list[int]]:
    return [line for run in frame.runs for line in run.steps.tolist()]


def test_only_steps_that_items_refer_to_are_sent_and_once() -> None:
    stream = Stream(keep=3)
    stream.put(5)
    stream.item(range(3, 5))
    first = stream.sent()
    assert (first.sequence, first.begins) == (0, True)
    assert steps_of(first) == [3, 4]
    assert items_of(first) == [[3, 4]]
    stream.put()
    stream.item(range(4, 6))
    second = stream.sent()
    assert (second.sequence, second.begins) == (1, False)
    assert steps_of(second) == [5]
    assert items_of(second) == [[4, 5]]
    assert second.drop == [(0, 3)]


def test_a_step_may_be_needed_after_later_ones() -> None:
    stream = Stream(keep=4)
    stream.put(4)
    stream.item(range(3, 4))
    assert steps_of(stream.sent()) == [3]
    stream.item(range(1, 4))
    assert steps_of(stream.sent()) == [1, 2]
    stream.item(range(4))
    assert steps_of(stream.sent()) == [0]


def test_steps_of_an_item_may_be_in_any_order() -> None:
    stream = Stream(keep=10)
    stream.put(8)
    stream.item((6, 1, 1))
    stream.item(range(7, 3, -2))
    frame = stream.sent()
    assert sorted(steps_of(frame)) == [1, 5, 6, 7]
    assert items_of(frame) == [[6, 1, 1], [7, 5]]


def test_items_that_are_alike_make_one_run_and_tables_do_not_mix() -> None:
    stream = Stream(keep=3)
    for number in range(4):
        stream.put()
        stream.item(range(number, number + 1), table="a")
        stream.item(range(number, number + 1), table="b")
    stream.item(range(2, 4), table="a")
    stream.item(range(3, 4), table="a", episode=1)
    runs = [(run.table, run.episode, run.steps.tolist()) for run in stream.sent().runs]
    singles = [[0], [1], [2], [3]]
    assert runs == [("a", 0, singles), ("a", 0, [[2, 3]]), ("a", 1, [[3]]), ("b", 0, singles)]


def test_a_stream_that_was_lost_begins_with_all_that_is_needed() -> None:
    stream = Stream(keep=3)
    stream.put(3)
    stream.item(range(3))
    stream.sent()
    stream.item(range(1, 3))
    batch = stream.outgoing.take()
    assert stream.outgoing.frame(batch).blocks == []
    stream.put(5000)  # what the items need has left the window meanwhile
    stream.outgoing.lost()
    again = stream.outgoing.frame(batch)
    assert again.begins
    assert again.sequence == 1
    assert steps_of(again) == [0, 1, 2]
    stream.outgoing.inserted(batch)
    stream.item(range(5001, 5003))
    after = stream.sent()
    assert not after.begins
    assert steps_of(after) == [5001, 5002]


def test_after_a_refusal_the_stream_begins_anew_without_the_items() -> None:
    stream = Stream(keep=2)
    stream.put(2)
    stream.item(range(2))
    batch = stream.outgoing.take()
    stream.outgoing.refused(batch)
    assert stream.outgoing.items == 0
    stream.put()
    stream.item(range(1, 3))
    frame = stream.sent()
    assert (frame.sequence, frame.begins) == (1, True)
    assert steps_of(frame) == [0, 1, 2]
    assert items_of(frame) == [[1, 2]]


def test_large_frames_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FRAME_ITEMS", 10)
    stream = Stream(keep=1)
    for number in range(25):
        stream.put()
        stream.item(range(number, number + 1))
    frames = [stream.sent() for _ in range(3)]
    assert [len(items_of(frame)) for frame in frames] == [10, 10, 5]
    assert [frame.drop for frame in frames] == [[(0, 9)], [(0, 19)], [(0, 24)]]
    assert not stream.outgoing.waiting
    assert (stream.outgoing.items, stream.outgoing.nbytes) == (0, 0)


def test_there_is_a_bound_of_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 24)
    stream = Stream(keep=3)
    stream.put(3)
    stream.item(range(2))
    assert not stream.outgoing.full
    stream.item(range(1, 3))
    assert stream.outgoing.full
    stream.sent()
    assert not stream.outgoing.full


def test_memory_is_let_go_of() -> None:
    """The chunks of steps that nobody can refer to, and no item needs, are not kept."""
    stream = Stream(keep=2)
    for _ in range(20):
        stream.put(1000)
        last = stream.outgoing.following
        stream.item(range(last - 2, last))
        stream.sent()
    kept = stream.column._chunks  # noqa: SLF001 - nothing else tells
    assert len(kept) <= 2
    assert sum(map(len, [stream.column.sent])) == 1


def test_a_column_with_gaps() -> None:
    column = StreamColumn(1, 0, "x", keep=3, born=2)
    for step in (2, 3, 7, 9):
        column.put(step, 1.5)
    assert column.irregular
    assert list(column.live) == [3, 7, 9]
    assert column.has((3, 9))
    assert not column.has(range(7, 10))
    assert not column.has((2,))
    assert column.never_had((2, 3, 7)) is None
    assert column.never_had((7, 8)) == 8
    assert column.never_had((1,)) == 1
    assert column.never_had((10,)) == 10


def test_values_are_checked() -> None:
    column = StreamColumn(1, 0, "reward", keep=3, born=0)
    with pytest.raises(UsageError, match="'reward' is no array"):
        column.checked([[1], [1, 2]])
    with pytest.raises(UsageError, match="'reward' is <object"):
        column.checked(object())
    column.put(0, 1.5)
    assert column.scalar is float
    assert column.checked(np.float64(2.0)) == 2.0
    with pytest.raises(UsageError, match="'reward' has dtype int64, and had float64"):
        column.checked(1)
    with pytest.raises(UsageError, match=r"'reward' has shape \[2\], and had \[\]"):
        column.checked(np.zeros(2))


def test_fewer_steps_may_be_kept_later() -> None:
    column = StreamColumn(1, 0, "x", keep=5, born=0)
    for step in range(5):
        column.put(step, step)
    column.keep_only(2)
    assert list(column.live) == [3, 4]
    assert column.value(3) == 3


class Server:
    """What a server must be able to do with the frames of a stream of one column."""

    def __init__(self) -> None:
        self.known: set[int] | None = None

    def take(self, frame: Frame) -> list[list[int]] | None:
        """Returns the items, or None where the stream is not known."""
        if frame.begins:
            self.known = set()
        if self.known is None:
            return None
        new = steps_of(frame)
        assert len(new) == len(set(new))
        assert self.known.isdisjoint(new)
        self.known.update(new)
        items = items_of(frame)
        assert all(self.known.issuperset(item) for item in items)
        [(_, before)] = frame.drop
        self.known = {step for step in self.known if step >= before}
        return items


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_events(seed: int) -> None:
    random = np.random.default_rng(seed)
    keep = int(random.integers(1, 12))
    stream, server = Stream(keep), Server()
    wanted: list[list[int]] = []
    got: list[list[int]] = []
    for _ in range(300):
        stream.put(int(random.integers(1, 1 + random.integers(1, 2 * keep))))
        for _ in range(random.integers(3)):
            live = list(stream.column.live)
            begin = int(random.integers(len(live)))
            item: Sequence[int] = range(
                live[begin], live[int(random.integers(begin, len(live)))] + 1
            )
            if random.random() < 0.3:
                item = tuple(random.choice(live, 3).tolist())
            stream.item(item)
            wanted.append(list(item))
        if stream.outgoing.waiting and random.random() < 0.5:
            batch = stream.outgoing.take()
            if random.random() < 0.1:
                server.known = None  # it was restarted
            taken = server.take(stream.outgoing.frame(batch))
            if taken is None:
                stream.put(int(random.integers(3 * keep)))  # while the frame is under way
                stream.outgoing.lost()
                taken = server.take(stream.outgoing.frame(batch))
            assert taken is not None
            got.extend(taken)
            if random.random() < 0.1:
                stream.outgoing.refused(batch)
            else:
                stream.outgoing.inserted(batch)
    while stream.outgoing.waiting:
        got.extend(server.take(stream.sent()) or [])
    assert got == wanted
    assert (stream.outgoing.items, stream.outgoing.nbytes) == (0, 0)
