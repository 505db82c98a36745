"""The names of `launchpad_lite.replay`, which load on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import launchpad_lite as lp
from launchpad_lite import replay

SELECTORS = ["Fifo", "Lifo", "MaxHeap", "MinHeap", "Prioritized", "Selector", "Uniform"]
CHECKPOINTERS = [
    *("CheckpointerBase", "DefaultCheckpointer", "TempDirCheckpointer", "default_checkpointer")
]
RATE_LIMITERS = ["MinSize", "Queue", "RateLimiter", "SampleToInsertRatio", "Stack"]


def test_each_name_is_there_and_documented() -> None:
    assert replay.__all__ == sorted(replay.__all__) == dir(replay)
    assert all(getattr(replay, name).__doc__ for name in replay.__all__)
    assert replay.selectors.__all__ == SELECTORS
    assert replay.rate_limiters.__all__ == RATE_LIMITERS
    names = replay.structured_writer.__all__
    assert names == sorted(names)
    assert replay.checkpointers.__all__ == CHECKPOINTERS


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'launchpad_lite\.replay' has no attribute 'Tabel'"):
        _ = replay.Tabel


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("TFClient", "TensorFlow.*Client"),
        ("PriorityTableExtensionBase", "TableExtension"),
        ("TrajectoryWriters", "did you mean 'TrajectoryWriter'"),
    ],
)
def test_a_name_of_the_original_that_is_not_here_says_what_to_take(name: str, instead: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'.*{instead}"):
        getattr(replay, name)


def test_names_of_the_original_are_the_objects_of_this_package() -> None:
    assert replay.item_selectors is replay.selectors
    assert replay.structured is replay.structured_writer
    assert replay.structured_writer.StructuredWriter is replay.StructuredWriter
    assert replay.ReverbError is replay.errors.ReverbError is lp.LaunchpadError
    assert replay.DeadlineExceededError is replay.errors.DeadlineExceededError
    assert issubclass(replay.DeadlineExceededError, replay.ReverbError)
    assert replay.SampleInfo._fields == (
        *("key", "probability", "table_size", "priority"),
        "times_sampled",
    )
    assert replay.ReplaySample._fields == ("info", "data")


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


def test_a_server_needs_no_launcher() -> None:
    code = (
        "import sys; from launchpad_lite import replay; replay.Server, replay.Table\n"
        "parts = ('launchers', 'nodes', 'testing', 'runtime.run', 'launching')\n"
        "print(*[part for part in parts if f'launchpad_lite.{part}' in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
