"""What hears SIGTERM in this process, kept while a library sets a handler of its own."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextlib.contextmanager
def kept() -> Generator[None]:
    """Put the handler back at the end of the block."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # others can set none
            signal.signal(signal.SIGTERM, before)
