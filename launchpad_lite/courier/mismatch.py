"""What it means that a server used alone does not shake hands: the two sides were made differently.

Each side is made with `credentials=`, with `insecure=True`, or with neither. What a client meets
when its server was made in another way looks like a broken network, and is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.courier.frame import ProtocolError
from launchpad_lite.credentials import PUBLIC
from launchpad_lite.errors import CallError, NotAuthenticated, Unavailable

if TYPE_CHECKING:
    from launchpad_lite.credentials import Credentials

_ALIKE = (
    "make server and client alike: both with the same credentials=, or both with insecure=True, or "
    "both with neither, which is for one user on one machine."
)
_RENEW = "Make new ones with courier.Credentials.create().save(path), and give them to both sides."
_DATA = "If the server has codec='data', give the client codec='data' as well."

# what happened, in the words of OpenSSL, of gRPC and of our transports
_EXPIRED = "certificate has expired"
_TOO_EARLY = "certificate is not yet valid"
_NO_TLS = "WRONG_VERSION_NUMBER"
_OTHER_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_OTHERS = ("Failed parsing HTTP/2", "selected ALPN", "but not as this package", "another kind")
_HUNG_UP = "Socket closed"
_REFUSED = "Connection refused"


def explained(error: CallError, address: str, credentials: Credentials | None) -> CallError:
    """Return what a client's user is told instead of an error of its handshake.

    Args:
      error: what the transport raised.
      address: the server's.
      credentials: what the client was given; None for nothing.

    Returns:
      `NotAuthenticated` where it is certain that the two sides do not fit, so that to wait would
      not help; otherwise an error of the same class, or the very error.
    """
    problem = _problem(str(error), error, credentials)
    if problem is not None:
        return NotAuthenticated(f"the server at {address} {problem}")
    if isinstance(error.__cause__, EOFError) or _HUNG_UP in str(error):
        message = (
            f"the server at {address} hung up before it said anything, and this client was made "
            f"{_made_with(credentials)}. If this lasts, {_ALIKE}"
        )
        return Unavailable(message, maybe_executed=False)
    if _REFUSED in str(error):
        message = (
            f"nobody listens at {address}: failed to connect to all addresses, connection refused. "
            "Start the server; its server.address says where."
        )
        return Unavailable(message, maybe_executed=False)
    return error


def _problem(text: str, error: CallError, credentials: Credentials | None) -> str | None:
    """Return what certainly does not fit; None if it is not certain."""
    mine = f"and this client was made {_made_with(credentials)}"
    problem: str | None = None
    if _EXPIRED in text:
        problem = f"has this client's credentials, and they have expired. {_RENEW}"
    elif _TOO_EARLY in text:
        problem = (
            "has this client's credentials, and they are not valid yet. Compare the clocks of both "
            "hosts."
        )
    elif _NO_TLS in text:
        problem = f"does not use TLS, {mine}: {_ALIKE}"
    elif isinstance(error.__cause__, ProtocolError) or any(each in text for each in _OTHERS):
        problem = f"speaks another protocol, {mine}: {_ALIKE} {_DATA}"
    elif isinstance(error, NotAuthenticated) or _OTHER_CERTIFICATE in text:
        problem = _unknown(credentials)
    return problem


def _unknown(credentials: Credentials | None) -> str:
    if credentials == PUBLIC:
        return f"wants a secret, and this client was made with insecure=True: {_ALIKE}"
    if credentials is not None and credentials.tls:
        return (
            "has other credentials than this client. Copy the file that the server's come from to "
            "the client's host, and load it there."
        )
    return (
        "does not know this client's secret, which is its user's: another user started it, or in "
        "another XDG_STATE_HOME, machine or container; or something in between only forwards; or "
        f"it was made with credentials= or insecure=True. If so, {_ALIKE}"
    )


def _made_with(credentials: Credentials | None) -> str:
    if credentials is None:
        return "with neither credentials= nor insecure=True"
    return "with insecure=True" if credentials == PUBLIC else "with credentials="
