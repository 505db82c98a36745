"""Runs of a Ray cluster, of which Ray is played: what is shown when actors are slow, or go."""

from __future__ import annotations

import dataclasses
import io
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launchpad_lite.cli.cluster_runs import ClusterRun
from launchpad_lite.cli.directory_runs import DirectoryRun
from launchpad_lite.cli.sight import Sight
from launchpad_lite.errors import ControllerLost, LauncherUnavailableError, Stopped
from launchpad_lite.launchers.ray import cluster, finding, raylets
from launchpad_lite.launchers.ray.finding import FoundRun
from launchpad_lite.launchers.ray.options import RayOptions
from launchpad_lite.runtime.log_reader import LogReader
from launchpad_lite.runtime.logs import LinePrinter
from launchpad_lite.runtime.rundir import RunDirectory
from launchpad_lite.runtime.shipping import CHUNK_BYTES

NODE = "main/0"


class RayError(Exception):
    """As Ray's."""


class ActorDiedError(RayError):
    """As Ray's."""


class NotBegun(RayError, Stopped):
    """What Ray makes of what the actor of a run raises that has not begun."""


class SlowError(RayError, TimeoutError):
    """As Ray's GetTimeoutError."""


@dataclasses.dataclass
class Method:
    """Of an actor."""

    run: Callable[..., Any]

    def remote(self, *arguments: Any) -> Callable[[], Any]:
        return lambda: self.run(*arguments)


class Actor:
    """That of a run. Its node prints again as soon as somebody has read what there is."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.told: list[tuple[Any, ...]] = []
        self.status_error: Exception = NotBegun("the run has not begun")
        self.fatal: Exception | None = None
        self.reads = 0
        self._reader = LogReader({NODE: log})

    def __getattr__(self, name: str) -> Method:
        if self.fatal is not None:
            return Method(self._die)
        return Method(getattr(self, f"_{name}"))

    def _die(self, *_: Any) -> None:
        assert self.fatal is not None
        raise self.fatal

    def _status(self) -> bytes:
        raise self.status_error

    def _stop(self, *arguments: Any) -> None:
        self.told.append(arguments)

    def _is_over(self) -> bool:
        return False

    def _logs(self, seen: dict[str, int], names: list[str], _: float) -> dict[str, bytes]:
        self.reads += 1
        found = self._reader.read(seen, 0.0, names)
        with self.log.open("a") as file:
            file.write(f"again {self.reads}\n")
        return found


class FakeRay:
    """What of Ray is asked for."""

    exceptions = types.SimpleNamespace(RayError=RayError, ActorDiedError=ActorDiedError)

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def get_actor(self, name: str, *, namespace: str) -> Actor:
        assert (name, namespace) == ("spread-1:controller", "mine")
        if self._actor.fatal is not None:
            message = f"Failed to look up actor with name {name!r}"
            raise ValueError(message)
        return self._actor

    def get(self, answer: Callable[[], Any], *, timeout: float) -> Any:
        assert timeout > 0
        return answer()


@pytest.fixture
def actor(tmp_path: Path) -> Actor:
    return Actor(tmp_path / "log")


@pytest.fixture
def run(actor: Actor) -> ClusterRun:
    return ClusterRun(FoundRun(FakeRay(actor), "spread-1", "mine"))


def test_a_run_that_has_not_begun_is_told_to_stop(run: ClusterRun, actor: Actor) -> None:
    assert run.cancel(silent=False, immediately=True).endswith("stop it; it had not begun")
    assert actor.told == [("lp-launch stop", True)]


def test_a_slow_actor_is_told_too_and_not_taken_for_that(run: ClusterRun, actor: Actor) -> None:
    actor.status_error = SlowError("not within 10 s")
    done = run.cancel(silent=False, immediately=False)
    assert done == "an actor of Ray was told to stop it; its controller does not answer here"
    assert actor.told == [("lp-launch stop", False)]


def test_a_log_that_grows_is_shown_as_far_as_it_goes(run: ClusterRun, actor: Actor) -> None:
    text = "x" * (CHUNK_BYTES - 1) + "\nthe rest\n"
    actor.log.write_text(text)
    terminal = io.StringIO()
    run.show_logs([NODE], LinePrinter([NODE], terminal, prefixes=False), follow=False)
    assert terminal.getvalue() == f"{text}again 1\n"
    assert actor.reads == 2


class Blocked(io.StringIO):
    """A terminal that takes so long to write that the actor of the run is gone meanwhile."""

    def __init__(self, actor: Actor, death: str) -> None:
        super().__init__()
        self._actor = actor
        self._death = death

    def write(self, text: str) -> int:
        self._actor.fatal = ActorDiedError(self._death)
        return super().write(text)


def follow(run: ClusterRun, actor: Actor, death: str) -> str:
    """Return what is shown of a run by then."""
    actor.log.write_text("one\n")
    terminal = Blocked(actor, death)
    run.show_logs([NODE], LinePrinter([NODE], terminal, prefixes=False), follow=True)
    return terminal.getvalue()


@pytest.mark.parametrize("how", ["killed by `ray.kill`", "exit_actor() is called"])
def test_a_follower_that_was_behind_hears_that_the_run_has_ended(
    run: ClusterRun, actor: Actor, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(run, actor, f"The actor is dead because it was: {how}") == "one\n"
    text = "spread-1 has ended; what its nodes printed last may be missing here"
    assert text in capsys.readouterr().err


def test_a_follower_hears_that_the_actor_was_lost(run: ClusterRun, actor: Actor) -> None:
    with pytest.raises(ControllerLost):
        follow(run, actor, "The actor is dead because its worker process has died.")


@pytest.fixture
def joined(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """This machine is a node of the run's cluster; the list says how often that was joined."""
    looks: list[str] = []

    def join(options: RayOptions) -> types.SimpleNamespace:
        looks.append(str(options.address))
        return types.SimpleNamespace(gcs_address=options.address, leave=lambda: None)

    found = FoundRun(FakeRay(actor), "spread-1", "mine")
    monkeypatch.setattr(cluster, "installed", lambda: True)
    monkeypatch.setattr(raylets, "started_cluster", lambda: "192.0.2.7:6379")
    monkeypatch.setattr(cluster.Cluster, "join", join)
    monkeypatch.setattr(finding, "runs", lambda: [found])
    return looks


def make(name: str, *, ended: bool = True) -> None:
    """Make a run here."""
    run = RunDirectory.create(name)
    run.write_plan("")
    if ended:
        run.remove_rendezvous()


def test_an_ended_run_here_does_not_hide_one_that_lives_in_the_cluster(joined: list[str]) -> None:
    make("spread-0")
    make("other-1")
    make("living-1", ended=False)
    with Sight(None) as sight:
        assert sight.find("living").run_id == "living-1"
        assert sight.find("spread-0").run_id == "spread-0"  # exactly
        assert joined == []
        assert isinstance(sight.find("spread"), ClusterRun)
        assert isinstance(sight.find("other"), DirectoryRun)


def test_a_cluster_that_cannot_be_looked_into_for_such_a_run(
    joined: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: RayOptions) -> None:
        message = "it asks for its token"
        raise LauncherUnavailableError(message)

    monkeypatch.setattr(cluster.Cluster, "join", refuse)
    make("spread-0")
    with Sight(None) as sight:
        assert sight.find("spread").run_id == "spread-0"
    assert "cannot be looked into: it asks for its token" in capsys.readouterr().err
    assert joined == []
