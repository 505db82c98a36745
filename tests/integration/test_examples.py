"""Every example runs as its docstring says, under every launcher that is present."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from launchpad_lite.launchers import registry
from tests.helpers import require_backend, run_python

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
CLUSTERS = ("ray", "slurm")  # have suites of their own
LAUNCHERS = {name: point for name, point in registry.entry_points().items() if name not in CLUSTERS}
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command ended with."""

    exit_code: int
    output: str

    def numbers(self, pattern: str) -> list[float]:
        """The numbers that the pattern's group finds in the output, in order."""
        return [float(text.replace(",", "")) for text in re.findall(pattern, self.output)]

    def number(self, pattern: str) -> float:
        (found,) = self.numbers(pattern)
        return found


def _run(*arguments: str, limit: float = TIMEOUT_SECONDS) -> Result:
    process = run_python(*arguments, cwd=ROOT, seconds=limit)
    return Result(exit_code=process.returncode, output=process.stdout)


def _launch(example: str, launcher: str, limit: float = TIMEOUT_SECONDS, **flags: object) -> Result:
    given = [f"--{name}={value}" for name, value in flags.items()]
    command = ["-m", "launchpad_lite.cli.main", f"examples/{example}.py", f"--launcher={launcher}"]
    return _run(*command, *given, limit=limit)


def _launch_well(
    example: str, launcher: str, limit: float = TIMEOUT_SECONDS, **flags: object
) -> Result:
    result = _launch(example, launcher, limit, **flags)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(params=list(LAUNCHERS))
def launcher(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    require_backend(name, registry.load(LAUNCHERS[name]).unavailable())
    return name


def test_hello_world(launcher: str) -> None:
    result = _launch_well("hello_world", launcher, num_greeters=4, greeting="Servus")
    said = re.findall(r"Servus from greeter, number (\d) of 4", result.output)
    assert sorted(said) == ["1", "2", "3", "4"], result.output


def test_consumer_producers(launcher: str) -> None:
    result = _launch_well("consumer_producers", launcher, num_producers=5)
    assert "produced [0, 1, 4, 9, 16]" in result.output


def test_program_wait(launcher: str) -> None:
    result = _launch_well("program_wait", launcher, num_hearts=3, interval=0.02, seconds=0.5)
    assert result.output.count("0.5 seconds are over") == 1, result.output
    stopped = dict(re.findall(r"heart/(\d) stops after (\d+) beats", result.output))
    assert stopped.keys() == {"0", "1", "2"}, result.output
    assert all(int(beats) > 0 for beats in stopped.values()), result.output


def test_program_wait_launched_by_its_own_code() -> None:
    result = _run("examples/program_wait.py")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if "stops after" in line]
    assert len(lines) == 2, result.output
    assert result.output.splitlines()[-1] == "the program has ended"


def test_cyclic_references(launcher: str) -> None:
    result = _launch_well("cyclic_references", launcher, num_steps=30, target=-1.25)
    assert "estimate after 30 steps: -1.250" in result.output


def test_mapreduce(launcher: str) -> None:
    result = _launch_well("mapreduce", launcher, num_mappers=3, num_reducers=2, max_files=200)
    assert "verified: a plain loop over the same 200 files counts the same" in result.output
    total = result.number(r"200 files have ([\d,]+) words")
    tops = result.numbers(r"(?m)([\d,]+)  \w+$")
    assert len(tops) == 10, result.output
    assert tops == sorted(tops, reverse=True), result.output
    assert 0 < tops[0] < total, result.output


def test_mapreduce_on_one_of_each(launcher: str) -> None:
    result = _launch_well("mapreduce", launcher, num_mappers=1, num_reducers=1, max_files=1)
    assert "verified: a plain loop over the same 1 files counts the same" in result.output


def test_batching(launcher: str) -> None:
    result = _launch_well("batching", launcher, num_actors=3, num_games=8, num_steps=20)
    assert "480 actions, 0 wrong" in result.output
    assert 20 <= result.number(r"(\d+) batches") <= 480, result.output
    assert 1 <= result.number(r"([\d.]+) actions in a batch") <= 24, result.output


def test_streaming(launcher: str) -> None:
    result = _launch_well("streaming", launcher, num_readers=3, batch_size=256, loss=0.03)
    assert result.number(r"loss ([\d.]+) after") < 0.03
    used, made = result.number(r"after (\d+) minib"), result.number(r"had made (\d+)")
    assert 1 < used <= made


def test_parameter_server(launcher: str) -> None:
    result = _launch_well("parameter_server", launcher, num_workers=2, num_updates=3000)
    accuracies = result.numbers(r"held-out accuracy ([\d.]+) after \d+ updates")
    assert accuracies, result.output
    assert accuracies[-1] >= 0.95, result.output
    assert result.numbers(r"after (\d+) updates")[-1] == 3000
    assert result.numbers(r"pushed (\d+) gradients") == [1500, 1500]


def test_parameter_server_fails_when_it_has_learnt_too_little() -> None:
    result = _launch("parameter_server", "thread", num_workers=1, num_updates=1)
    assert result.exit_code == 1, result.output
    assert "node evaluator/0 failed" in result.output
    assert "is below 0.95" in result.output


def _check_learning_curve(result: Result, plot: Path) -> None:
    returns = result.numbers(r"mean return ([\d.]+) after")
    assert result.numbers(r"reached: 20 episodes have a mean return of ([\d.]+)") == [returns[-1]]
    inserts = result.numbers(r"(\d+) transitions")
    ratios = result.numbers(r"([\d.]+) samples of each")
    for count, ratio in zip(inserts, ratios, strict=True):
        earned = 16 * (count - 1000)
        assert max(0, earned - 3200) / count - 0.01 <= ratio <= max(0, earned + 3200) / count + 0.01
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_dqn(launcher: str, tmp_path: Path) -> None:
    plot = tmp_path / "dqn.png"
    result = _launch_well("dqn", launcher, num_actors=2, target_return=40, plot=plot)
    _check_learning_curve(result, plot)


@pytest.mark.soak
@pytest.mark.timeout(660)
def test_dqn_balances_the_pole(launcher: str, tmp_path: Path) -> None:
    plot = tmp_path / "dqn.png"
    result = _launch_well("dqn", launcher, plot=plot, limit=600)
    _check_learning_curve(result, plot)
    assert result.number(r"reached: .* return of ([\d.]+)") >= 450


def test_dqn_fails_when_it_has_learnt_too_little(tmp_path: Path) -> None:
    result = _launch("dqn", "thread", target_return=501, max_seconds=1)
    assert result.exit_code == 1, result.output
    assert "no mean return of 501.0 within 1.0 seconds" in result.output


def test_impala_queue(launcher: str) -> None:
    result = _launch_well("impala_queue", launcher, num_actors=2, mean_reward=0.3)
    assert result.number(r"reward ([\d.-]+) after \d+ updates;") >= 0.3
    (counts,) = re.findall(r"all in order, of each actor \[(\d+), (\d+)\]", result.output)
    assert sum(map(int, counts)) == 8 * result.number(r"after (\d+) updates;")


def test_impala_queue_fails_when_it_has_learnt_too_little() -> None:
    result = _launch("impala_queue", "thread", max_updates=1)
    assert result.exit_code == 1, result.output
    assert re.search(r"the mean reward -?[\d.]+ is below 0.9", result.output), result.output


def test_each_example_is_documented_and_tested() -> None:
    tested = Path(__file__).read_text()
    for path in sorted(EXAMPLES.glob("*.py")):
        name = path.stem
        assert f"lp-launch examples/{name}.py --launcher=process" in path.read_text(), name
        assert f'_launch_well("{name}"' in tested, name


def test_other_language(launcher: str) -> None:
    result = _launch_well("other_language", launcher)
    assert 'in JSON: {"$type":"Move","row":1,"column":0}' in result.output
    assert 'by name: {"$type":"Move","row":0,"column":0}' in result.output
    assert "NOT_FOUND: method bets not found on courier; did you mean 'best'?" in result.output
