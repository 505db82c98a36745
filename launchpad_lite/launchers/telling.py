"""What this package logs in a controller's process, on its way to people who look at another."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Teller(logging.Handler):
    """Passes on what this package logs: that a node is started again, say, or none runs any more.

    In the launching process that would be on its terminal.
    """

    def __init__(self, tell: Callable[[str, int, str], object]) -> None:
        """Prepare; `telling` begins.

        Args:
          tell: is told the logger, the level and the text.
        """
        super().__init__(logging.WARNING)
        self._tell = tell

    @contextlib.contextmanager
    def telling(self) -> Generator[None]:
        """Pass on what is logged in this block."""
        logger = logging.getLogger(__name__.partition(".")[0])
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See the base class. Who logs goes on, also where it cannot be told: on a full disk."""
        try:
            self._tell(record.name, record.levelno, self.format(record))
        except Exception:
            self.handleError(record)
