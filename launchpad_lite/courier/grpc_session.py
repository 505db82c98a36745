"""What a gRPC client and its server prove to each other, and how they seal what they then say.

Both have a secret, and neither shows it: whoever holds the port may be somebody else, and without
TLS gRPC connects again by itself, to whoever holds the port then. So the handshake makes a key of
the secret, of a fresh nonce of each side, and of the place where the client found the server: a
proof that was made for another place is of no use to one who passes it on. Each side proves that it
has the key, and where nothing else encrypts, all messages are sealed with it. One call of the
client's is enough, for the server proves itself in its answer, and the client with each call.

Keys and proofs are HMAC-SHA256 (RFC 2104); messages are sealed with AES-256-GCM (NIST SP 800-38D)
under random nonces. There is no forward secrecy: that is what TLS is for.
"""

from __future__ import annotations

import functools
import hmac
import os
from typing import TYPE_CHECKING, Any

from launchpad_lite.courier import auth
from launchpad_lite.courier.frame import ProtocolError
from launchpad_lite.credentials import PUBLIC
from launchpad_lite.endpoint import LOOPBACK
from launchpad_lite.errors import NotAuthenticated

if TYPE_CHECKING:
    from launchpad_lite.credentials import Credentials

NONCE_BYTES = 32
"""Bytes that each side adds to a handshake; no two handshakes have the same."""

_HASH_BYTES = 32
_SEAL_NONCE_BYTES = 12
_MAX_KNOWN = 1024  # sessions whose keys a server does not make again for each call


def new_nonce() -> bytes:
    """Return what a side adds to a handshake."""
    return os.urandom(NONCE_BYTES)


def is_sealed(credentials: Credentials) -> bool:
    """Return whether there is a secret, and no TLS to keep what is said."""
    return not credentials.tls and credentials != PUBLIC


def one_place(target: str) -> str:
    """Return `host:port` with one address: two users may listen on the two of `localhost`."""
    host, _, port = target.rpartition(":")
    return f"{LOOPBACK}:{port}" if host == "localhost" else target


class Session:
    """What a client and a server have agreed on.

    Attributes:
      greeting: what the server proves itself with: its nonce, and its proof.
      ticket: what the client shows with each call: both nonces, and its proof.
    """

    def __init__(self, credentials: Credentials, place: str, client: bytes, server: bytes) -> None:
        """Make it of both nonces, and of the place where the server listens."""
        sealed = is_sealed(credentials)
        where = place.encode() if sealed else b""  # a certificate is proof for any place
        key = _hash(credentials.token, b"key", client, server, where)
        self.greeting = server + _hash(key, b"server")
        self.ticket = client + server + _hash(key, b"client")
        self._cipher: Any = None
        if sealed:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # takes long to import

            self._cipher = AESGCM(_hash(key, b"seal"))

    def exchange(self, method: str, *, client: bool) -> Exchange:
        """Return what seals and opens the messages of one call, on one side.

        Args:
          method: what is called.
          client: whether this is the client's side.
        """
        return Exchange(self._cipher, method, client=client)


def greet(
    credentials: Credentials, place: str, client: bytes, answer: bytes
) -> tuple[Session, bytes]:
    """Return a client's session, and what the server says of itself.

    Args:
      credentials: the client's.
      place: where it reached the server.
      client: the nonce that it sent there.
      answer: what came back: the server's greeting, and what it says.

    Raises:
      NotAuthenticated: the server does not have the secret, or listens in another place.
      ProtocolError: what it says has been changed on its way.
    """
    server, size = answer[:NONCE_BYTES], NONCE_BYTES + _HASH_BYTES
    session = Session(credentials, place, client, server)
    if not auth.is_valid(answer[:size], session.greeting):
        message = f"{place} belongs to another run, or to another user"
        if is_sealed(credentials):
            message += "; or it only forwards to the server, for which both need credentials"
        raise NotAuthenticated(message)
    return session, session.exchange("", client=True).open(answer[size:])


class Sessions:
    """The sessions of a server.

    Those that were only begun cost it nothing: its own nonce tells it whether it is its own.

    Attributes:
      place: where it listens, `host:port`; set before the first handshake.
    """

    def __init__(self, credentials: Credentials) -> None:
        """Serve whoever has these credentials."""
        self.place = ""
        self._credentials = credentials
        self._secret = os.urandom(_HASH_BYTES)
        self._known = functools.lru_cache(_MAX_KNOWN)(self._recall)

    def answer(self, client: bytes, info: bytes) -> bytes:
        """Return what to tell a client that sent a nonce; `info` only if it has the secret too."""
        salt = os.urandom(NONCE_BYTES // 2)
        session = Session(self._credentials, self.place, client, self._nonce(client, salt))
        return session.greeting + session.exchange("", client=False).seal(info)

    def _nonce(self, client: bytes, salt: bytes) -> bytes:
        return salt + _hash(self._secret, client, salt)[: NONCE_BYTES - len(salt)]

    def find(self, ticket: bytes) -> Session | None:
        """Return the session of a client by what it shows; None for who has not proved itself."""
        try:
            return self._known(ticket)
        except LookupError:  # which is not remembered
            return None

    def _recall(self, ticket: bytes) -> Session:
        client, server = ticket[:NONCE_BYTES], ticket[NONCE_BYTES : 2 * NONCE_BYTES]
        if auth.is_valid(server, self._nonce(client, server[: NONCE_BYTES // 2])):
            session = Session(self._credentials, self.place, client, server)
            if auth.is_valid(ticket, session.ticket):
                return session
        raise LookupError


class Exchange:
    """The messages of one call, as one of its sides seals and opens them.

    A message opens only as what it was: the same side's, of the same call, and in its turn. What
    needs no seal passes as it is.
    """

    __slots__ = ("_call", "_cipher", "_opened", "_ours", "_sealed", "_theirs")

    def __init__(self, cipher: Any, method: str, *, client: bool) -> None:
        """See `Session.exchange`."""
        self._cipher = cipher
        self._call = method.encode()  # what it is called by: later, its first message's nonce
        self._ours, self._theirs = (b"c", b"s") if client else (b"s", b"c")
        self._sealed = self._opened = 0

    def seal(self, message: bytes) -> bytes:
        """Return the next message as it is sent."""
        if self._cipher is None:
            return message
        nonce = os.urandom(_SEAL_NONCE_BYTES)
        about = self._about(self._ours, self._sealed)
        self._sealed += 1
        sealed: bytes = nonce + self._cipher.encrypt(nonce, message, about)
        self._name(nonce)
        return sealed

    def open(self, message: bytes) -> bytes:
        """Return the next message as it was meant.

        Raises:
          ProtocolError: it was sealed by someone else, or is not the next.
        """
        if self._cipher is None:
            return message
        nonce, about = message[:_SEAL_NONCE_BYTES], self._about(self._theirs, self._opened)
        self._opened += 1
        try:
            opened: bytes = self._cipher.decrypt(nonce, message[_SEAL_NONCE_BYTES:], about)
        except Exception as error:  # cryptography's own, or a nonce that is too short
            text = "a message came from someone who does not have the secret"
            raise ProtocolError(text) from error
        self._name(nonce)
        return opened

    def _about(self, side: bytes, number: int) -> bytes:
        return b"%b%d:%b" % (side, number, self._call)

    def _name(self, nonce: bytes) -> None:
        if self._sealed + self._opened == 1:
            self._call = nonce


def _hash(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")
