"""Which process something belongs to."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from launchpad_lite.owner import Owner


def test_this_process_lives() -> None:
    ours = Owner.this_process()
    assert ours.pid == os.getpid()
    assert ours.is_alive()


def test_a_process_that_is_gone_does_not() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        owner = Owner(pid=child.pid, process_started=psutil.Process(child.pid).create_time())
        assert owner.is_alive()
        child.kill()
    assert not owner.is_alive()


def test_nor_does_one_whose_number_another_has_now() -> None:
    ours = Owner.this_process()
    assert not Owner(pid=ours.pid, process_started=ours.process_started - 100).is_alive()


def test_one_on_another_machine_is_taken_to_live() -> None:
    owner = Owner(pid=os.getpid(), process_started=0.0, host="another.example")
    assert owner.is_alive()
    assert owner.title == f"process {os.getpid()} on another.example"


def test_of_what_a_scheduler_holds_it_is_told_whether_it_is_there() -> None:
    for number, (script, there) in enumerate(
        [
            ("echo RUNNING", True),
            ("true", False),
            ("echo Invalid job id >&2; exit 1", False),
            ("echo no answer >&2; exit 1", None),
        ]
    ):
        owner = Owner.elsewhere(f"job {number}", ("sh", "-c", script), ())
        assert owner.ask() is there, script
        assert owner.is_alive() is (there is not False), script


def test_what_a_dashboard_tells_of_is_taken_to_live() -> None:
    owner = Owner.elsewhere("job 1 of a cluster", dashboard="http://192.0.2.1:8265")
    assert owner.is_alive()
    assert owner.title == "job 1 of a cluster"
    assert not owner.end()
