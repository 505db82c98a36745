"""The command-line flags of this package, and the way all absl flags reach the workers.

`--lp_*` are always ours. Values travel as they were parsed, and only those that differ from
their defaults.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import TYPE_CHECKING, Any, TypeVar, cast

from absl import flags

from launchpad_lite import config, validation
from launchpad_lite.errors import UnpicklableError, UsageError, nearest
from launchpad_lite.launch_type import LaunchType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FLAGS = flags.FLAGS
_T = TypeVar("_T")
TERMINAL_VARIABLE = "LAUNCHPAD_LAUNCH_LOCAL_TERMINAL"
_DEFAULTS = config.RunConfig()


def _value_of(name: str) -> Any:
    return cast("Any", FLAGS[name]).value


LAUNCHER = flags.DEFINE_string(
    "lp_launcher", None, "The launcher of lp.launch() calls that name none (default: thread)."
)
LAUNCH_TYPE = flags.DEFINE_enum(
    "lp_launch_type",
    LaunchType.LOCAL_MULTI_THREADING.value,
    [each.value for each in LaunchType],
    "The launch type of google-deepmind/launchpad that lp.launch() calls are to have; "
    "--lp_launcher comes before it.",
)
DRY_RUN = flags.DEFINE_bool("lp_dry_run", False, "Print the plan and start nothing.")
COMPAT = flags.DEFINE_bool(
    "lp_compat",
    False,
    "For lp-launch: the program is one for google-deepmind/launchpad; run it unchanged.",
)
COMPAT_REVERB = flags.DEFINE_bool(
    "lp_compat_reverb",
    False,
    "For lp-launch: --compat, and `import reverb` means launchpad_lite.replay.",
)
TERMINAL = flags.DEFINE_string(
    "lp_terminal",
    None,
    "Where nodes that are processes show their output: current_terminal (default), "
    f"output_to_files, tmux_session, xterm or gnome-terminal. ${TERMINAL_VARIABLE} sets it too.",
)
COLOR = flags.DEFINE_enum(
    "lp_color",
    "auto",
    ["auto", "always", "never"],
    "Whether the names before nodes' output are coloured; auto: on a terminal.",
)
TMUX_SESSION_NAME = flags.DEFINE_string(
    "lp_tmux_session_name", None, "The name of the tmux session (default: the run's name)."
)
TMUX_OPEN_WINDOW = flags.DEFINE_bool(
    "lp_tmux_open_window", False, "Open the tmux session in the tmux that this terminal is in."
)
NOTICE = flags.DEFINE_float(
    "lp_termination_notice_secs",
    _DEFAULTS.notice_s,
    "Seconds that nodes get to finish when the run stops, if they asked to be told; any number "
    "below 0: as long as they need.",
)
GRACE = flags.DEFINE_float(
    "lp_grace_secs",
    _DEFAULTS.grace_s,
    "Seconds between telling a node to end and killing it.",
    lower_bound=0.0,
)
SEED = flags.DEFINE_integer("lp_seed", _DEFAULTS.seed, "From which each node's seed is derived.")
CHECKPOINT_DIR = flags.DEFINE_string(
    "lp_checkpoint_dir", None, "Where nodes save and restore (default: inside the run directory)."
)
PDB = flags.DEFINE_bool(
    "lp_pdb", False, "Start pdb on this terminal for a node that has failed, before the run ends."
)
TRANSPORT = flags.DEFINE_string(
    "lp_transport",
    None,
    "What carries all calls between nodes: inproc, unix, tcp or grpc (default: the cheapest that "
    "works between two nodes).",
)
BUSY_POLL = flags.DEFINE_integer(
    "lp_busy_poll_us",
    _DEFAULTS.busy_poll_us,
    "Microseconds for which nodes look for calls and replies again and again before they sleep: "
    "for quick calls, where there are cores to spare.",
    lower_bound=0,
    upper_bound=config.MAX_BUSY_POLL_US,
)
MAX_PAYLOAD = flags.DEFINE_integer(
    "lp_max_payload_bytes",
    _DEFAULTS.max_payload_bytes,
    "The largest call or result between nodes, in bytes.",
    lower_bound=1,
    upper_bound=config.MAX_PAYLOAD_BYTES,
)
SHARED_MEMORY = flags.DEFINE_integer(
    "lp_shared_memory_bytes",
    None,
    "The most memory in which a process passes large arrays to others on its host, in bytes "
    "(default: a quarter of the host's). Beyond it, and with 0, they go through sockets.",
    lower_bound=0,
)
RESOURCES = flags.DEFINE_multi_string(
    "lp_resources",
    [],
    "What each node of a group asks for, beyond what the program says: "
    "actor:cpus=2,gpus=1,memory_gb=4,nodes=3,exclusive,TPU=4",
)
DETACH = flags.DEFINE_bool(
    "lp_detach", False, "Return when the program is submitted; a cluster's launcher does it."
)
SLURM_PARTITION = flags.DEFINE_string("lp_slurm_partition", None, "SLURM's partition.")
SLURM_ACCOUNT = flags.DEFINE_string("lp_slurm_account", None, "SLURM's account: who pays.")
SLURM_QOS = flags.DEFINE_string("lp_slurm_qos", None, "SLURM's quality of service.")
SLURM_TIME = flags.DEFINE_string(
    "lp_slurm_time",
    None,
    "The limit: minutes, minutes:seconds (5:00 is five minutes), h:mm:ss or days-hours:mm:ss.",
)
SLURM_CONSTRAINT = flags.DEFINE_string(
    "lp_slurm_constraint", None, "The features that SLURM's machines must have."
)
SLURM_LAYOUT = flags.DEFINE_enum(
    "lp_slurm_layout",
    "auto",
    ["auto", "steps", "het", "jobs"],
    "One allocation with a step for each group, a heterogeneous job, or a job for each group.",
)
SLURM_SETUP = flags.DEFINE_multi_string(
    "lp_slurm_setup", [], "A line of shell that SLURM's jobs begin with: module load cuda"
)
SLURM_CONTAINER_IMAGE = flags.DEFINE_string(
    "lp_slurm_container_image", None, "The image that workers run in (SLURM's plugin pyxis)."
)
SLURM_EXTRA = flags.DEFINE_multi_string(
    "lp_slurm_extra", [], "A further option of sbatch: --lp_slurm_extra=--reservation=x"
)
SLURM_REQUEUE = flags.DEFINE_bool(
    "lp_slurm_requeue",
    False,
    "Queue the run again after a preemption, at the time limit, or if its controller's machine is "
    "lost.",
)
SLURM_SUBMIT = flags.DEFINE_bool(
    "lp_slurm_submit", False, "Submit a job of its own also inside of an allocation (salloc)."
)
RAY_ADDRESS = flags.DEFINE_string(
    "lp_ray_address",
    None,
    "The Ray cluster: auto (this machine is a node of it), host:port; from a machine outside of it "
    "http://host:8265 (its dashboard) or ray://host:10001 (Ray Client); or local: one is started "
    "and stopped again (default: what RAY_ADDRESS says, else local).",
)
RAY_NAMESPACE = flags.DEFINE_string(
    "lp_ray_namespace", "launchpad_lite", "The namespace of Ray that the program's actors are in."
)
RAY_STRATEGY = flags.DEFINE_enum(
    "lp_ray_strategy",
    "PACK",
    ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"],
    "How Ray places the program's actors on machines.",
)
RAY_WAIT = flags.DEFINE_float(
    "lp_ray_wait",
    0.0,
    "Seconds to wait until the Ray cluster has room for the program.",
    lower_bound=0.0,
)
RAY_WORKERS_PER_ACTOR = flags.DEFINE_integer(
    "lp_ray_workers_per_actor",
    None,
    "The most nodes of a group that one actor of Ray holds (default: as many as fit its machine).",
    lower_bound=1,
)

_HEEDED_BY = {
    "lp_slurm_": ("slurm",),
    "lp_detach": ("slurm", "ray"),
    "lp_ray_": ("ray",),
}
_UNSET = {name: _value_of(name) for name in FLAGS if name.startswith(tuple(_HEEDED_BY))}
"""What flags are if nobody gives them; `lp-launch` makes what it was given their defaults."""


def of_this_process() -> flags.FlagValues:
    """Return absl's flags: what they are unpickled as."""
    return FLAGS


def value(holder: flags.FlagHolder[_T]) -> _T:
    """Return a flag's value, also where no command line was parsed (a notebook, an import)."""
    return cast("_T", _value_of(holder.name))


def parse_known(command_line: Sequence[str]) -> None:
    """Read the flags that are defined, and leave the rest of a command line alone.

    Raises:
      UsageError: a flag has a wrong value.
    """
    try:
        FLAGS(command_line, known_only=True)
    except flags.Error as error:
        raise UsageError(str(error)) from error


def run_config() -> config.RunConfig:
    """Return the run's settings as the flags give them."""
    return config.RunConfig(
        notice_s=validation.MAX_WAIT_S if value(NOTICE) < 0 else value(NOTICE),
        grace_s=value(GRACE),
        seed=value(SEED),
        max_payload_bytes=value(MAX_PAYLOAD),
        checkpoint_dir=value(CHECKPOINT_DIR),
        pdb=value(PDB),
        transport=value(TRANSPORT) or None,
        busy_poll_us=value(BUSY_POLL),
    )


def snapshot() -> dict[str, Any]:
    """Return the values that differ from their defaults, by flag name."""
    every: dict[str, Any] = {name: FLAGS[name] for name in FLAGS}
    return {
        name: flag.value
        for name, flag in every.items()
        if flag.value != flag.default and not flag.using_default_value
    }


def given_for_others(launcher: str) -> list[tuple[str, str]]:
    """Return the flags that were given and that only another launcher heeds, and which.

    Args:
      launcher: the one that runs the program.
    """
    return [
        (f"--{name}", " or ".join(owners))
        for name, unset in _UNSET.items()
        for prefix, owners in _HEEDED_BY.items()
        if name.startswith(prefix) and launcher not in owners and _value_of(name) != unset
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class Pickled:
    """A flag's value on its way to where the flag is defined, and with it the value's class."""

    data: bytes


def pickled(values: Mapping[str, Any]) -> dict[str, Pickled]:
    """Pickle each value by itself, so that each can be unpickled when its class is known.

    Those that are pickled already stay as they are.

    Raises:
      UnpicklableError: a value cannot be pickled.
    """
    result: dict[str, Pickled] = {}
    for name, parsed in values.items():
        try:
            known = isinstance(parsed, Pickled)
            result[name] = parsed if known else Pickled(pickle.dumps(parsed))
        except Exception as error:
            message = f"flag --{name}: {parsed!r} cannot be sent to a worker: {error}"
            raise UnpicklableError(message) from error
    return result


_WAITING = "__launchpad_lite_waiting"


class _LateFlags(flags.FlagValues):
    """Absl's flags in a worker: one that is defined late has its value from then on."""

    def __setitem__(self, name: str, flag: flags.Flag[Any]) -> None:
        cast("Any", super()).__setitem__(name, flag)
        waiting: dict[str, Any] = vars(self)[_WAITING]
        for each in (name, flag.short_name):
            if each in waiting:
                _set(flag, waiting.pop(each))


def _set(flag: Any, parsed: Any) -> None:
    flag.value = pickle.loads(parsed.data) if isinstance(parsed, Pickled) else parsed
    flag.using_default_value = False
    flag.present += 1


def parsed(given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return flags' values as their parsers read them; the flags themselves stay as they are.

    Args:
      given: the values by flag name: text, as on a command line, or what the text stands for.
      owner: whose flags they are, for messages.

    Raises:
      UsageError: there is no such flag, or it does not take its value.
    """
    return {name: _parsed(name, value, owner) for name, value in given.items()}


def _parsed(name: str, given: Any, owner: str) -> Any:
    if name not in FLAGS:
        message = (
            f"{owner}: no module that the launching process has imported defines a flag "
            f"--{name}{nearest(name, FLAGS)}"
        )
        raise UsageError(message)
    reader = copy.deepcopy(cast("Any", FLAGS[name]))
    reader.present = 0  # else what is parsed is added to a multi-valued flag
    try:
        reader.parse(str(given) if isinstance(given, bool | int | float) else given)
    except (flags.Error, TypeError, ValueError) as error:
        message = f"{owner}: flag --{name} does not take {given!r}: {error}"
        raise UsageError(message) from error
    return reader.value


def apply(values: Mapping[str, Any]) -> None:
    """Set the flags that exist in this process; the rest are set when they are defined."""
    if not FLAGS.is_parsed():
        FLAGS.mark_as_parsed()
    waiting: dict[str, Any] = vars(FLAGS).setdefault(_WAITING, {})
    for name, parsed in values.items():
        if name in FLAGS:
            _set(FLAGS[name], parsed)
        else:
            waiting[name] = parsed
    # modules hold this very object; absl has no other place to hear of a definition
    object.__setattr__(FLAGS, "__class__", _LateFlags)
