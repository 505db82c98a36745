"""What `iter(dataset)` returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from launchpad_lite.errors import LaunchpadError

if TYPE_CHECKING:
    from launchpad_lite.replay.core.info import ReplaySample
    from launchpad_lite.replay.service.elements import Elements
    from launchpad_lite.replay.service.prefetch import Prefetch


class SampleIterator(Iterator["ReplaySample"]):
    """Iterates over samples of a table; made by `iter(dataset)`.

    For one thread at a time; but `close` may be called from any.
    """

    def __init__(
        self,
        prefetch: Prefetch,
        elements: Elements,
        what: str,
        *,
        window: int,
        ordered: bool,
        drop_remainder: bool,
    ) -> None:
        """Begin; nothing is asked for before the first element.

        Args:
          prefetch: what asks for samples.
          elements: what makes elements of them.
          what: who samples, for messages.
          window: how many items may be under way or here, beside those of the newest element.
          ordered: whether the order of the items matters, so that calls must not overtake.
          drop_remainder: whether a last batch that is not full is dropped.
        """
        self._prefetch = prefetch
        self._elements = elements
        self._what = what
        self._window = window
        self._ordered = ordered
        self._drop_remainder = drop_remainder
        self._closed = False

    def __next__(self) -> ReplaySample:
        if self._closed:
            raise StopIteration
        try:
            element = self._elements.pop()
            if element is not None:
                return element
            return self._next()
        except Exception as error:
            self.close()
            if isinstance(error, LaunchpadError):
                error.add_note(f"in the iterator of a {self._what}")
            raise

    def close(self) -> None:
        """Ask for no more, and end the iteration; once closed, it does nothing."""
        self._closed = True
        self._prefetch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> ReplaySample:
        elements = self._elements
        while True:
            self._ask()
            answer = self._prefetch.take()
            if answer is None:
                break
            elements.push(answer)
            element = elements.pop()
            if element is not None:
                self._ask()  # while the element is used
                return element
        rest = elements.rest()
        if rest is None or self._drop_remainder:
            raise StopIteration
        return rest

    def _ask(self) -> None:
        prefetch, elements = self._prefetch, self._elements
        while True:
            under_way = prefetch.under_way
            count = elements.wanted(under_way)
            full = self._ordered or elements.held + under_way + count > self._window
            if (under_way and full) or not prefetch.ask(count):
                return
