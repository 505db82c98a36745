"""The cluster that the other tests here rely on is one."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.machines.directory import remove_abandoned
from tests.slurm.lab import Lab

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).parents[2]
PEER = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 6818))
print("connected", flush=True)
connection.settimeout(3)
try:
    print(connection.recv(1))
except OSError as error:
    print(error)
"""
NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")


def namespaces(process: psutil.Process) -> set[str]:
    """Returns the namespaces of a process; none if it is gone."""
    found: set[str] = set()
    for name in NAMESPACES:
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/{process.pid}/ns/{name}").readlink()))
    return found


def own_namespaces(lab: Lab) -> set[str]:
    """Returns the namespaces that were made for a lab."""
    return set[str]().union(*map(namespaces, lab.processes())) - namespaces(psutil.Process())


def remains(directory: Path, made: set[str]) -> list[str]:
    """Returns what is left of a lab: processes, mounts and namespaces, by what they belong to."""
    found: list[str] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if str(directory) in " ".join(process.cmdline()) or namespaces(process) & made:
                found.append(f"process {process.pid}: {process.cmdline()}")
            if str(directory) in Path(f"/proc/{process.pid}/mountinfo").read_text():
                found.append(f"a mount of process {process.pid}")
    return found


def submit(lab: Lab, *options: str, script: str = "sleep 300") -> int:
    job = lab.run("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}")
    return int(job.stdout)


def start(lab: Lab, *options: str) -> int:
    """Submits a job that sleeps, and returns it when it runs."""
    job = submit(lab, *options)
    lab.until(lambda: lab.queue().get(job) == "RUNNING", f"job {job} does not start")
    return job


def cancel(lab: Lab, *jobs: int) -> None:
    lab.run("scancel", *map(str, jobs))
    lab.until(lambda: not lab.queue(), f"jobs {jobs} do not end")


def test_a_job_runs_on_three_nodes_with_names_and_addresses_of_their_own(
    lab: Lab, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    script = "srun --label sh -c 'echo \"$(hostname) $(hostname -I)\"'"
    job = submit(lab, "--nodes=3", f"--output={output}", script=script)
    lab.until(lambda: lab.job(job)["JobState"] == "COMPLETED", f"job {job} does not complete")
    lines = sorted(output.read_text().splitlines())
    assert [line.split() for line in lines] == [
        [f"{task}:", node, lab.address(node)] for task, node in enumerate(lab.nodes)
    ]
    assert len({lab.address(node) for node in lab.nodes}) == 3


def test_nodes_and_the_login_node_reach_each_other_by_name(lab: Lab) -> None:
    ask = "import socket; socket.create_connection(('node2', 6818), 5); print(socket.gethostname())"
    assert lab.run(sys.executable, "-c", ask).stdout == "login\n"
    assert lab.run("srun", "-w", "node0", sys.executable, "-c", ask).stdout == "node0\n"


def test_clients_work_from_outside_the_lab_too(lab: Lab, tmp_path: Path) -> None:
    where = subprocess.run(
        ["srun", "--nodelist=node1", "sh", "-c", "hostname; pwd; command -v srun"],
        env=lab.env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    node, directory, srun = where.stdout.splitlines()
    assert (node, directory) == ("node1", str(tmp_path))
    assert not srun.startswith(str(lab.directory))  # on a node a client is that of the node


def test_shared_memory_is_not_shared_between_nodes(lab: Lab) -> None:
    touch = "touch /dev/shm/of-$(hostname); cd /dev/shm; ls -d of-*"
    made = lab.run("srun", "-N3", "sh", "-c", touch)
    assert sorted(made.stdout.split()) == [f"of-{node}" for node in lab.nodes]


def test_a_heterogeneous_job_has_a_node_for_each_component(lab: Lab) -> None:
    done = lab.run("srun", "-n1", "hostname", ":", "-n1", "-p", "gpu", "--gres=gpu:1", "hostname")
    first, second = sorted(done.stdout.split())
    assert (first, second in {"node1", "node2"}) == ("node0", True)


def test_tasks_are_bound_to_pretend_gpus(lab: Lab) -> None:
    show = "echo $(hostname) $CUDA_VISIBLE_DEVICES"
    done = lab.run("srun", "-N2", "-p", "gpu", "--gres=gpu:2", "sh", "-c", show)
    assert sorted(done.stdout.splitlines()) == ["node1 0,1", "node2 0,1"]


def test_more_gpus_than_a_node_has_are_refused(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="node configuration is not available"):
        submit(lab, "--gres=gpu:5")


def test_a_node_without_power_is_down_and_its_job_waits_again(lab: Lab) -> None:
    job = start(lab, "--requeue", "--nodelist=node2")
    peer = subprocess.Popen(
        lab.words(sys.executable, "-c", PEER, lab.address("node2")),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert peer.stdout is not None
    assert peer.stdout.readline() == "connected\n"
    lab.power_off("node2")
    assert peer.communicate()[0] == "timed out\n"  # no word that the connection ended
    lab.until(lambda: lab.state("node2").startswith("DOWN"), "node2 is not missed")
    lab.until(lambda: lab.queue().get(job) == "PENDING", f"job {job} is not requeued")
    assert lab.job(job)["Restarts"] == "1"
    lab.power_on("node2")
    lab.wait_ready()
    assert lab.run("srun", "--nodelist=node0,node2", "-N2", "hostname").stdout.count("node") == 2
    cancel(lab, job)


def test_a_job_outlives_the_slurmd_of_its_node(lab: Lab) -> None:
    job = start(lab, "--nodelist=node0")
    lab.kill_slurmd("node0")
    lab.start_slurmd("node0")
    lab.wait_ready()
    assert lab.queue() == {job: "RUNNING"}
    cancel(lab, job)


def test_the_queue_outlives_slurmctld(lab: Lab) -> None:
    running = start(lab, "--nodelist=node1", "--exclusive")
    waiting = submit(lab, "--nodelist=node1", "--exclusive")
    saved = lab.directory / "state" / "job_state"
    written = saved.stat().st_mtime if saved.exists() else 0.0
    lab.until(lambda: saved.exists() and saved.stat().st_mtime > written, "slurmctld does not save")
    lab.kill_slurmctld()
    lab.start_slurmctld()
    lab.wait_ready()
    assert lab.queue() == {running: "RUNNING", waiting: "PENDING"}
    cancel(lab, running, waiting)


def test_a_second_lab_runs_beside_the_first_and_leaves_nothing(lab: Lab, directory: Path) -> None:
    with Lab.boot(directory, nodes=1, network="loopback", hets=False) as other:
        assert other.run("srun", "hostname").stdout == "node0\n"
        assert other.run("scontrol", "show", "nodes").stdout.count("NodeName") == 1
        with pytest.raises(AssertionError, match="not supported"):
            other.run("srun", "-n1", "true", ":", "-n1", "true")
        job = start(other)
        assert lab.queue() == {}
        assert job in other.queue()
        made = own_namespaces(other)
        assert remains(directory, made)
    assert remains(directory, made) == []


def test_a_lab_with_networks_leaves_nothing(lab: Lab, directory: Path) -> None:
    other = Lab.boot(directory, nodes=2)
    start(other, "-N2")
    made = own_namespaces(other)
    assert len(made) == 3 * 3 + 2 * 2  # of the login node and two nodes; and of the nodes alone
    other.close()
    assert remains(directory, made) == []
    other.close()


def test_half_a_boot_leaves_nothing(
    lab: Lab, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: set[str] = set()

    def interrupt(half: Lab) -> None:
        made.update(own_namespaces(half))
        raise KeyboardInterrupt

    monkeypatch.setattr(Lab, "start_slurmctld", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Lab.boot(directory)
    assert made
    assert remains(directory, made) == []


def test_a_controller_that_does_not_start_says_why(
    lab: Lab, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.slurm.cluster._SLURM_CONF", "NoSuchKey=1\n")
    with pytest.raises(RuntimeError, match=r"(?s)slurmctld ended by itself.*NoSuchKey"):
        Lab.boot(directory)


def test_a_lab_ends_with_a_parent_that_was_killed(lab: Lab, directory: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.slurm.lab", str(directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert f"SLURM_CONF={directory}/slurm.conf" in parent.stdout.readline()
        made = set[str]().union(
            *map(namespaces, psutil.Process(parent.pid).children(recursive=True))
        )
        made -= namespaces(psutil.Process())
        remove_abandoned([directory])
        assert (directory / "slurm.conf").exists()  # it has an owner
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    lab.until(lambda: not remains(directory, made), "processes outlive their parent")
    remove_abandoned([directory])


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_when_told(lab: Lab, directory: Path, end: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.slurm.lab", str(directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline()
        parent.send_signal(end)
        assert parent.wait(30) == 0
