"""Which Ray cluster this machine is a node of, told by processes that pass for Ray's daemons."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from launchpad_lite.launchers.ray import raylets

CLUSTER = f"192.0.2.7:{os.getpid()}"  # none that is, nor that of a test beside this one
ELSEWHERE = "192.0.2.8"

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

DAEMON = f"""#!{sys.executable}
import os, sys
os.setuid(int(sys.argv[1]))
print("up", flush=True)
sys.stdin.readline()
"""


class Start(Protocol):
    def __call__(self, node: str, user: int = ...) -> None:
        """Start a daemon, of a node at an address, for a user."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons."""
    daemon = tmp_path / "raylet"
    daemon.write_text(DAEMON)
    daemon.chmod(0o700)
    started: list[subprocess.Popen[str]] = []

    def begin(node: str, user: int = os.geteuid()) -> None:
        flags = (
            str(user),
            f"--gcs-address={CLUSTER}",
            f"--node_ip_address={node}",
            f"--temp_dir={tmp_path}",
        )
        pipe = subprocess.PIPE
        process = subprocess.Popen([daemon, *flags], stdin=pipe, stdout=pipe, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

    yield begin
    for process in started:
        process.communicate()


@pytest.fixture(autouse=True)
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine may be a node of another cluster, too."""
    monkeypatch.setenv("RAY_ADDRESS", CLUSTER)


def test_ray_has_been_started_on_this_machine(start: Start, tmp_path: Path) -> None:
    start("127.0.0.1")
    assert raylets.is_node()
    (tmp_path / "ray_current_cluster").write_text(f"{CLUSTER}\n")
    assert raylets.started_cluster() == CLUSTER


def test_a_cluster_that_a_process_has_for_itself(start: Start, tmp_path: Path) -> None:
    start("127.0.0.1")
    assert raylets.started_cluster() != CLUSTER
    (tmp_path / "ray_current_cluster").write_text("192.0.2.9:1\n")  # of another one
    assert raylets.started_cluster() != CLUSTER


def test_a_container_on_this_machine_is_a_node(start: Start, tmp_path: Path) -> None:
    (tmp_path / "ray_current_cluster").write_text(CLUSTER)
    start(ELSEWHERE)
    assert raylets.started_cluster() != CLUSTER


def test_programs_have_clusters_of_their_own(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray_current_cluster").write_text(CLUSTER)
    start("127.0.0.1")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert raylets.started_cluster() is None


@needs_root
def test_what_another_user_has_started_is_not_trusted(start: Start, tmp_path: Path) -> None:
    (tmp_path / "ray_current_cluster").write_text(CLUSTER)
    start("127.0.0.1", NOBODY)
    assert raylets.is_node()
    assert raylets.started_cluster() != CLUSTER


@needs_root
def test_nor_what_another_user_has_written(start: Start, tmp_path: Path) -> None:
    record = tmp_path / "ray_current_cluster"
    record.write_text(CLUSTER)
    os.chown(record, NOBODY, NOBODY)
    start("127.0.0.1")
    assert raylets.started_cluster() != CLUSTER


def test_a_pipe_in_the_place_of_the_record_is_not_waited_for(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ray_current_cluster")
    start("127.0.0.1")
    assert raylets.started_cluster() != CLUSTER
