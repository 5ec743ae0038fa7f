"""The TLS identity of the link: a P-256 key made here, a certificate that the organisation issues for it.

Spec: names are URIs `spiffe://<organisation>/signer/<name>` in the certificate's subject alternative names.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire.x509_faults import MALFORMED
from strongroom_signer.process import write_private

__all__ = ["KEY_FILE", "BadCertificateFile", "TlsFiles", "check_certificate", "create_tls_key", "load_tls"]

KEY_FILE: Final = "tls.key"


class BadCertificateFile(StrongroomError):
    """A TLS certificate does not belong to this signer, or is not valid."""

    reason = "TLS_CERTIFICATE_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "give the certificate that the administrators issued for this signer's key"


def create_tls_key(folder: Path, name: str) -> str:
    """Write a new TLS key and return the certificate request for it, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(folder / KEY_FILE, pem)
    return _request(key, name)


def request_again(folder: Path, name: str) -> str:
    """Return a certificate request for the TLS key that the folder holds, in PEM.

    Raises:
        BadCertificateFile: the key is missing or damaged.
    """
    try:
        key = serialization.load_pem_private_key(_read(folder / KEY_FILE), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadCertificateFile(f"{folder / KEY_FILE} is no private key in PEM: put back what `init` made") from None
    return _request(key, name)


def _request(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM contents of the three files that the link needs. The key grants calls, never authority."""

    authority: bytes
    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """Name the type only: the key must not be printed."""
        return "TlsFiles(...)"


def load_tls(folder: Path, *, certificate: Path, authority: Path) -> TlsFiles:
    """Read the TLS files of a data folder, which must be whole and belong together.

    Who issued the certificate, and until when it is valid, is for the coordinator's door: a signer whose certificate
    has expired still serves its operator.

    Raises:
        BadCertificateFile: which file is missing or damaged, and what to do.
    """
    files = TlsFiles(
        authority=_read(folder / authority), certificate=_read(folder / certificate), key=_read(folder / KEY_FILE)
    )
    _load(files.authority, str(folder / authority))
    own = _load(files.certificate, str(folder / certificate))
    try:
        key = serialization.load_pem_private_key(files.key, password=None)
    except (ValueError, TypeError):
        # The parser's words are left out on purpose: nothing about a key belongs in a message.
        raise BadCertificateFile(
            f"{folder / KEY_FILE} is no private key in PEM: put back what `init` made; it cannot be made again"
        ) from None
    if not _fits(own, key):
        raise BadCertificateFile(f"{folder / certificate} is not for {folder / KEY_FILE}: put the right files back")
    return files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCertificateFile(f"{path} cannot be read ({error.strerror}): put it back as it was enrolled") from None


def check_certificate(
    folder: Path, *, certificate: bytes, authority: bytes, organisation: str, name: str, now_ms: int
) -> None:
    """Check that a certificate is this signer's: its key, its name, its authority, its time.

    Raises:
        BadCertificateFile: what is wrong and what to do.
    """
    own, issuer = _load(certificate, "the certificate"), _load(authority, "the certificate authority")
    key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
    if not _fits(own, key):
        raise BadCertificateFile(f"the certificate is not for {folder / KEY_FILE}: issue one from this signer's card")
    expected = f"spiffe://{organisation}/signer/{name}"
    if _uris(own) != [expected]:
        raise BadCertificateFile(f"the certificate is for {_uris(own) or 'no URI name'}, it must be for {expected}")
    try:
        own.verify_directly_issued_by(issuer)
    except (*MALFORMED, InvalidSignature):
        raise BadCertificateFile("the certificate was not issued by the given certificate authority") from None
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise BadCertificateFile(
            f"the certificate is valid from {own.not_valid_before_utc} to {own.not_valid_after_utc}, now is {now}"
        )


def _load(pem: bytes, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except MALFORMED:
        raise BadCertificateFile(f"{what} is not an X.509 certificate in PEM: put the right file back") from None


def _fits(certificate: x509.Certificate, key: Any) -> bool:
    try:
        return bool(certificate.public_key() == key.public_key())
    except MALFORMED:
        return False


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*MALFORMED, x509.ExtensionNotFound):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
