"""What is said where machines of a cluster do not know each other."""

from __future__ import annotations

import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.slurm.network import address_of_name, address_towards


@pytest.mark.parametrize("ask", [address_of_name, address_towards])
def test_a_name_that_cannot_be_resolved(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(UsageError, match=r"has no way to no\.such\.machine\.invalid: .*NodeAddr"):
        ask("no.such.machine.invalid")


@pytest.mark.parametrize("ask", [address_of_name, address_towards])
def test_this_machine(ask: object) -> None:
    assert callable(ask)
    assert ask("127.0.0.1") == "127.0.0.1"
