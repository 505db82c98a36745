"""What the launcher of Ray refuses before Ray is asked."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers import registry
from launchpad_lite.launchers.ray import addresses
from tests.helpers import run_python


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LauncherUnavailableError, match=r"pip install 'launchpad-lite\[ray\]'"):
        registry.get("ray")


def test_importing_the_package_does_not_import_ray(tmp_path: Path) -> None:
    code = (
        "import sys, launchpad_lite as lp; lp.RayOptions(); "
        "from launchpad_lite.launchers import registry; registry.entry_points(); "
        "print('ray' in sys.modules)"
    )
    assert run_python("-c", code, cwd=tmp_path, seconds=60).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://127.0.0.1:1", "name its dashboard, --ray_address=http://127.0.0.1:8265, or"),
        ("tcp://127.0.0.1:1", "--ray_address=ray://127.0.0.1:10001"),
        ("ray://127.0.0.1", "from outside of it ray://host:10001"),
        ("cluster", "use auto, local, or the cluster's address, host:port"),
        (":6379", "use auto, local, or the cluster's address, host:port"),
    ],
)
def test_addresses_that_are_none(address: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        addresses.check(address)
    assert says in str(caught.value)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_that_does_not_answer(scheme: str) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LauncherUnavailableError, match=f"no Ray cluster answers at {address}"):
            addresses.check(address)


def test_a_url_in_the_environment_is_a_cluster_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    assert addresses.outside(None) == "http://head:8265"
    assert addresses.outside("auto") is None
    assert addresses.outside("https://head") == "https://head"
    assert addresses.outside("ray://head:10001") == "ray://head:10001"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert addresses.outside(None) is None


def test_ports_that_are_none() -> None:
    with pytest.raises(LauncherUnavailableError, match="no Ray cluster answers"):
        addresses.check("127.0.0.1:99999")
