"""How a table keeps inserting and sampling in step."""

from launchpad_lite.replay.core.limiters import (
    MinSize,
    Queue,
    RateLimiter,
    SampleToInsertRatio,
    Stack,
)

__all__ = ["MinSize", "Queue", "RateLimiter", "SampleToInsertRatio", "Stack"]
