"""Doing once what several ask for at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns:
    """Makes one checkpoint after the other, and none that nobody needs.

    Whoever asks while one is made needs another, which shows what they wrote before they asked; but
    one is enough for all who wait for it.
    """

    def __init__(self) -> None:
        """Begin with none made."""
        self._lock = threading.Lock()
        self._begun = 0
        self._made = (0, "")

    def take(self, make: Callable[[], str]) -> str:
        """Return what `make` returned to a call of it that began after this one."""
        asked = self._begun
        with self._lock:
            number, made = self._made
            if number > asked:
                return made
            self._begun += 1
            self._made = (self._begun, make())
            return self._made[1]
