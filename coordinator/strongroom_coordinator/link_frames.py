"""Frames of the signer link: what may answer what, and reading the first frame.

Everything here is checked before any of it is used; a frame that breaks a rule ends the link.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.protocol.signed import SignedBody
from strongroom_coordinator.errors import SignerMisbehaved

__all__ = [
    "ANSWERS",
    "SIGNER_REQUESTS",
    "SignerHello",
    "certificate_of",
    "first_of_each",
    "hello_of",
    "response",
    "signed_of",
    "signed_pb",
]

ANSWERS: Final[dict[str, frozenset[str]]] = {
    "promise": frozenset({"promised"}),
    "open_term": frozenset({"term_opened"}),
    "append": frozenset({"voted", "batch_refused"}),
    "commit": frozenset({"committed"}),
    "release": frozenset({"released"}),
    "certify": frozenset({"certified"}),
    "keygen_round1": frozenset({"keygen_round1"}),
    "keygen_round2": frozenset({"keygen_round2", "keygen_complaint"}),
    "keygen_investigate": frozenset({"keygen_finding"}),
    "keygen_finish": frozenset({"keygen_finish"}),
    "trial_commit": frozenset({"trial_commit"}),
    "trial_sign": frozenset({"trial_sign"}),
    "deal": frozenset({"dealt"}),
    "receive": frozenset({"stated", "dealings_disputed"}),
    "epoch_trial_commit": frozenset({"trial_commit"}),
    "epoch_trial_sign": frozenset({"trial_sign"}),
    "explain": frozenset({"explain"}),
    "fetch_batches": frozenset({"batches"}),
    "fetch_recovery": frozenset({"recovery_data"}),
}
"""Request of the coordinator -> frames that may answer it, beside `failed`."""

SIGNER_REQUESTS: Final = frozenset({"fetch_batches", "fetch_recovery", "raised"})
"""What a signer may send without being asked."""

_BODIES: Any = pb.LinkResponse.DESCRIPTOR.oneofs[0]
_FIELD_OF: Final[dict[str, str]] = {field.message_type.full_name: field.name for field in _BODIES.fields}
_MAX_VERSION: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerHello:
    """What a signer says of itself when it connects. Its own word."""

    signer: str
    boot_id: bytes
    version: str
    term: int
    size: int
    certificate: Certificate | None
    rule_set: int
    alarm: str


def hello_of(frame: pb.LinkRequest, *, log_id: bytes) -> SignerHello:
    """Read the first frame of a link.

    Raises:
        SignerMisbehaved: it is not a well-formed Hello for this log.
    """
    if frame.WhichOneof("body") != "hello" or frame.seq != 1 or frame.reply_to != 0:
        raise SignerMisbehaved("the first frame of a link must be Hello with seq 1")
    hello = frame.hello
    if hello.log_id != log_id:
        raise SignerMisbehaved(
            f"the signer belongs to another log than {log_id.hex()[:16]}, which is led here: if the administrators "
            "founded the log anew, both take over their restart file",
            log_id=hello.log_id.hex(),
        )
    if len(hello.boot_id) != 16 or len(hello.version) > _MAX_VERSION or len(hello.alarm) > 64:
        raise SignerMisbehaved("Hello: boot_id must be 16 bytes, version and alarm short")
    return SignerHello(
        signer=hello.signer,
        boot_id=hello.boot_id,
        version=hello.version,
        term=hello.term,
        size=hello.size,
        certificate=certificate_of(hello.certificate),
        rule_set=hello.rule_set,
        alarm=hello.alarm,
    )


def certificate_of(data: bytes) -> Certificate | None:
    """Decode a certificate that may be absent (empty). Its votes are not verified here.

    Raises:
        SignerMisbehaved: the bytes are not canonical.
    """
    if not data:
        return None
    try:
        return codec.decode(Certificate, data)
    except codec.NotCanonical as error:
        raise SignerMisbehaved(f"a certificate is not canonical: {error.message}") from error


def first_of_each(results: Iterable[Any], asked: Container[int]) -> Iterator[Any]:
    """The first result about each plan that the signer was asked for.

    A frame has room for millions of results; more than one about a plan would be work, and lines in the log, that
    nobody asked for.
    """
    heard: set[int] = set()
    for result in results:
        index = result.entry_index
        if index in asked and index not in heard:
            heard.add(index)
            yield result


def signed_of(message: types_pb2.SignedBody) -> SignedBody:
    """The signed body of a frame; lengths and signature are checked where it is opened."""
    return SignedBody(body=message.body, signature=message.signature)


def signed_pb(signed: SignedBody) -> types_pb2.SignedBody:
    """A signed body for a frame."""
    return types_pb2.SignedBody(body=signed.body, signature=signed.signature)


def response(body: Any, *, seq: int, reply_to: int = 0) -> pb.LinkResponse:
    """Wrap one body in a frame to a signer."""
    frame = pb.LinkResponse(seq=seq, reply_to=reply_to)
    getattr(frame, _FIELD_OF[body.DESCRIPTOR.full_name]).CopyFrom(body)
    return frame
