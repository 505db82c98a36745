"""Where the nodes' output is shown, and what a cluster cannot do about it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.slurm.login import Login

pytestmark = pytest.mark.slurm


def test_output_in_files_only(login: Login) -> None:
    run = login.launch("--option=terminal='output_to_files'")
    assert run.end() == 0, run.text()
    assert "machines:" not in run.text()
    assert "machines:" in (run.run / "logs/main-0.log").read_text()


def test_that_no_node_runs_any_more_is_said_on_the_terminal(login: Login) -> None:
    run = login.launch("--mode=leave alone", "--option=terminal='output_to_files'")
    run.await_text("all nodes that run have ended; worker/0, worker/1, worker/2 only serve(s)")
    run.interrupt()
    assert run.end() == -signal.SIGINT, run.text()
    assert run.text().count("only serve(s)") == 1


def test_output_in_windows_of_tmux(login: Login) -> None:
    fake = login.home / "tmux"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {login.home}/told\n')
    fake.chmod(0o755)
    login.env["PATH"] = os.pathsep.join([str(login.home), login.lab.env["PATH"]])
    run = login.launch("--option=terminal='tmux_session'")
    assert run.end() == 0, run.text()
    assert "the nodes' output is in tmux: tmux attach -t spread-" in run.text()
    told = (login.home / "told").read_text().splitlines()
    assert str(run.run / "logs/worker-2.log") in told
    assert told.count("new-window") == 3


def test_what_a_cluster_cannot_do_is_said(login: Login) -> None:
    run = login.launch("--lp_pdb", "--option=keep_directory=False")
    assert run.end() == 0, run.text()
    assert "warning: pdb: nodes are on other machines" in run.text()
    assert "warning: keep_directory=False: machines share the run directory" in run.text()
    assert run.run.exists()
