"""Each test gets its own state directory, and leaves nothing of ours behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from tests.helpers import STATE_VARIABLE, Belongings

GRACE_SECONDS = 5.0

# To explain failures hypothesis traces; with an exception pending in any thread, as that of a node
# that hangs, tracing code never gets on in CPython 3.11: each look for signals leads to the next.
_PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile("untraced", phases=_PHASES)
hypothesis.settings.load_profile("untraced")


@pytest.fixture(autouse=True)
def state_home() -> Iterator[Path]:
    """The test's own XDG state directory.

    Its path is short, unlike that of `tmp_path`: a Unix socket's must stay under 108 bytes.
    """
    path = Path(tempfile.mkdtemp(prefix="lp", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(path))
        yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def spared() -> Callable[[], set[psutil.Process]]:
    """Returns the processes that a test may leave: those of a fixture that it renewed."""
    return set


@pytest.fixture(autouse=True)
def nothing_left(
    state_home: Path, spared: Callable[[], set[psutil.Process]], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Fails a test that leaves one of our threads, or a process, running."""
    belongings = Belongings(state_home, spared)
    yield
    if found := belongings.leftovers(GRACE_SECONDS):
        pytest.fail(
            f"{request.node.nodeid} left behind, {GRACE_SECONDS:g} s after its end:\n\n"
            + "\n\n".join(found)
            + "\n\nStop what a test starts: leave the run's `with` block, or call `run.stop()`.",
            pytrace=False,
        )
