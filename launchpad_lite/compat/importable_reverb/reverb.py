"""Found by processes that a node spawns: there nobody has called `compat.install(reverb=True)`."""

import importlib

from launchpad_lite.compat import finder

finder.take_over_reverb()
importlib.import_module("reverb")
