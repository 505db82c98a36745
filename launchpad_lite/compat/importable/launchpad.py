"""Found by processes that a node spawns: there nobody has called `compat.install`."""

import importlib

from launchpad_lite.compat import finder

finder.take_over()
importlib.import_module("launchpad")
