"""A small certificate authority for tests and small installations, on the `cryptography` library.

TLS certificates say who is calling; they grant calls, never authority over coins. The identity is one URI,
`spiffe://<organisation>/<role>/<name>`; whatever a request asks for beside its public key is ignored. A lost one
goes on the revocation list `crl.pem`; a person's or signer's authority lies in the charter, not here.

Spec: RFC 5280, RFC 2986, SPIFFE X.509-SVID.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire.cards import Card, Role
from strongroom.wire.revocation import MAX_LIST_BYTES, RevocationLists
from strongroom.wire.x509_faults import MALFORMED
from strongroom_client.files import make_private_folder, read_bytes, replace_file, write_new

__all__ = [
    "CA_CERTIFICATE_FILE",
    "CA_KEY_FILE",
    "DEFAULT_LIST_DAYS",
    "MAX_LIST_DAYS",
    "REVOKED_FILE",
    "Authority",
    "CertificateRefused",
    "CertificateRole",
    "Issued",
    "Revoked",
    "identity_of",
    "make_request",
]

CA_KEY_FILE: Final = "ca.key"
CA_CERTIFICATE_FILE: Final = "ca.pem"
REVOKED_FILE: Final = "crl.pem"
CA_DAYS: Final = 3_650
DEFAULT_DAYS: Final = 365
MAX_DAYS: Final = 825
DEFAULT_LIST_DAYS: Final = 90
MAX_LIST_DAYS: Final = 365
_BACKDATED: Final = timedelta(minutes=5)  # for peers whose clock is a little behind
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_DNS_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class CertificateRefused(StrongroomError):
    """No certificate was issued; the message says why and what would be."""

    reason = "CERTIFICATE_REFUSED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "do what the message names, then issue it again"


class CertificateRole(StrEnum):
    """What a certificate lets its holder call."""

    PERSON = "person"
    SIGNER = "signer"
    INTEGRATOR = "integrator"
    AUDITOR = "auditor"


_ROLES_OF_CARDS: Final = {
    Role.PERSON: {CertificateRole.PERSON, CertificateRole.AUDITOR},
    Role.MACHINE: {CertificateRole.INTEGRATOR},
    Role.SIGNER: {CertificateRole.SIGNER},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate in PEM, the identity in it, and the end of its validity."""

    certificate: bytes
    identity: str
    not_after: datetime


def make_request(name: str) -> tuple[bytes, str]:
    """Make a P-256 TLS key and a certificate request signed by it.

    Returns:
        The key (PKCS #8 in PEM, not encrypted: keep it in a private file) and the request (PKCS #10 in PEM).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def identity_of(certificate: x509.Certificate) -> str:
    """Return the one URI of a certificate's subject alternative names; empty if there is not exactly one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*MALFORMED, x509.ExtensionNotFound):
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if len(uris) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """A revocation list in PEM: its number, how many certificates stand in it, and until when it is valid."""

    pem: bytes
    number: int
    count: int
    next_update: datetime


class Authority:
    """The authority of one organisation: its certificate and its key, which lies in a private file, not encrypted."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.organisation = _organisation_of(certificate)

    @classmethod
    def create(cls, folder: Path, organisation: str, *, now: datetime) -> Self:
        """Make a new authority in a folder, with `ca.key` (mode 0600) and `ca.pem`.

        Raises:
            CertificateRefused: the organisation's name has not the form of one.
            FileExists: the folder holds an authority already.
        """
        if not _NAME.fullmatch(organisation):
            raise CertificateRefused(f'"{organisation}" is no name: write 1 to 40 of a-z, 0-9 and "-"')
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} Strongroom authority"),
            ]
        )
        certificate = (
            _builder(subject, subject, key.public_key(), now, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        make_private_folder(folder)
        write_new(folder / CA_KEY_FILE, _key_pem(key))
        write_new(folder / CA_CERTIFICATE_FILE, _pem(certificate), mode=0o644)
        return cls(certificate, key)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the authority in a folder.

        Raises:
            FileProblem: `ca.key` or `ca.pem` cannot be read.
            CertificateRefused: they are not a P-256 key and its certificate.
        """
        try:
            key = serialization.load_pem_private_key(read_bytes(folder / CA_KEY_FILE), password=None)
            certificate = x509.load_pem_x509_certificate(read_bytes(folder / CA_CERTIFICATE_FILE))
            if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.public_key() == key.public_key():
                return cls(certificate, key)
        except MALFORMED as error:
            raise CertificateRefused(f"{folder} does not hold the key and certificate of an authority") from error
        raise CertificateRefused(f"{folder / CA_KEY_FILE} is not the key of {folder / CA_CERTIFICATE_FILE}")

    @property
    def certificate(self) -> bytes:
        """The authority's certificate in PEM, which every party pins as `ca.pem`."""
        return _pem(self._certificate)

    def issue(self, card: Card, role: CertificateRole, *, now: datetime, days: int = DEFAULT_DAYS) -> Issued:
        """Issue a client certificate for the TLS key of a card.

        Raises:
            CertificateRefused: the role does not fit the card, the request's proof of possession fails, its key is
                not P-256, or the validity is out of range.
        """
        allowed = _ROLES_OF_CARDS[card.role]
        if role not in allowed:
            roles = " or ".join(sorted(allowed))
            raise CertificateRefused(f"the card of {card.name} is a {card.role}'s, not for role {role}: use {roles}")
        public = _requested_key(card)
        identity = self._identity(role.value, card.name)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        return self._issue(public, card.name, names, usage=ExtendedKeyUsageOID.CLIENT_AUTH, now=now, days=days)

    def issue_coordinator(
        self, hosts: Sequence[str], *, now: datetime, name: str = "coordinator", days: int = DEFAULT_DAYS
    ) -> tuple[bytes, Issued]:
        """Make a TLS key and server certificate for a coordinator reached under these host names or IP addresses.

        Returns:
            The key (PKCS #8 in PEM) and the certificate.

        Raises:
            CertificateRefused: a host or the name is malformed, or none is given, or the validity is out of range.
        """
        if not hosts or not _NAME.fullmatch(name):
            raise CertificateRefused("a coordinator needs a name and at least one host name or address")
        identity = self._identity("coordinator", name)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity)]
        names += [_host_name(host) for host in dict.fromkeys(hosts)]
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName(names)
        issued = self._issue(
            key.public_key(), name, alternative, usage=ExtendedKeyUsageOID.SERVER_AUTH, now=now, days=days
        )
        return _key_pem(key), issued

    def revoke(
        self, folder: Path, serials: Collection[int], *, now: datetime, days: int = DEFAULT_LIST_DAYS
    ) -> Revoked:
        """Write the revocation list of the authority anew, `crl.pem` in its folder, with more serial numbers in it.

        Args:
            folder: Of the authority. The list there is extended; without one the first is written.
            serials: To add; empty for a list that is only valid for longer.
            now: The time.
            days: How long the list is valid. Whoever is configured with it lets nobody in after that.

        Raises:
            CertificateRefused: a serial number is out of range, or the validity is.
            BadRevocationList: the list in the folder is damaged: nothing is written over it.
            FileProblem: it cannot be read or written.
        """
        if not 1 <= days <= MAX_LIST_DAYS:
            raise CertificateRefused(f"a revocation list lasts 1 to {MAX_LIST_DAYS} days, not {days}")
        if any(not 0 < serial < 1 << 159 for serial in serials):
            raise CertificateRefused("a serial number is a positive number of at most 159 bits")
        path = folder / REVOKED_FILE
        earlier = self._earlier(path, now) if path.exists() else None
        number = 1 if earlier is None else _number_of(earlier) + 1
        now = now.replace(microsecond=0)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        dates = {} if earlier is None else {entry.serial_number: entry.revocation_date_utc for entry in earlier}
        dates = {**dict.fromkeys(serials, now), **dates}
        for serial, since in sorted(dates.items()):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
            builder = builder.add_revoked_certificate(entry)
        pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        replace_file(path, pem, mode=0o644)
        return Revoked(pem=pem, number=number, count=len(dates), next_update=now + timedelta(days=days))

    def issued(self, pem: bytes) -> int:
        """Return the serial number of a certificate that this authority issued.

        Raises:
            CertificateRefused: it is no certificate, another authority's, or the authority's own.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            certificate.verify_directly_issued_by(self._certificate)
        except (*MALFORMED, InvalidSignature) as error:
            raise CertificateRefused("this is no certificate in PEM that this authority issued") from error
        if certificate == self._certificate:
            raise CertificateRefused(
                "this is the authority's own certificate, which no list of its own can end: make a new authority"
            )
        return certificate.serial_number

    def _earlier(self, path: Path, now: datetime) -> x509.CertificateRevocationList:
        data = read_bytes(path, max_bytes=MAX_LIST_BYTES)
        RevocationLists.parse(data, authorities=self.certificate, now=now)
        return x509.load_pem_x509_crl(data)

    def _identity(self, role: str, name: str) -> str:
        return f"spiffe://{self.organisation}/{role}/{name}"

    def _issue(
        self,
        public: ec.EllipticCurvePublicKey,
        name: str,
        alternative: x509.SubjectAlternativeName,
        *,
        usage: x509.ObjectIdentifier,
        now: datetime,
        days: int,
    ) -> Issued:
        if not 1 <= days <= MAX_DAYS:
            raise CertificateRefused(f"a certificate lasts 1 to {MAX_DAYS} days, not {days}")
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        certificate = (
            _builder(subject, self._certificate.subject, public, now, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(alternative, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(
            certificate=_pem(certificate), identity=identity_of(certificate), not_after=certificate.not_valid_after_utc
        )


def _number_of(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _requested_key(card: Card) -> ec.EllipticCurvePublicKey:
    """Return the key of a card's request, whose holder proved to have it by signing the request."""
    try:
        request = x509.load_pem_x509_csr(card.certificate_request.encode("ascii"))
        public, proven = request.public_key(), request.is_signature_valid
    except (*MALFORMED, InvalidSignature) as error:
        raise CertificateRefused(f"the certificate request of {card.name} is malformed: make the card again") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise CertificateRefused(f"the TLS key of {card.name} is not P-256: make the card again")
    if not proven:
        raise CertificateRefused(f"the certificate request of {card.name} is not signed by its own key")
    return public


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _DNS_NAME.fullmatch(host):
            raise CertificateRefused(f'"{host}" is neither an IP address nor a host name in lower case') from None
        return x509.DNSName(host)


def _organisation_of(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    organisation = str(names[0].value) if len(names) == 1 else ""
    if not _NAME.fullmatch(organisation):
        raise CertificateRefused("the authority's certificate names no organisation: make a new authority")
    return organisation


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
