"""Whether the coordinator's TLS certificate is revoked, for a signer that is configured with revocation lists.

gRPC for Python cannot check a list in its handshake, and does not show a client the certificate that it met. So before
each dial the certificate is fetched in a handshake of its own and checked: chain, host name, validity, role, list. gRPC
then trusts that one certificate and no authority: nothing can be exchanged between the check and the use.

A revoked coordinator could move no coin either way: what it asks is judged by the signer, whoever asks.

Spec: RFC 5280, section 6.3, for lists of one authority.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire.revocation import (
    MAX_LIST_BYTES,
    BadRevocationList,
    CertificateRevoked,
    RevocationListExpired,
    RevocationLists,
)
from strongroom.wire.x509_faults import MALFORMED
from strongroom_signer.logs import Log

__all__ = ["CoordinatorCheck", "CoordinatorRefused", "pem_of"]

HANDSHAKE_S: Final = 10.0


class CoordinatorRefused(StrongroomError):
    """The coordinator's certificate is revoked, or no list at hand says that it is not; the signer does not dial it."""

    reason = "COORDINATOR_REFUSED"
    kind = Kind.UNAVAILABLE


class CoordinatorCheck:
    """Fetches the coordinator's certificate and holds it against the lists.

    Args:
        address: `HOST:PORT`.
        revoked: File of the lists, PEM; read again when the file changes.
        authority: `ca.pem`, contents.
        identity: Files of the own certificate and key.
        organisation: That the coordinator's certificate must name.
        wall_ms: The wall clock.
        log: For lists that are not taken.
    """

    def __init__(
        self,
        address: str,
        *,
        revoked: Path,
        authority: bytes,
        identity: tuple[Path, Path],
        organisation: str,
        wall_ms: Callable[[], int],
        log: Log,
    ) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._revoked = revoked
        self._authority = authority
        self._identity = identity
        self._organisation = organisation
        self._wall_ms = wall_ms
        self._log = log
        self._lists: RevocationLists | None = None
        self._seen: tuple[int, int, int] | None = None

    async def verified(self) -> x509.Certificate:
        """The coordinator's certificate, which is good now.

        Raises:
            CoordinatorRefused: it is not, or nobody answers with one.
        """
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                certificate = await self._fetched()
        except (OSError, TimeoutError) as error:
            # ssl.SSLError is an OSError: another name, authority or time than the certificate's.
            raise CoordinatorRefused(f"no certificate of the coordinator could be checked: {error}") from None
        except MALFORMED:
            raise CoordinatorRefused("the coordinator's certificate, or ca.pem, is malformed") from None
        names = _uris(certificate)
        if len(names) != 1 or not names[0].startswith(f"spiffe://{self._organisation}/coordinator/"):
            raise CoordinatorRefused(f"who answers is {names or 'nobody'}, not a coordinator of {self._organisation}")
        self.require_good(certificate)
        return certificate

    def require_good(self, certificate: x509.Certificate) -> None:
        """Check a certificate against the lists as they are now.

        Raises:
            CoordinatorRefused: it is revoked, or the lists are missing, damaged or expired.
        """
        try:
            self._current().check(certificate, self._now())
        except (CertificateRevoked, RevocationListExpired, BadRevocationList) as error:
            raise CoordinatorRefused(f"{error.reason}: {error.message}") from None

    async def _fetched(self) -> x509.Certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Not as text: a PEM file may have words in any language around its certificates.
        trusted = x509.load_pem_x509_certificates(self._authority)
        context.load_verify_locations(cadata=b"".join(one.public_bytes(Encoding.DER) for one in trusted))
        context.load_cert_chain(*self._identity)
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection(self._host, self._port, ssl=context, server_hostname=self._host)
        try:
            return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        finally:
            writer.transport.abort()

    def _current(self) -> RevocationLists:
        """The newest lists that hold; those before stay in force when the file is damaged."""
        try:
            found = self._revoked.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._seen:
                with self._revoked.open("rb") as file:
                    data = file.read(MAX_LIST_BYTES + 1)
                fresh = RevocationLists.parse(data, authorities=self._authority, now=self._now())
                if self._lists is not None:
                    fresh.require_not_older(self._lists)
                self._lists, self._seen = fresh, stamp
        except OSError as error:
            if self._lists is None:
                raise BadRevocationList(f"{self._revoked} cannot be read: {error.strerror}") from None
            self._log.error("revocations.not_read", message=str(error.strerror))
        except BadRevocationList as error:
            if self._lists is None:
                raise
            self._seen = stamp
            self._log.error("revocations.not_read", message=error.message)
        if self._lists is None:
            raise BadRevocationList(f"{self._revoked} was never read")
        return self._lists

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_ms() / 1000, UTC)


def pem_of(certificate: x509.Certificate) -> bytes:
    """A certificate in PEM."""
    return certificate.public_bytes(Encoding.PEM)


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*MALFORMED, x509.ExtensionNotFound):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
