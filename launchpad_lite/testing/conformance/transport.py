"""The conformance suite for Courier's transports.

A transport's tests are one class:

```
import contextlib
from launchpad_lite.courier.transport import ListenOptions
from launchpad_lite.testing.conformance.transport import TransportConformance

class TestPigeon(TransportConformance):
    @contextlib.contextmanager
    def place(self):
        yield PigeonTransport(), ListenOptions()
```

pytest then runs every test of the suite on listeners and channels of that transport, all in the
test's own process. `place` is entered once for each test, and may make and remove what its
listeners need, such as a directory.
"""

from __future__ import annotations

from launchpad_lite.testing.conformance.transport_parts.asyncs import AsyncConformance
from launchpad_lite.testing.conformance.transport_parts.batches import BatchConformance
from launchpad_lite.testing.conformance.transport_parts.cancels import CancelConformance
from launchpad_lite.testing.conformance.transport_parts.concurrency import ConcurrencyConformance
from launchpad_lite.testing.conformance.transport_parts.deadlines import DeadlineConformance
from launchpad_lite.testing.conformance.transport_parts.ends import EndConformance
from launchpad_lite.testing.conformance.transport_parts.failures import FailureConformance
from launchpad_lite.testing.conformance.transport_parts.limits import LimitConformance
from launchpad_lite.testing.conformance.transport_parts.streams import StreamConformance
from launchpad_lite.testing.conformance.transport_parts.values import ValueConformance


class TransportConformance(
    ValueConformance,
    FailureConformance,
    ConcurrencyConformance,
    BatchConformance,
    AsyncConformance,
    CancelConformance,
    DeadlineConformance,
    LimitConformance,
    StreamConformance,
    EndConformance,
):
    """All that a transport owes; see the module."""
