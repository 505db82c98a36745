"""Mutual TLS 1.3 over a stream socket, with the credentials of a run.

Both sides show the run's one certificate, and trust no other. OpenSSL works on buffers in memory
here, under a lock, while bytes go to and from the socket outside it. So one thread can wait for
the peer while another sends, which OpenSSL itself does not allow on one connection.
"""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
import tempfile
import threading
import time
from typing import TYPE_CHECKING, cast

from launchpad_lite.courier.byte_stream import ByteStream
from launchpad_lite.courier.deadline import shown
from launchpad_lite.credentials import SERVER_NAME
from launchpad_lite.errors import NotAuthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from launchpad_lite.courier.byte_stream import Bytes
    from launchpad_lite.credentials import Credentials

PROTOCOL = "launchpad-lite/1"
"""What is spoken inside, by ALPN."""

MAX_BYTES = 2**36
"""That one key should encrypt; more connections are made after it. With records of 16 kB these are
2^22, well below the 2^24.5 at which RFC 8446 §5.5 wants AES-GCM to have another key."""

_RECORD = 2**14  # bytes in the largest record of TLS
_PIECE = 2**16  # bytes that are encrypted, or received, at a time; more do not stay in the cache
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")  # what OpenSSL says of what is no TLS
_REFUSALS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")  # words of alerts about certificates


class _Scratch(threading.local):
    """Where a thread receives what is to be decrypted, for all its connections."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(_PIECE))


_scratch = _Scratch()


class Sessions:
    """The session that a client's next connection to a server resumes, for a faster handshake."""

    def __init__(self, credentials: Credentials) -> None:
        """Begin without one.

        Raises:
          ValueError: the credentials have no certificate.
        """
        self.context = client_context(credentials)  # a session is of use to its own context alone
        self.last: ssl.SSLSession | None = None


@functools.lru_cache(16)
def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the settings of a server's side."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    context.num_tickets = 1  # each resumption brings the next
    return context


@functools.lru_cache(16)
def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the settings of a client's side; sessions can be resumed between its connections."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, credentials)  # which checks the name too


def _context(protocol: int, credentials: Credentials) -> ssl.SSLContext:
    if credentials.certificate is None or credentials.key is None:
        message = "these credentials have no certificate: make them with tls=True"
        raise ValueError(message)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([PROTOCOL])
    context.load_verify_locations(cadata=credentials.certificate.decode())
    with file_of(credentials.certificate + credentials.key) as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def file_of(content: bytes) -> Generator[str]:
    """Give a path to something secret, which OpenSSL reads only from files; in memory if it can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("credentials", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile() as file:  # only this user can read it
            file.write(content)
            file.flush()
            yield file.name


class TlsStream(ByteStream):
    """Bytes that are encrypted on their way through another stream.

    A connection ends without a farewell of TLS: what is sent over it says itself where it ends, so
    that a connection which was cut cannot be taken for a whole one.
    """

    def __init__(
        self, raw: ByteStream, credentials: Credentials, sessions: Sessions | None = None
    ) -> None:
        """Take over a stream; a client must `shake_hands` next.

        Args:
          raw: the stream, connected.
          credentials: what both sides must have.
          sessions: a client's, for its connections to this server; None on the server's side.
        """
        self._raw = raw
        self._certificate = ssl.PEM_cert_to_DER_cert((credentials.certificate or b"").decode())
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._sessions = sessions
        if sessions is None:
            self._tls = server_context(credentials).wrap_bio(
                self._incoming, self._outgoing, server_side=True
            )
        else:
            self._tls = sessions.context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=SERVER_NAME, session=sessions.last
            )
        # given a buffer, it returns a number
        self._read = cast("Callable[[int, bytearray | memoryview], int]", self._tls.read)
        self._lock = threading.Lock()  # of all of the above
        self._shaken = False
        self._more = True  # something that was received may wait in here
        self._rest = memoryview(b"")  # encrypted, and not sent yet
        self._sent_bytes = 0
        self._received_bytes = 0

    def shake_hands(self, seconds: float) -> None:
        """Make sure of the peer.

        Args:
          seconds: how long that may take.

        Raises:
          NotAuthenticated: it has another certificate, or an invalid one; for a client.
          TimeoutError: it did not answer in time.
          OSError: it does not speak this kind of TLS, or is gone.
        """
        deadline = time.monotonic() + seconds

        def receive(buffer: memoryview) -> int:
            while (left := deadline - time.monotonic()) > 0:
                self._raw.limit_receiving(left)
                with contextlib.suppress(BlockingIOError):  # it may be woken early
                    return self._raw.receive(buffer)
            raise BlockingIOError

        try:
            self._shake_hands(self._raw.send, receive)
        except BlockingIOError as error:
            message = f"the peer did not end the handshake within {shown(seconds)}"
            raise TimeoutError(message) from error
        finally:
            self._raw.limit_receiving(0)

    def _shake_hands(
        self, send: Callable[[Sequence[Bytes]], int], receive: Callable[[memoryview], int]
    ) -> None:
        done = False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                with contextlib.suppress(OSError):
                    self._flush(send)  # it may tell the peer why
                raise self._failure(error) from error
            self._flush(send)
            if not done and not self._feed(receive):
                message = "the peer hung up in the handshake"
                raise ConnectionAbortedError(message)
        if self._tls.getpeercert(binary_form=True) != self._certificate:
            raise self._stranger("it has another")
        if self._tls.selected_alpn_protocol() != PROTOCOL:
            message = "the peer speaks TLS, but not as this package does"
            raise ConnectionAbortedError(message)
        self._shaken = True

    @property
    def resumed(self) -> bool | None:
        """Whether the handshake resumed the session of another connection."""
        return self._tls.session_reused

    def _feed(self, receive: Callable[[memoryview], int]) -> int:
        """Receive what is encrypted; return how many bytes, 0 when the peer hung up."""
        memory = _scratch.memory
        count = receive(memory)
        with self._lock:
            self._incoming.write(memory[:count])
        return count

    def _flush(self, send: Callable[[Sequence[Bytes]], int]) -> None:
        """Send what is encrypted.

        Raises:
          BlockingIOError: some of it is kept, because the peer takes no more.
        """
        while True:
            if not self._rest:
                if not self._outgoing.pending:
                    return
                with self._lock:
                    self._rest = memoryview(self._outgoing.read())
            while self._rest:
                self._rest = self._rest[send((self._rest,)) :]

    def send(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        return self._send(pieces, self._raw.send)

    def send_now(self, pieces: Sequence[Bytes]) -> int:
        """See the base class."""
        return self._send(pieces, self._raw.send_now)

    def _send(self, pieces: Sequence[Bytes], send: Callable[[Sequence[Bytes]], int]) -> int:
        if self._rest or self._outgoing.pending:
            self._flush(send)
        with self._lock:
            taken = self._encrypt(pieces)
            encrypted = self._outgoing.read()
        sent = 0
        with contextlib.suppress(BlockingIOError):  # what has been encrypted has been taken
            sent = send((encrypted,))
            if sent < len(encrypted):
                self._rest, sent = memoryview(encrypted)[sent:], len(encrypted)
                self._flush(send)
        if not sent:
            self._rest = memoryview(encrypted)
        self._sent_bytes += len(encrypted)
        return taken

    def _encrypt(self, pieces: Sequence[Bytes]) -> int:
        """Encrypt the beginning of some bytes; small pieces become one record, for its costs."""
        if len(pieces) == 1 and len(pieces[0]) <= _PIECE:
            return self._tls.write(pieces[0])
        small: list[Bytes] = []
        taken, room = 0, _RECORD
        for piece in pieces:
            size = len(piece)
            if size > room:
                if small:
                    taken += self._tls.write(b"".join(small))
                    small, room = [], _RECORD
                if taken >= _PIECE:
                    return taken
                if size > room:
                    part = memoryview(piece)[:_PIECE]
                    taken += self._tls.write(part)
                    if len(part) < size:
                        return taken
                    continue
            small.append(piece)
            room -= size
        return taken + self._tls.write(b"".join(small)) if small else taken

    def receive(self, buffer: bytearray | memoryview) -> int:
        """See the base class."""
        return self._receive(buffer, self._raw.receive)

    def receive_now(self, buffer: bytearray | memoryview) -> int:
        """See the base class; a server's first ones make the handshake, as far as it has come."""
        if not self._shaken:
            self._shake_hands(self._raw.send_now, self._raw.receive_now)
        return self._receive(buffer, self._raw.receive_now)

    def _receive(self, buffer: bytearray | memoryview, receive: Callable[[memoryview], int]) -> int:
        try:
            if self._more:
                with self._lock:
                    count = self._decrypt(buffer)
                if count:
                    return count
            memory = _scratch.memory
            while True:
                received = receive(memory)
                if not received:
                    return 0
                with self._lock:
                    self._incoming.write(memory[:received])
                    count = self._decrypt(buffer)
                if count:
                    return count
        except ssl.SSLError as error:
            raise self._failure(error) from error

    def _decrypt(self, buffer: bytearray | memoryview) -> int:
        """Decrypt into a buffer; return how many bytes, 0 when more must be received first."""
        count, size = 0, len(buffer)
        try:
            count = self._read(size, buffer)  # one record at a time
            while count < size and (self._incoming.pending or self._tls.pending()):
                count += self._read(size - count, memoryview(buffer)[count:])
        except ssl.SSLWantReadError:
            pass
        self._more = count == size
        self._received_bytes += count
        if self._sessions is not None and count:  # tickets come after the handshake
            self._sessions.last = self._tls.session
            self._sessions = None
        return count

    @property
    def pending(self) -> int:
        """See the base class."""
        if not self._more:
            return 0
        with self._lock:
            return self._tls.pending() + self._incoming.pending

    @property
    def unsent(self) -> int:
        """See the base class."""
        return len(self._rest) + self._outgoing.pending

    @property
    def peer(self) -> str:
        """See the base class."""
        return self._raw.peer

    @property
    def worn(self) -> bool:
        """See the base class; each direction has a key of its own."""
        return self._sent_bytes > MAX_BYTES or self._received_bytes > MAX_BYTES

    @property
    def parted(self) -> bool:
        """See the base class."""
        return self._raw.parted

    def limit_sending(self, seconds: float) -> None:
        """See the base class."""
        self._raw.limit_sending(seconds)

    def limit_receiving(self, seconds: float) -> None:
        """See the base class."""
        self._raw.limit_receiving(seconds)

    def hang_up(self) -> None:
        """See the base class."""
        self._raw.hang_up()

    def close(self) -> None:
        """See the base class."""
        self._raw.close()

    def fileno(self) -> int:
        """See the base class."""
        return self._raw.fileno()

    def _failure(self, error: ssl.SSLError) -> OSError | NotAuthenticated:
        """Return what is to be raised instead of an error of OpenSSL's."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._stranger(error.verify_message)
        reason = error.reason or ""
        if "ALERT" in reason and any(word in reason for word in _REFUSALS):
            return self._stranger("it does not take this one")
        if reason in _NO_TLS:
            return ConnectionAbortedError(f"the peer does not speak TLS 1.3 ({reason})")
        return ConnectionAbortedError(f"no connection with TLS 1.3: {reason or error}")

    def _stranger(self, why: str) -> OSError | NotAuthenticated:
        message = f"the peer does not have the certificate that this side has ({why})"
        if self._tls.server_side:  # to whom a stranger is no more than a broken connection
            return ConnectionAbortedError(message)
        return NotAuthenticated(message)
