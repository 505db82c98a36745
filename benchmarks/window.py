"""What is measured in a window of time. Interpreters of peers import it too: it needs nothing."""

from __future__ import annotations

import dataclasses
import time

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Window:
    """When calls are counted.

    Attributes:
      begin: in seconds of `time.monotonic`, which is one clock for all processes of a host.
      end: the same.
    """

    begin: float
    end: float

    @classmethod
    def after(cls, lead_s: float, seconds: float) -> Window:
        """Return the window that begins in so many seconds."""
        begin = time.monotonic() + lead_s
        return cls(begin, begin + seconds)

    def check(self) -> None:
        """Refuse to begin late: there would be no warming up."""
        late = time.monotonic() - self.begin
        if late > 0:
            message = f"the first call ended {late:.3f} s after the time to measure had begun"
            raise TimeoutError(message)

    def rate(self, calls: int) -> float:
        """Return calls per second."""
        return calls / (self.end - self.begin)
