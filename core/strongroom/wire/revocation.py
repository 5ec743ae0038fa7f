"""Revocation lists of the small authority: parsed strictly, verified under `ca.pem`, and asked about one certificate.

A TLS certificate grants calls, never authority over coins; a list ends the calls. Once a party is configured with a
list, nothing fails open: a certificate that no valid list covers is refused, and so is every certificate while the list
is past its `nextUpdate`.

Spec: RFC 5280, section 5 (complete lists of one authority only: no deltas, no indirect lists, no partitions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire.x509_faults import MALFORMED

__all__ = [
    "MAX_LIST_BYTES",
    "BadRevocationList",
    "CertificateRevoked",
    "RevocationListExpired",
    "RevocationLists",
]

MAX_LIST_BYTES: Final = 4 * 1024 * 1024
_CLOCK_SLACK: Final = timedelta(minutes=5)
_BEGIN: Final = b"-----BEGIN X509 CRL-----"
_END: Final = b"-----END X509 CRL-----"
_UNDERSTOOD: Final = frozenset({x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid})


class BadRevocationList(StrongroomError):
    """A revocation list is malformed, not signed by its authority, from the future, or missing."""

    reason = "REVOCATION_LIST_INVALID"
    kind = Kind.INVALID_ARGUMENT


class RevocationListExpired(StrongroomError):
    """The list at hand is past its `nextUpdate`: nobody is let in until its administrator puts a fresh one there."""

    reason = "REVOCATION_LIST_EXPIRED"
    kind = Kind.UNAVAILABLE
    remedy = "put the administrators' fresh list there; `strongroom pki renew-revocations` makes it"


class CertificateRevoked(StrongroomError):
    """The peer's TLS certificate was revoked, or no list covers who issued it. It needs a new one."""

    reason = "CERTIFICATE_REVOKED"
    kind = Kind.UNAUTHENTICATED
    remedy = "ask the administrators for a new certificate, of a new TLS key"


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """What one authority revoked."""

    number: int
    next_update: datetime
    serials: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationLists:
    """One verified list for every authority that a party trusts, by the DER bytes of the authority's name."""

    lists: Mapping[bytes, _List]

    @classmethod
    def parse(cls, data: bytes, *, authorities: bytes, now: datetime) -> Self:
        """Parse and verify a file of revocation lists.

        Args:
            data: PEM, at most 4 MiB: exactly one complete list for each authority.
            authorities: `ca.pem`, one or more certificates in PEM.
            now: The time, aware. A list may be expired: `check` says so.

        Raises:
            BadRevocationList: a list is malformed, unsigned, from the future, of a stranger, twice there or missing; or
                two authorities with different keys have one name, so that nobody can say whose list is whose.
        """
        try:
            return cls._parsed(data, authorities, now)
        except MALFORMED:
            raise BadRevocationList("a revocation list, or ca.pem, is malformed") from None

    @classmethod
    def _parsed(cls, data: bytes, authorities: bytes, now: datetime) -> Self:
        trusted = _by_name(_authorities(authorities))
        lists: dict[bytes, _List] = {}
        for crl in _crls(data):
            issuer = crl.issuer.public_bytes()
            authority = trusted.get(issuer)
            if authority is None:
                raise BadRevocationList(f"a list is by {crl.issuer.rfc4514_string()}, which ca.pem does not hold")
            if issuer in lists:
                raise BadRevocationList(f"two lists are by {crl.issuer.rfc4514_string()}: keep the newer one")
            lists[issuer] = _verified(crl, authority, now)
        for issuer, authority in trusted.items():
            if issuer not in lists:
                raise BadRevocationList(f"no list is by {authority.subject.rfc4514_string()}, which ca.pem holds")
        return cls(lists=lists)

    @property
    def next_update(self) -> datetime:
        """When the first of the lists expires."""
        return min(item.next_update for item in self.lists.values())

    @property
    def count(self) -> int:
        """How many certificates are revoked."""
        return sum(len(item.serials) for item in self.lists.values())

    def require_not_older(self, before: RevocationLists) -> None:
        """Check that these lists may take the place of others.

        Raises:
            BadRevocationList: a list has a lower number than the one it would replace.
        """
        for issuer, old in before.lists.items():
            new = self.lists.get(issuer)
            if new is not None and new.number < old.number:
                raise BadRevocationList(f"list {new.number} is older than list {old.number}, which is known already")

    def check(self, certificate: x509.Certificate, now: datetime) -> None:
        """Let a certificate pass whose chain was verified already.

        Raises:
            CertificateRevoked: it was revoked, or no list is by its issuer; the peer needs another.
            RevocationListExpired: the list is too old to say.
        """
        found = self.lists.get(certificate.issuer.public_bytes())
        serial = f"{certificate.serial_number:x}"
        if found is None:
            raise CertificateRevoked("no revocation list is by the issuer of this certificate", serial=serial)
        if certificate.serial_number in found.serials:
            raise CertificateRevoked("this certificate was revoked: the administrators give a new one", serial=serial)
        if now > found.next_update:
            raise RevocationListExpired(
                f"the revocation list was valid until {found.next_update:%Y-%m-%d %H:%M} UTC: a fresh one is needed"
            )


def _authorities(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except MALFORMED:
        raise BadRevocationList("ca.pem holds no certificate in PEM") from None


def _by_name(authorities: list[x509.Certificate]) -> dict[bytes, x509.Certificate]:
    found: dict[bytes, x509.Certificate] = {}
    for one in authorities:
        # Else the list of one key would speak for what the other issued, and clear what its own list revokes.
        if found.setdefault(one.subject.public_bytes(), one).public_key() != one.public_key():
            who = one.subject.rfc4514_string()
            raise BadRevocationList(f"ca.pem holds two authorities named {who}: no list can cover both")
    return found


def _crls(data: bytes) -> list[x509.CertificateRevocationList]:
    if len(data) > MAX_LIST_BYTES:
        raise BadRevocationList(f"a revocation file is at most {MAX_LIST_BYTES} bytes, not {len(data)}")
    blocks = data.split(_END)
    if blocks[-1].strip() or len(blocks) < 2:
        raise BadRevocationList("the file holds no whole revocation list in PEM")
    found = []
    for block in blocks[:-1]:
        if block.strip()[: len(_BEGIN)] != _BEGIN:
            raise BadRevocationList("the file holds something beside revocation lists in PEM")
        try:
            found.append(x509.load_pem_x509_crl(block + _END))
        except MALFORMED:
            raise BadRevocationList("a revocation list is malformed") from None
    return found


def _verified(crl: x509.CertificateRevocationList, authority: x509.Certificate, now: datetime) -> _List:
    who = crl.issuer.rfc4514_string()
    key = authority.public_key()
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        may_sign = usage.crl_sign
    except x509.ExtensionNotFound:
        may_sign = True
    if not may_sign or not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadRevocationList(f"the certificate of {who} may sign no revocation lists")
    try:
        signed = isinstance(crl.signature_hash_algorithm, hashes.SHA256) and crl.is_signature_valid(key)
    except MALFORMED:
        signed = False
    if not signed:
        raise BadRevocationList(f"the list in the name of {who} is not signed by it with ECDSA and SHA-256")
    if crl.next_update_utc is None or crl.next_update_utc <= crl.last_update_utc:
        raise BadRevocationList(f"the list of {who} names no time until which it is valid")
    if crl.last_update_utc > now + _CLOCK_SLACK:
        raise BadRevocationList(f"the list of {who} is from the future: check this machine's clock")
    return _List(number=_number(crl), next_update=crl.next_update_utc, serials=_serials(crl))


def _number(crl: x509.CertificateRevocationList) -> int:
    try:
        unknown = [item.oid.dotted_string for item in crl.extensions if item.critical and item.oid not in _UNDERSTOOD]
        if unknown:
            raise BadRevocationList(f"a revocation list has a critical extension that is not understood: {unknown[0]}")
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (*MALFORMED, x509.ExtensionNotFound):
        raise BadRevocationList("a revocation list must carry its number, and extensions that can be read") from None


def _serials(crl: x509.CertificateRevocationList) -> frozenset[int]:
    serials = set()
    for entry in crl:
        try:
            extensions = tuple(entry.extensions)
        except MALFORMED:
            raise BadRevocationList("an entry of a revocation list has extensions that cannot be read") from None
        if any(item.critical for item in extensions):
            raise BadRevocationList("an entry of a revocation list has a critical extension that is not understood")
        serials.add(entry.serial_number)
    return frozenset(serials)
