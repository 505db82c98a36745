"""Every example runs on a cluster as it does on one machine."""

from __future__ import annotations

import pytest

from tests.integration import test_examples
from tests.integration.test_examples import (
    test_batching,
    test_consumer_producers,
    test_cyclic_references,
    test_dqn,
    test_hello_world,
    test_impala_queue,
    test_mapreduce,
    test_other_language,
    test_parameter_server,
    test_program_wait,
    test_streaming,
)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("address")]

__all__ = [
    "test_batching",
    "test_consumer_producers",
    "test_cyclic_references",
    "test_dqn",
    "test_hello_world",
    "test_impala_queue",
    "test_mapreduce",
    "test_other_language",
    "test_parameter_server",
    "test_program_wait",
    "test_streaming",
]


@pytest.fixture
def launcher() -> str:
    return "ray"


def test_no_example_is_missing() -> None:
    examples = {f"test_{path.stem}" for path in test_examples.EXAMPLES.glob("*.py")}
    assert examples == set(__all__)
