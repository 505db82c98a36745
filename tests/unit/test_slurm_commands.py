"""What SLURM's commands say is understood; the commands here are small stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad_lite.errors import LauncherUnavailableError, UsageError
from launchpad_lite.launchers import registry
from launchpad_lite.launchers.slurm import commands
from launchpad_lite.launchers.slurm.layout import Machine, Partition


class Fakes:
    """Commands that print what they are told to, and note how they were called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, printed: str = "", complaint: str = "", code: int = 0) -> None:
        log = self.directory / f"{name}.calls"
        path = self.directory / name
        path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\ncat > {log}.input\n'
            f"cat <<'END'\n{printed}END\ncat >&2 <<'END'\n{complaint}END\nexit {code}\n"
        )
        path.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        return (self.directory / f"{name}.calls").read_text().splitlines()

    def input(self, name: str) -> str:
        return (self.directory / f"{name}.calls.input").read_text()


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Fakes(tmp_path)


def test_without_slurm_the_launcher_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LauncherUnavailableError, match=r"SLURM's sbatch, .* cannot be found"):
        registry.get("slurm")


def test_a_job_is_submitted(fakes: Fakes) -> None:
    fakes.add("sbatch", "17;cluster\n")
    assert commands.submit("#!/bin/bash\ntrue\n") == 17
    assert fakes.calls("sbatch") == ["--parsable"]
    assert fakes.input("sbatch") == "#!/bin/bash\ntrue\n"


@pytest.mark.parametrize(
    ("complaint", "told"),
    [
        ("sbatch: error: Invalid account or account/partition combination specified", "sacctmgr"),
        ("sbatch: error: Requested node configuration is not available", "lp.Resources"),
        (
            "sbatch: error: Requested time limit is invalid (exceeds limit)",
            "SlurmOptions(time=...)",
        ),
    ],
)
def test_a_refusal_says_what_to_do(fakes: Fakes, complaint: str, told: str) -> None:
    fakes.add("sbatch", complaint=f"{complaint}\n", code=1)
    with pytest.raises(UsageError) as caught:
        commands.submit("")
    assert str(caught.value).startswith("SLURM refuses the job: sbatch: ")
    assert told in str(caught.value)


CONFIG = """Configuration data as of 2026-11-27T17:39:19
DefMemPerCPU            = {cpu}
SelectTypeParameters    = {select}
"""


def test_the_partitions_and_the_kinds_of_their_machines(fakes: Fakes) -> None:
    fakes.add("scontrol", CONFIG.format(cpu="UNLIMITED", select="CR_CORE"))
    lines = ["main*|8|4000|(null)"] * 2 + ["main*|8|4000|gpu:a100:2,gpu:h100:2(S:0)"]
    lines += ["big|64|9000+|gpu:1"]
    fakes.add("sinfo", "".join(f"{line}\n" for line in lines))
    plain = Machine(cpus=8, memory_mb=4000, gpus=0, count=2)
    fast = Machine(cpus=8, memory_mb=4000, gpus=4, count=1)
    big = Machine(cpus=64, memory_mb=9000, gpus=1, count=1)
    main = Partition(machines=(plain, fast))
    assert commands.partitions() == {"main": main, "": main, "big": Partition(machines=(big,))}


def test_the_memory_that_a_job_gets_by_default(fakes: Fakes) -> None:
    script = fakes.directory / "scontrol"
    own = "PartitionName=own DefMemPerNode=700\nPartitionName=main DefMemPerNode=UNLIMITED"
    config = CONFIG.format(cpu=100, select="CR_CORE_MEMORY")
    script.write_text(f"#!/bin/sh\ncase $* in *config) echo '{config}';; *) echo '{own}';; esac\n")
    script.chmod(0o755)
    fakes.add("sinfo", "main|8|4000|(null)\nown|8|4000|(null)\n")
    machines = (Machine(cpus=8, memory_mb=4000, gpus=0, count=1),)
    assert commands.partitions() == {
        "main": Partition(machines=machines, counts_memory=True, mb_per_cpu=100),
        "own": Partition(machines=machines, counts_memory=True, mb_per_node=700),
    }


def test_the_states_of_jobs_take_one_question(fakes: Fakes) -> None:
    fakes.add("squeue", "3|PENDING|Resources|N/A\n4|RUNNING|None|N/A\n")
    assert {job: state.state for job, state in commands.states([3, 4]).items()} == {
        3: "PENDING",
        4: "RUNNING",
    }
    assert fakes.calls("squeue") == ["-h -t all -j 3,4 -o %A|%T|%r|%S"]


def test_jobs_that_are_forgotten_have_no_state(fakes: Fakes) -> None:
    complaint = "slurm_load_jobs error: Invalid job id specified\n"
    fakes.add("squeue", complaint=complaint, code=1)
    assert commands.states([3]) == {}
    fakes.add("scontrol", complaint=complaint, code=1)
    assert commands.last_words(3) is None


def test_the_last_words_of_a_job(fakes: Fakes) -> None:
    fakes.add("scontrol", "JobId=3 JobName=p JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15\n")
    said = commands.last_words(3)
    assert said == commands.JobState(state="TIMEOUT", reason="TimeLimit", exit_code="0:15")


@pytest.mark.parametrize(
    ("reason", "code", "because"),
    [
        ("None", "0:0", ""),
        ("", "", ""),
        ("TimeLimit", "0:15", " (TimeLimit)"),
        ("NonZeroExitCode", "3:0", " (NonZeroExitCode, exit code 3)"),
    ],
)
def test_what_slurm_has_no_reason_for_gets_none(reason: str, code: str, because: str) -> None:
    assert commands.JobState(state="FAILED", reason=reason, exit_code=code).because == because


def test_slurm_that_does_not_answer_is_an_error(fakes: Fakes) -> None:
    fakes.add("squeue", complaint="squeue: error: Unable to contact slurm controller\n", code=1)
    with pytest.raises(commands.SlurmError, match="squeue: Unable to contact slurm controller"):
        commands.states([3])
