"""Courier: calls between Python processes. `Server` and `Client` also work on their own."""

from launchpad_lite.courier.client import Client, list_methods
from launchpad_lite.courier.server import Server
from launchpad_lite.credentials import Credentials

__all__ = ["Client", "Credentials", "Server", "list_methods"]
