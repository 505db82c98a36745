"""The errors of a replay buffer, by Reverb's names."""

from launchpad_lite.errors import DeadlineExceeded, LaunchpadError

__all__ = ["DeadlineExceededError", "ReverbError"]

DeadlineExceededError = DeadlineExceeded
ReverbError = LaunchpadError
