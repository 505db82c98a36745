"""What a structured writer is made with: patterns, conditions and configs."""

from launchpad_lite.replay.service.conditions import Condition
from launchpad_lite.replay.service.configs import (
    Config,
    constant_priority_fn,
    create_config,
    td_error,
    unpack_pattern,
)
from launchpad_lite.replay.service.infer import infer_signature
from launchpad_lite.replay.service.patterns import (
    Pattern,
    PatternTransform,
    ReferenceStep,
    create_reference_step,
    pattern_from_transform,
)
from launchpad_lite.replay.service.structured_writer import StructuredWriter

__all__ = [
    "Condition",
    "Config",
    "Pattern",
    "PatternTransform",
    "ReferenceStep",
    "StructuredWriter",
    "constant_priority_fn",
    "create_config",
    "create_reference_step",
    "infer_signature",
    "pattern_from_transform",
    "td_error",
    "unpack_pattern",
]
