"""A table: items that a sampler chooses from, a remover keeps few, and a rate limiter paces."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.extensions import Extensions, TableExtension
from launchpad_lite.replay.core.info import RateLimiterInfo, SampleInfo, SelectorInfo, TableInfo
from launchpad_lite.replay.core.layout import Gathered, ItemBatch, gather
from launchpad_lite.replay.core.ledger import Ledger, TableState
from launchpad_lite.replay.core.limiters import Queue, RateLimiter, Stack
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.selectors.base import Selector
from launchpad_lite.replay.core.selectors.ordered import Fifo, Lifo
from launchpad_lite.replay.core.spec import Signature, check_columns
from launchpad_lite.validation import instance, integer, text, within

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from launchpad_lite.replay.core.layout import Layout, Lines
    from launchpad_lite.replay.core.types import FloatArray, KeyArray

_selector = instance(Selector, "a selector, with its parentheses: selectors.Uniform()")
_limiter = instance(RateLimiter, "a rate limiter, with its arguments: rate_limiters.MinSize(1)")
_extension = instance(TableExtension, "an object of a class that extends TableExtension")
_count, _times = integer(1), integer()


class Samples(NamedTuple):
    """A batch of sampled items.

    Attributes:
      info: what is known of each; an array `[n]` in each field.
      gathered: their data, by layout; one entry if all items are alike.
    """

    info: SampleInfo
    gathered: list[Gathered]


class Table:
    """Items, and how they are sampled, removed and paced. Thread-safe; no method waits.

    The semantics are those of google-deepmind/reverb (reverb/cc/table.cc), for batches: an item is
    inserted before the remover looks for one to remove, which may be the new one; an item is
    deleted after its last sample, and the limiter counts each deletion, by whatever cause.

    Attributes:
      name: the table's name.
      max_size: how many items it may hold.
      max_times_sampled: how often an item is sampled before it is deleted; 0 is without end.
      signature: what each item's columns must be; None if anything goes.
      extensions: what is told about changes.
      store: where the data is.
    """

    def __init__(  # noqa: PLR0917 - programs give Reverb's arguments in its order
        self,
        name: str,
        sampler: Selector,
        remover: Selector,
        max_size: int,
        rate_limiter: RateLimiter,
        max_times_sampled: int = 0,
        extensions: Sequence[TableExtension] | None = None,
        signature: Any = None,
    ) -> None:
        """Make an empty table.

        Args:
          name: what it is called; clients name it.
          sampler: chooses the items to sample. The table uses a fresh one with the same settings,
            and so for the remover and the limiter: they may be given to several tables.
          remover: chooses the items to remove when there are more than `max_size`.
          max_size: how many items it may hold; at least 1.
          rate_limiter: says when inserting and sampling may go on.
          max_times_sampled: how often an item is sampled before it is deleted; below 1, without
            end.
          extensions: what is told about changes.
          signature: a nest of `ArraySpec`, which each item, or each of its steps, must fit; None if
            anything goes.

        Raises:
          UsageError: an argument is wrong, or the rate limiter asks for more items than the table
            may hold.
        """
        with within("Table"):
            text("name", name)
        if not name:
            raise UsageError("Table: name must not be empty.")
        self.name = name
        place = f"Table {name!r}"
        with within(place):
            _selector("sampler", sampler)
            _selector("remover", remover)
            _limiter("rate_limiter", rate_limiter)
            for index, extension in enumerate(extensions or ()):
                _extension(f"extensions[{index}]", extension)
            self.max_size: int = _count("max_size", max_size)
            times: int = _times("max_times_sampled", max_times_sampled)
            self.max_times_sampled = max(0, times)
            rate_limiter.check_max_size(self.max_size)
        self.signature = None if signature is None else Signature(signature)
        self.extensions = tuple(extensions or ())
        self.store = RowStore()
        self._ledger = Ledger(
            sampler=sampler.fresh(),
            remover=remover.fresh(),
            limiter=rate_limiter.fresh(),
            max_size=self.max_size,
            max_times_sampled=self.max_times_sampled,
            extensions=Extensions(name, self.extensions),
        )
        self._lock = threading.Lock()
        self._watchers: tuple[Callable[[], None], ...] = ()

    @classmethod
    def queue(
        cls,
        name: str,
        max_size: int,
        extensions: Sequence[TableExtension] | None = None,
        signature: Any = None,
    ) -> Self:
        """Make a queue: each item is sampled once, the oldest first; inserts wait while it is full.

        Raises:
          UsageError: an argument is wrong.
        """
        limiter = Queue(max_size)
        return cls(name, Fifo(), Fifo(), max_size, limiter, 1, extensions, signature)

    @classmethod
    def stack(
        cls,
        name: str,
        max_size: int,
        extensions: Sequence[TableExtension] | None = None,
        signature: Any = None,
    ) -> Self:
        """Make a stack: each item is sampled once, the newest first; inserts wait while it is full.

        Raises:
          UsageError: an argument is wrong.
        """
        limiter = Stack(max_size)
        return cls(name, Lifo(), Lifo(), max_size, limiter, 1, extensions, signature)

    def replace(  # noqa: PLR0917 - the same
        self,
        name: str | None = None,
        sampler: Selector | None = None,
        remover: Selector | None = None,
        max_size: int | None = None,
        rate_limiter: RateLimiter | None = None,
        max_times_sampled: int | None = None,
        extensions: Sequence[TableExtension] | None = None,
        signature: Any = None,
    ) -> Table:
        """Return a new, empty table with the settings of this one, but for those given.

        Raises:
          UsageError: an argument is wrong.
        """
        mine = None if self.signature is None else self.signature.nest
        return Table(
            name=self.name if name is None else name,
            sampler=self._ledger.sampler if sampler is None else sampler,
            remover=self._ledger.remover if remover is None else remover,
            max_size=self.max_size if max_size is None else max_size,
            rate_limiter=self._ledger.limiter if rate_limiter is None else rate_limiter,
            max_times_sampled=(
                self.max_times_sampled if max_times_sampled is None else max_times_sampled
            ),
            extensions=self.extensions if extensions is None else extensions,
            signature=mine if signature is None else signature,
        )

    @property
    def info(self) -> TableInfo:
        """The settings, and what the table holds now."""
        books = self._ledger
        with self._lock:
            return TableInfo(
                name=self.name,
                sampler_options=SelectorInfo.of(books.sampler),
                remover_options=SelectorInfo.of(books.remover),
                max_size=self.max_size,
                max_times_sampled=self.max_times_sampled,
                rate_limiter_info=RateLimiterInfo.of(books.limiter),
                signature=None if self.signature is None else self.signature.nest,
                current_size=len(books.items),
                num_episodes=len(books.items.episodes),
                num_deleted_episodes=books.items.episodes.num_deleted,
                num_unique_samples=books.num_unique_samples,
            )

    @property
    def largest(self) -> int:
        """The bytes of the largest item that has been here."""
        return self._ledger.items.largest

    def __len__(self) -> int:
        return len(self._ledger.items)

    def __repr__(self) -> str:
        return (
            f"Table(name={self.name!r}, sampler={self._ledger.sampler!r}, "
            f"remover={self._ledger.remover!r}, max_size={self.max_size}, "
            f"rate_limiter={self._ledger.limiter!r}, "
            f"max_times_sampled={self.max_times_sampled})"
        )

    def can_sample(self, num_samples: int) -> bool:
        """Return whether the rate limiter lets so many items be sampled now."""
        with self._lock:
            return self._ledger.limiter.can_sample(num_samples)

    def can_insert(self, num_inserts: int) -> bool:
        """Return whether the rate limiter lets so many items be inserted now."""
        with self._lock:
            return self._ledger.limiter.can_insert(num_inserts)

    def describe_limiter(self) -> str:
        """Return one line on what the rate limiter has counted, allows, and lets wait."""
        with self._lock:
            return self._ledger.limiter.describe()

    def use_store(self, store: RowStore) -> None:
        """Keep the data in a store that other tables use too. The table must be empty.

        Raises:
          UsageError: it holds items, or a server that has not stopped serves it.
        """
        with self._lock:
            if self._watchers:
                raise UsageError(
                    f"Table {self.name!r} is served by another server. Stop that one before, or "
                    "make a table like this one with replace()."
                )
            if len(self._ledger.items):
                raise UsageError(f"Table {self.name!r} holds items already, in another store.")
            self.store = store

    def when_changed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have a function called after each change that may let someone go on who waits.

        It is called outside the table's lock, in the thread that made the change.

        Returns:
          What ends that.
        """
        self._watchers = (*self._watchers, callback)

        def undo() -> None:
            self._watchers = tuple(other for other in self._watchers if other is not callback)

        return undo

    def try_insert(self, items: ItemBatch) -> int:
        """Insert as many items as the rate limiter allows now, in order.

        Args:
          items: the items, which get their keys from the table; the caller holds their rows.

        Returns:
          How many, from the first on, are done.

        Raises:
          UsageError: a priority cannot be used, or the items do not fit the signature. Nothing is
            inserted then.
        """
        self._check_priorities(items.priorities)
        if not self._ledger.items.has_layout(items.layout):
            self._check_layout(items.layout)
        with self._changing():
            return self._ledger.insert(items, self.store)

    def try_sample(self, count: int) -> Samples | None:
        """Sample up to `count` items, as many as the rate limiter allows now.

        Items are chosen one after the other, with replacement, and one that has been sampled
        `max_times_sampled` times is deleted before the next is chosen.

        Args:
          count: how many at most; at least 1.

        Returns:
          Samples of at least one item, or None if none may be sampled now.

        Raises:
          UsageError: `count` is below 1.
        """
        with within("try_sample"):
            _count("count", count)
        with self._changing():
            sampled = self._ledger.sample(count)
            if sampled is None:
                return None
            info, lines = sampled
            pin = self.store.pin()
        try:
            return Samples(info, [gather(self.store, some) for some in lines])
        finally:
            self.store.unpin(pin)

    def mutate(self, keys: KeyArray, priorities: FloatArray, deletes: KeyArray) -> None:
        """Delete some items, then change the priorities of others. Unknown keys are ignored.

        Args:
          keys: the items that get other priorities; `uint64[n]`. Of several for one item the last
            one counts.
          priorities: `float64[n]`.
          deletes: the items that are deleted; `uint64[m]`.

        Raises:
          UsageError: a priority cannot be used. Nothing is changed then.
        """
        self._check_priorities(priorities)
        with self._changing():
            self._ledger.delete(deletes)
            self._ledger.update(keys, priorities)

    def reset(self) -> None:
        """Delete all items, and count from 0 again."""
        with self._changing():
            self._ledger.reset()

    def state(self) -> TableState:
        """Return a copy of what a checkpoint keeps, without the data.

        The caller pins the store before, and until the rows have been read.
        """
        with self._lock:
            state, items = self._ledger.state(self.name)
        return state._replace(items=items.save())

    def restore(self, state: TableState) -> tuple[str, ...]:
        """Take over what another table had; this one must be empty.

        Args:
          state: what `state` of the other one returned, with the numbers that its rows have now. As
            for `try_insert`, the caller holds them.

        Returns:
          Which settings differ, a sentence each; empty if none does.

        Raises:
          UsageError: the table is not empty, or an item does not fit its settings.
        """
        self.check(saved.batch for saved in state.items)
        with self._changing():
            if len(self):
                raise UsageError(f"Table {self.name!r} holds items already; reset it first.")
            return self._ledger.restore(state, self.store)

    def check(self, batches: Iterable[ItemBatch]) -> None:
        """Refuse items that do not fit the table's settings.

        Raises:
          UsageError: a priority cannot be used, or an item does not fit the signature.
        """
        for batch in batches:
            self._check_priorities(batch.priorities)
            self._check_layout(batch.layout)

    def _check_layout(self, layout: Layout) -> None:
        """Refuse an item that does not fit the signature: neither as a whole, nor each step.

        As in Reverb, where `TimestepDataset` needs the signature of a step.
        """
        if self.signature is None or self.signature.fits(layout.steps):
            return
        check_columns(self.signature, layout.columns, f"Table {self.name!r}: an item")

    def _check_priorities(self, priorities: FloatArray) -> None:
        self._ledger.sampler.check_priorities(priorities)
        self._ledger.remover.check_priorities(priorities)

    @contextlib.contextmanager
    def _changing(self) -> Generator[None]:
        """Hold the lock; then release what was freed, and tell those who wait."""
        freed: list[Lines] = []
        changed = False
        try:
            with self._lock:
                try:
                    yield
                finally:
                    freed, changed = self._ledger.take_freed(), self._ledger.take_changed()
        finally:
            for layout, _, rows in freed:
                layout.release(self.store, rows)
            if changed:
                for callback in self._watchers:
                    callback()
