"""What this machine must have for machines of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

_COMMANDS = ("hostname", "ip", "mount", "nsenter", "setpriv", "unshare")


def missing(packages: str = "iproute2", commands: Iterable[str] = ()) -> str | None:
    """Returns why no machines can be made here, or None if they can.

    Args:
      packages: Debian's, which have the commands.
      commands: What the machines run.
    """
    if sys.platform != "linux":
        return "it needs Linux"
    if lacking := [name for name in (*commands, *_COMMANDS) if shutil.which(name) is None]:
        return f"no {', '.join(lacking)} on the path: apt-get install {packages}"
    if os.geteuid() != 0:
        return "it needs root, to make namespaces"
    made = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces cannot be made: {made.stderr.strip()}" if made.returncode else None
