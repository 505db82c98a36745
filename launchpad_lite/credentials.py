"""What the servers and clients of a run prove to each other: a secret, and a certificate for TLS.

The certificate is made per run, signed by its own key, and the only one that its holders trust:
whoever has the key belongs to the run. Its name is the same for all hosts, which come and go.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import pathlib
import secrets
from typing import Any, cast

import msgspec

from launchpad_lite.errors import UsageError
from launchpad_lite.validation import boolean, within

TOKEN_BYTES = 32

SERVER_NAME = "launchpad-lite"
"""The name in every certificate, which both sides look for; no host has it."""

_BACKDATED = dt.timedelta(days=1)  # clocks of hosts differ, and some are wrong by a time zone
_VALID = dt.timedelta(days=365)


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A secret, and a key pair with its certificate where connections are to be encrypted.

    They can be pickled, to be handed over in a pipe, and saved in a private file. Whoever has them
    may call the servers that have them too.

    Attributes:
      token: the secret, 32 bytes.
      certificate: PEM; None where there is no TLS.
      key: its private key, PEM; None where there is no TLS.
    """

    token: bytes
    certificate: bytes | None = None
    key: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be credentials.

        Raises:
          UsageError: the token has another length, or a certificate is without its key.
        """
        token = cast("Any", self.token)
        if not isinstance(token, bytes) or len(token) != TOKEN_BYTES:
            message = (
                f"courier.Credentials: a token is {TOKEN_BYTES} random bytes. Make new credentials "
                "with courier.Credentials.create(), or take saved ones: courier.Credentials.load."
            )
            raise UsageError(message)
        if (self.certificate is None) != (self.key is None):
            message = (
                "courier.Credentials: a certificate and its key go together, both PEM. "
                "courier.Credentials.create() makes them."
            )
            raise UsageError(message)

    @classmethod
    def create(cls, *, tls: bool = True) -> Credentials:
        """Return new ones.

        Args:
          tls: whether they can encrypt connections, as those between hosts must be.

        Raises:
          UsageError: `tls` is neither True nor False.
        """
        with within("courier.Credentials.create"):
            tls = boolean("tls", tls)
        certificate, key = make_certificate() if tls else (None, None)
        return cls(token=secrets.token_bytes(TOKEN_BYTES), certificate=certificate, key=key)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write them to a file that only this user can read (mode 0600), all or nothing.

        Args:
          path: the file.
          overwrite: whether it may take the place of another file, such as that of credentials
            which other hosts still have.

        Raises:
          FileExistsError: there is such a file already.
          OSError: the file cannot be written.
          UsageError: `path` is none.
        """
        target = _path(path, "save")
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(self))
            if overwrite:
                temporary.replace(target)
            else:
                _link(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Credentials:
        """Read what `save` has written.

        Raises:
          FileNotFoundError: there is no such file.
          PermissionError: others than its owner may read it, or it holds no credentials.
          OSError: it cannot be read.
          UsageError: `path` is none.
        """
        target = _path(path, "load")
        if not target.exists():
            message = (
                "there are no credentials here. Copy the file from the host that made them, or "
                "make new ones with courier.Credentials.create().save(path)"
            )
            raise FileNotFoundError(errno.ENOENT, message, str(target))
        with target.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
        if mode & 0o077:
            message = (
                f"{path} may be read by others. If nobody has, run chmod 600 {path}; otherwise "
                "make new credentials."
            )
            raise PermissionError(message)
        try:
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            message = (
                f"{path} holds no credentials: {error}. Copy the file again, or make new ones with "
                "courier.Credentials.create().save(path)."
            )
            raise PermissionError(message) from error

    @property
    def tls(self) -> bool:
        """Whether they can encrypt connections."""
        return self.certificate is not None

    def __repr__(self) -> str:
        """Show what they are for, and no secret."""
        return f"<courier.Credentials {'with' if self.tls else 'without'} TLS>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no secret; msgspec's own would."""
        return []


def _path(path: object, used: str) -> pathlib.Path:
    if not isinstance(path, str | os.PathLike):
        message = f"courier.Credentials.{used}({path!r}): give the path of a file."
        raise UsageError(message)
    return pathlib.Path(cast("str", path))


def _link(temporary: pathlib.Path, target: pathlib.Path) -> None:
    """Give a file its name, unless another has it.

    Raises:
      FileExistsError: another has it.
    """
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        message = (
            "there is a file of this name already, and who has those credentials could not call "
            "with new ones. Load it, or choose another name, or give save(..., overwrite=True)"
        )
        raise FileExistsError(errno.EEXIST, message, str(target)) from None


PUBLIC = Credentials(token=bytes(TOKEN_BYTES))
"""What everybody has: a server with these takes calls from whoever reaches it."""


def make_certificate(
    *,
    name: str = SERVER_NAME,
    begin: dt.datetime | None = None,
    valid: dt.timedelta = _VALID,
    key: bytes | None = None,
) -> tuple[bytes, bytes]:
    """Return a new certificate and its private key, both PEM.

    The key is on the curve P-256, which every TLS library has.

    Args:
      name: its name.
      begin: from when it is valid; None for yesterday.
      valid: for how long.
      key: a private key, PEM; None for a new one.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    if key is not None:
        private = cast("ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(key, None))
    if begin is None:
        begin = dt.datetime.now(dt.UTC) - _BACKDATED
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    roles = [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    public = private.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(roles), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    return certificate.public_bytes(encoding), private.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
