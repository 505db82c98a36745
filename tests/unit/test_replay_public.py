"""The names of `launchpad_lite.replay`, which load on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launchpad_lite import replay

SELECTORS = ["Fifo", "Lifo", "MaxHeap", "MinHeap", "Prioritized", "Selector", "Uniform"]
RATE_LIMITERS = ["MinSize", "Queue", "RateLimiter", "SampleToInsertRatio", "Stack"]


def test_each_name_is_there_and_documented() -> None:
    assert replay.__all__ == sorted(replay.__all__) == dir(replay)
    assert all(getattr(replay, name).__doc__ for name in replay.__all__)
    assert replay.selectors.__all__ == SELECTORS
    assert replay.rate_limiters.__all__ == RATE_LIMITERS


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'launchpad_lite\.replay' has no attribute 'Tabel'"):
        _ = replay.Tabel


def test_the_package_is_light_until_a_name_is_used() -> None:
    code = (
        "import sys; from launchpad_lite import replay\n"
        "print(*sorted({'numpy', 'optree'} & set(sys.modules)))\n"
        "print(replay.ArraySpec.__name__, 'numpy' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["", "ArraySpec True"]
