"""Programs for google-deepmind/launchpad, unchanged: its import names mean this package."""

from launchpad_lite.compat.finder import install

__all__ = ["install"]
