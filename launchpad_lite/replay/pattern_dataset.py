"""What makes items of steps without a server."""

from launchpad_lite.replay.service.pattern_dataset import PatternDataset, pattern_dataset_with_info

__all__ = ["PatternDataset", "pattern_dataset_with_info"]
