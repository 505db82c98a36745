"""The signature that is inferred from configs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from launchpad_lite import replay
from launchpad_lite.errors import UsageError
from launchpad_lite.replay.structured_writer import (
    create_config,
    create_reference_step,
    infer_signature,
)
from tests.unit.replay_servers import Serve

STEP_SPEC = {
    "a": np.zeros([3, 3], np.float32),
    "b": {"c": replay.ArraySpec([2, 2], np.int8), "d": np.zeros([], np.int64)},
}
REFERENCE = create_reference_step(STEP_SPEC)


def inferred(*patterns: Any) -> dict[str, str]:
    signature = infer_signature([create_config(each, "table") for each in patterns], STEP_SPEC)
    return {name: str(spec) for name, spec in signature.items()}


def test_the_signature_of_one_config() -> None:
    pattern = {
        "all": REFERENCE["a"][-4:],
        "one": REFERENCE["b"]["d"][-1],
        "some": REFERENCE["b"]["c"][-6:-1:2],
        "uneven": REFERENCE["b"]["d"][-5::2],
    }
    assert inferred(pattern) == {
        "all": "float32[4, 3, 3]",
        "one": "int64[]",
        "some": "int8[3, 2, 2]",
        "uneven": "int64[3]",
    }


def test_lengths_that_differ_may_be_any() -> None:
    column, number = REFERENCE["a"], REFERENCE["b"]["d"]
    patterns = [{"x": column[-2:], "y": number[-3::2]}, {"x": column[-3:], "y": number[-2:]}]
    assert inferred(*patterns) == {"x": "float32[?, 3, 3]", "y": "int64[2]"}


def test_the_signature_fits_the_items(serve: Serve) -> None:
    config = create_config({"x": REFERENCE["a"][-5::2], "y": [REFERENCE["b"]["d"][-1]]}, "table")
    signature = infer_signature([config], STEP_SPEC)
    client = serve(replay.Table.queue("table", 10, signature=signature))
    step = {"a": STEP_SPEC["a"], "b": {"c": None, "d": 1}}
    with client.structured_writer([config]) as writer:
        for _ in range(5):
            writer.append(step)
    assert client.server_info()["table"].current_size == 1


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], "configs is empty"),
        (
            [create_config(REFERENCE["a"][-1], name) for name in ("b", "a", "b")],
            "the configs are for several tables: a, b.",
        ),
        (
            [create_config(each, "t") for each in ([REFERENCE["a"][-1]], REFERENCE["a"][-1])],
            "the patterns of configs[0] and configs[1] are not nested alike",
        ),
        (
            [create_config([REFERENCE[name][-1]], "t") for name in ("a",)]
            + [create_config([REFERENCE["b"]["d"][-1]], "t")],
            "column '[0]' is float32[3, 3] of one config and int64[] of another",
        ),
        (
            [create_config([node], "t") for node in (REFERENCE["a"][-1], REFERENCE["a"][-1:])],
            "column '[0]' is float32[3, 3] of one config and float32[1, 3, 3] of another",
        ),
        (
            [create_config(create_reference_step({"aa": None})["aa"][-1], "t")],
            "step_spec has no column 'aa', which a pattern refers to; did you mean 'a'?",
        ),
    ],
    ids=["none", "tables", "structures", "dtypes", "squeezed", "unknown"],
)
def test_configs_that_do_not_fit_together_are_refused(configs: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        infer_signature(configs, STEP_SPEC)
    assert str(refused.value).startswith(f"infer_signature: {message}")
