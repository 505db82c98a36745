"""Nodes' logs have names among Ray's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launchpad_lite.launchers.ray import ray_logs


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    made = tmp_path / "run" / "logs"
    made.mkdir(parents=True)
    (made / "actor-0.log").write_text("before\n")
    return [made / "actor-0.log", made / "actor-1.log"]


@pytest.fixture
def of_ray(tmp_path: Path) -> Path:
    made = tmp_path / "ray"
    made.mkdir()
    return made


def test_what_nodes_write_is_there(logs: list[Path], of_ray: Path) -> None:
    ray_logs.show(logs, "run", of_ray)
    for log in logs:
        with log.open("a") as file:
            file.write(f"of {log.name}\n")
    shown = {path.name: path.read_text() for path in of_ray.iterdir()}
    assert shown == {
        "run-actor-0.log": "before\nof actor-0.log\n",
        "run-actor-1.log": "of actor-1.log\n",
    }
    assert logs[1].stat().st_mode & 0o777 == 0o600


def test_it_stays_without_the_run_directory(logs: list[Path], of_ray: Path) -> None:
    ray_logs.show(logs[:1], "run", of_ray)
    logs[0].unlink()
    assert (of_ray / "run-actor-0.log").read_text() == "before\n"


def test_another_file_system_has_links(
    logs: list[Path], of_ray: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    ray_logs.show(logs, "run", of_ray)
    assert (of_ray / "run-actor-0.log").readlink() == logs[0]
    assert (of_ray / "run-actor-1.log").read_text() == ""


def test_a_second_actor_changes_nothing(logs: list[Path], of_ray: Path) -> None:
    ray_logs.show(logs, "run", of_ray)
    ray_logs.show(logs, "run", of_ray)
    assert len(list(of_ray.iterdir())) == 2


def test_a_log_that_was_begun_anew_is_shown(logs: list[Path], of_ray: Path) -> None:
    ray_logs.show(logs[:1], "run", of_ray)
    logs[0].unlink()
    logs[0].write_text("after\n")
    ray_logs.show(logs[:1], "run", of_ray)
    assert (of_ray / "run-actor-0.log").read_text() == "after\n"


def test_a_directory_that_is_not_there_is_no_error(logs: list[Path], tmp_path: Path) -> None:
    ray_logs.show(logs, "run", tmp_path / "none")
