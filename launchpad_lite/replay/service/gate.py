"""Where operations wait for a table's rate limiter: in a line, without a thread."""

from __future__ import annotations

import abc
import collections
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, ClassVar

from launchpad_lite.errors import Unavailable

if TYPE_CHECKING:
    from launchpad_lite.replay.core.layout import ItemBatch
    from launchpad_lite.replay.core.table import Samples, Table

INSERTS, SAMPLES = "inserts", "samples"

ANSWER_BYTES = 2**27
"""Whoever asks for many samples, but takes fewer, gets no more than this at once."""


class Operation(abc.ABC):
    """An insert or a sample, which may need several steps.

    Attributes:
      table: the table.
      ended: gets None at the end, or what the operation failed with.
      waiters: how many want its end, and so keep it in line.
    """

    kind: ClassVar[str]

    def __init__(self, table: Table) -> None:
        """Prepare it."""
        self.table = table
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()  # so no waiter who is cancelled can cancel it
        self.waiters = 0
        self._lock = threading.Lock()

    @abc.abstractmethod
    def step(self) -> bool:
        """Do what the limiter allows now; return whether everything is done."""

    @property
    @abc.abstractmethod
    def wanted(self) -> str:
        """What still waits, for people."""

    def advance(self) -> bool:
        """Do what the limiter allows now; return whether the operation has ended."""
        with self._lock:  # somebody who gives up and tries again may meet the line's own try
            if self.ended.done():
                return True
            try:
                done = self.step()
            except BaseException as error:
                self.ended.set_exception(error)
                return True
            if done:
                self.ended.set_result(None)
            return done

    def abandon(self) -> None:
        """End it as it is, unless it has ended: nobody wants it any more."""
        self.fail(CancelledError())

    def fail(self, error: BaseException) -> None:
        """End it, unless it has ended."""
        with self._lock:
            if not self.ended.done():
                self.ended.set_exception(error)


class Remaining:
    """How many items of some insertions are not inserted, for whoever waits for less. Thread-safe.

    Attributes:
      count: how many; those that never will be count no longer.
    """

    def __init__(self, count: int) -> None:
        """Begin with so many."""
        self.count = count
        self._lock = threading.Lock()
        self._watchers: list[tuple[int, Future[None]]] = []

    def reaches(self, at_most: int) -> Future[None]:
        """Return a future that ends once no more than so many are left."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # so no waiter who is cancelled can cancel it
        with self._lock:
            if self.count > at_most:
                self._watchers.append((at_most, future))
                return future
        future.set_result(None)
        return future

    def subtract(self, count: int) -> None:
        """Count some no longer."""
        with self._lock:
            self.count -= count
            watchers, self._watchers = self._watchers, []
            for at_most, future in watchers:
                if self.count <= at_most:
                    future.set_result(None)
                else:
                    self._watchers.append((at_most, future))


class Insertion(Operation):
    """Inserts items, in order. Whoever makes it holds their rows until it has ended.

    Attributes:
      inserted: how many are inserted.
    """

    kind = INSERTS

    def __init__(
        self, table: Table, batches: list[ItemBatch], remaining: Remaining | None = None
    ) -> None:
        """Prepare to insert some batches.

        Args:
          table: the table.
          batches: the items.
          remaining: counts them, among others.
        """
        super().__init__(table)
        self.inserted = 0
        self._batches = collections.deque(batches)
        self._remaining = remaining
        if remaining is not None:
            self._counted = self._left
            self.ended.add_done_callback(lambda _: remaining.subtract(self._counted))

    def step(self) -> bool:
        """Insert what may be inserted."""
        batches = self._batches
        while batches:
            batch = batches[0]
            done = self.table.try_insert(batch)
            self.inserted += done
            if done < len(batch):
                batches[0] = batch.part(done, len(batch))
                self._note()
                return False
            batches.popleft()
        return True

    def _note(self) -> None:
        """Tell how many are left, before the end."""
        if self._remaining is not None:
            before, self._counted = self._counted, self._left
            self._remaining.subtract(before - self._counted)

    @property
    def _left(self) -> int:
        return sum(map(len, self._batches))

    @property
    def wanted(self) -> str:
        """How many items are not inserted yet."""
        return f"the insertion of {_items(self._left)}"


class Sampling(Operation):
    """Samples items.

    Attributes:
      sampled: what it has got so far.
    """

    kind = SAMPLES

    def __init__(self, table: Table, count: int, at_least: int) -> None:
        """Prepare to sample up to `count` items, and to wait for `at_least` of them."""
        super().__init__(table)
        self.sampled: list[Samples] = []
        self._most = count
        self._missing = min(count, at_least)

    def step(self) -> bool:
        """Sample what may be sampled."""
        while self._missing > 0:
            some = ANSWER_BYTES // max(1, self.table.largest)
            samples = self.table.try_sample(max(self._missing, min(self._most, some)))
            if samples is None:
                return False
            self.sampled.append(samples)
            self._most -= len(samples.info.key)
            self._missing -= len(samples.info.key)
        return True

    @property
    def wanted(self) -> str:
        """How many items are still missing."""
        return f"a sample of {_items(self._missing)}"


class Gate:
    """Lets the operations of one table go on as its rate limiter allows.

    Inserts stand in one line and samples in another; in each, who came first is served first. No
    thread waits here: whoever changes the table moves the lines on. Thread-safe.
    """

    def __init__(self, table: Table) -> None:
        """Watch a table."""
        self.table = table
        self._lock = threading.Lock()
        self._lines: dict[str, collections.deque[Operation]] = {
            INSERTS: collections.deque(),
            SAMPLES: collections.deque(),
        }
        self._moving = False
        self._again = False
        self._hurried: str | None = None  # why nobody may wait any more
        self._closed = False
        self._unwatch = table.when_changed(self._move)
        self.limited = {INSERTS: 0, SAMPLES: 0}
        """How many operations have had to wait so far."""

    def waiting(self, kind: str) -> int:
        """Return how many operations wait."""
        return len(self._lines[kind])

    def enter(self, operation: Operation) -> bool:
        """Do an operation, or let it stand in line; return whether it has ended."""
        line = self._lines[operation.kind]
        if not line and not self._closed and operation.advance():
            return True
        with self._lock:
            if self._hurried is not None:
                operation.fail(_stopped(self._hurried))
                return True
            if operation not in line:
                line.append(operation)
                self.limited[operation.kind] += 1
        self._move()  # the table may have changed before it stood in line
        return operation.ended.done()

    def leave(self, operation: Operation) -> None:
        """Take an operation out of the line, if it still stands there."""
        with self._lock:
            line = self._lines[operation.kind]
            if operation in line:
                line.remove(operation)
        self._move()  # whoever stood behind it may want less

    def close(self, reason: str) -> None:
        """Fail all operations that wait, and those to come, with `Unavailable`."""
        self._unwatch()
        self._closed = True
        self.hurry(reason)

    def hurry(self, reason: str) -> None:
        """Fail all operations that wait with `Unavailable`, and those to come that would have to.

        What the limiter allows at once is still done.
        """
        with self._lock:
            self._hurried = reason
            operations = [operation for line in self._lines.values() for operation in line]
            for line in self._lines.values():
                line.clear()
        for operation in operations:
            operation.fail(_stopped(reason))

    def _move(self) -> None:
        """Advance whoever stands first, until nobody gets any further.

        What an operation changes comes back here, in the same thread; only one thread moves the
        lines at a time, and goes on when another would have begun meanwhile.
        """
        if not any(self._lines.values()):
            return
        with self._lock:
            self._again = True
            if self._moving:
                return
            self._moving = True
        while True:
            with self._lock:
                if not self._again:
                    self._moving = False
                    return
                self._again = False
                first = [line[0] for line in self._lines.values() if line]
            for operation in first:
                if operation.advance():
                    self._step_on(operation)

    def _step_on(self, operation: Operation) -> None:
        with self._lock:
            line = self._lines[operation.kind]
            if operation in line:
                line.remove(operation)
            self._again = True


def _items(count: int) -> str:
    return f"{count} item{'s' if count != 1 else ''}"


def _stopped(reason: str) -> Unavailable:
    return Unavailable(f"the replay server has stopped ({reason})", maybe_executed=False)
