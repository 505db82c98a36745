"""A network of machines: a bridge in one of them, and a pair of veth devices to each other one."""

from __future__ import annotations

import shlex
import subprocess

from tests.machines.daemon import Machine


class Network:
    """A network that exists inside of its machines only, so that others may have its addresses.

    Args:
      holder: The machine that has the bridge.
      address: The holder's IPv4 address; the first 24 bits are the network's.
    """

    def __init__(self, holder: Machine, address: str) -> None:
        self._holder = holder
        _ip(holder, "link", "set", "lo", "up")
        _ip(holder, "link", "add", "nodes", "type", "bridge")
        _ip(holder, "address", "add", f"{address}/24", "dev", "nodes")
        _ip(holder, "link", "set", "nodes", "up")

    def wire(self, machine: Machine, address: str) -> None:
        """Gives a machine its address, and a link."""
        link = _link(machine.name)
        peer = ("peer", "name", "eth0", "netns", str(machine.first.pid))
        _ip(self._holder, "link", "add", link, "type", "veth", *peer)
        _ip(self._holder, "link", "set", link, "master", "nodes", "up")
        _ip(machine, "link", "set", "lo", "up")
        _ip(machine, "address", "add", f"{address}/24", "dev", "eth0")
        _ip(machine, "link", "set", "eth0", "up")

    def unwire(self, name: str) -> None:
        """Takes a machine's link away; it can be wired again."""
        _ip(self._holder, "link", "delete", _link(name))

    def cut(self, name: str) -> None:
        """Lets nothing through to a machine, or from it: not even word that nothing comes."""
        _ip(self._holder, "link", "set", _link(name), "down")

    def mend(self, name: str) -> None:
        """Undoes a `cut`."""
        _ip(self._holder, "link", "set", _link(name), "up")


def _link(name: str) -> str:
    return f"to-{name}"


def _ip(machine: Machine, *arguments: str) -> None:
    command = ["nsenter", f"--target={machine.first.pid}", "--net", "ip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")
