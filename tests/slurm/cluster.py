"""What a cluster consists of, and the files that tell SLURM so; pure text, nothing is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOGIN = "login"
GPUS_PER_NODE = 4
MEMORY_MB = 8192

_SLURM_CONF = """\
ClusterName=lab
SlurmctldHost={login}({login_address})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge/socket,cred_expire=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/state/slurmctld.pid
SlurmdPidFile={directory}/spool/%n/slurmd.pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdLogFile={directory}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
PropagateResourceLimits=NONE
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerType={scheduler}
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MessageTimeout=6
SlurmdTimeout=10
KillWait=5
MinJobAge=3600
"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A compute node.

    Attributes:
      name: Its host name.
      address: Its IPv4 address.
      port: Where its slurmd listens.
      gpus: How many pretend GPUs it has.
    """

    name: str
    address: str
    port: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster with the partitions `main` (all nodes), `gpu`, `short` (one minute), `closed`...

    Jobs in `spare` are preempted by those in `urgent`: they get 20 seconds, and are queued again.

    Attributes:
      directory: Where all its files are.
      login_address: The address of the login node, on which slurmctld runs too.
      port: Where slurmctld listens.
      cpus: How many CPUs each node claims; they may exceed the machine's.
      nodes: The compute nodes.
      hets: Whether it takes heterogeneous jobs: only the backfill scheduler starts them.
    """

    directory: Path
    login_address: str
    port: int
    cpus: int
    nodes: tuple[Node, ...]
    hets: bool

    @classmethod
    def of(
        cls,
        directory: Path,
        *,
        nodes: int,
        gpu_nodes: int,
        cpus: int,
        subnet: str,
        ports: Sequence[int],
        hets: bool,
    ) -> Self:
        """Returns a cluster whose last nodes have GPUs.

        Args:
          directory: Where all its files are.
          nodes: How many compute nodes.
          gpu_nodes: How many of them have GPUs.
          cpus: How many CPUs each claims.
          subnet: What addresses begin with: "10.77.0".
          ports: Where slurmctld and each slurmd listen.
          hets: Whether it takes heterogeneous jobs.
        """
        return cls(
            directory=directory,
            login_address=f"{subnet}.1",
            port=ports[0],
            cpus=cpus,
            nodes=tuple(
                Node(
                    name=f"node{number}",
                    address=f"{subnet}.{11 + number}",
                    port=port,
                    gpus=GPUS_PER_NODE if number >= nodes - gpu_nodes else 0,
                )
                for number, port in enumerate(ports[1:])
            ),
            hets=hets,
        )

    def slurm_conf(self) -> str:
        """Returns slurm.conf."""
        lines = [
            _SLURM_CONF.format(
                directory=self.directory,
                login=LOGIN,
                login_address=self.login_address,
                port=self.port,
                scheduler="sched/backfill" if self.hets else "sched/builtin",
            )
        ]
        lines += [
            f"NodeName={node.name} NodeAddr={node.address} Port={node.port} CPUs={self.cpus}"
            f" RealMemory={MEMORY_MB}" + (f" Gres=gpu:{node.gpus}" if node.gpus else "") + "\n"
            for node in self.nodes
        ]
        main = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PreemptMode=OFF\n"
        lines.append(main)
        lines.append("PartitionName=short Nodes=ALL MaxTime=1 PreemptMode=OFF\n")
        lines.append("PartitionName=spare Nodes=ALL GraceTime=20\n")
        lines.append("PartitionName=closed Nodes=ALL AllowAccounts=others PreemptMode=OFF\n")
        lines.append("PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF\n")
        if with_gpus := [node.name for node in self.nodes if node.gpus]:
            lines.append(
                f"PartitionName=gpu Nodes={','.join(with_gpus)} MaxTime=INFINITE PreemptMode=OFF\n"
            )
        return "".join(lines)

    def gres_conf(self) -> str:
        """Returns gres.conf: nodes share the device files, as they share all files."""
        return "".join(
            f"NodeName={node.name} Name=gpu File={self.directory}/dev/gpu[0-{node.gpus - 1}]\n"
            for node in self.nodes
            if node.gpus
        )

    def hosts(self) -> str:
        """Returns /etc/hosts of every node."""
        names = [("127.0.0.1", "localhost"), (self.login_address, LOGIN)]
        names += [(node.address, node.name) for node in self.nodes]
        return "".join(f"{address} {name}\n" for address, name in names)
