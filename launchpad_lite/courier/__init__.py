"""Courier: calls between Python processes. `Server` and `Client` also work on their own."""

from launchpad_lite.courier.auth import user_credentials
from launchpad_lite.courier.client import Client
from launchpad_lite.courier.client_pool import add_member, members, remove_member
from launchpad_lite.courier.data_classes import register_dataclass
from launchpad_lite.courier.given import list_methods
from launchpad_lite.courier.members import PoolMember
from launchpad_lite.courier.metering import metrics
from launchpad_lite.courier.server import Server
from launchpad_lite.credentials import Credentials
from launchpad_lite.metrics import CallMetrics

__all__ = [
    "CallMetrics",
    "Client",
    "Credentials",
    "PoolMember",
    "Server",
    "add_member",
    "list_methods",
    "members",
    "metrics",
    "register_dataclass",
    "remove_member",
    "user_credentials",
]
