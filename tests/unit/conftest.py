"""What several of the unit tests need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit import replay_servers


@pytest.fixture
def serve() -> Iterator[replay_servers.Serve]:
    """Makes a client of a new replay server with some tables."""
    with replay_servers.servers() as start:
        yield start
