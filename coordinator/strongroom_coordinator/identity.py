"""Who a TLS peer is: the one role URI in its certificate.

A certificate grants calls, never authority: what counts is always the signature on an order or statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire.x509_faults import MALFORMED

__all__ = [
    "ROLES",
    "NotIdentified",
    "PeerIdentity",
    "identity_of",
    "identity_of_certificate",
    "peer_certificate",
    "peer_identity",
]

ROLES: Final = frozenset({"coordinator", "signer", "person", "integrator", "auditor"})
_URI: Final = re.compile(r"spiffe://([a-z0-9-]{1,40})/([a-z]+)/([a-z0-9-]{1,40})")


class NotIdentified(StrongroomError):
    """The peer showed no certificate with exactly one role URI that this service accepts; the peer is at fault."""

    reason = "NOT_IDENTIFIED"
    kind = Kind.UNAUTHENTICATED
    remedy = "use the certificate that the administrators issued for your role"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIdentity:
    """What `spiffe://<organisation>/<role>/<name>` says."""

    organisation: str
    role: str
    name: str


def identity_of_certificate(pem: bytes) -> PeerIdentity:
    """Read the role URI of a PEM certificate whose chain was verified already.

    Raises:
        NotIdentified: no, several, or a malformed URI.
    """
    try:
        return identity_of(x509.load_pem_x509_certificate(pem))
    except MALFORMED as error:
        raise NotIdentified("the certificate has no readable subject alternative name") from error


def identity_of(certificate: x509.Certificate) -> PeerIdentity:
    """Read the role URI of a certificate whose chain was verified already.

    Raises:
        NotIdentified: no, several, or a malformed URI.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*MALFORMED, x509.ExtensionNotFound) as error:
        raise NotIdentified("the certificate has no readable subject alternative name") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise NotIdentified(f"the certificate must hold exactly one URI, it holds {len(uris)}")
    match = _URI.fullmatch(uris[0])
    if match is None or match[2] not in ROLES:
        raise NotIdentified("the URI of the certificate must be spiffe://<organisation>/<role>/<name>")
    return PeerIdentity(organisation=match[1], role=match[2], name=match[3])


def peer_certificate(context: Any) -> x509.Certificate:
    """Certificate of the peer of a gRPC call (`grpc.aio.ServicerContext`).

    Raises:
        NotIdentified: the connection is not mutual TLS.
    """
    certificates = context.auth_context().get("x509_pem_cert")
    if not certificates or len(certificates) != 1:
        raise NotIdentified("the connection shows no client certificate")
    try:
        return x509.load_pem_x509_certificate(certificates[0])
    except MALFORMED as error:
        raise NotIdentified("the client certificate cannot be read") from error


def peer_identity(context: Any) -> PeerIdentity:
    """Identity of the peer of a gRPC call (`grpc.aio.ServicerContext`).

    Raises:
        NotIdentified: the connection is not mutual TLS, or the certificate names no role.
    """
    return identity_of(peer_certificate(context))
