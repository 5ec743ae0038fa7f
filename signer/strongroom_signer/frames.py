"""Frames of the link: protobuf on the outside, checked frozen values on the inside.

Every length is checked here, so that nothing deeper meets an absent or oversized field. What is signed stays bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from strongroom.api.signer.v1 import signer_link_service_pb2 as link_pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_ENTRY_BYTES, MAX_RECOVERY_BYTES
from strongroom.ledger.records import ElectorateStep
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody
from strongroom_signer import requests
from strongroom_signer.quarantine import Notice

__all__ = [
    "BadFrame",
    "batches_of",
    "batches_to_pb",
    "decode_certificate",
    "notice_of",
    "open_signed",
    "recovery_of",
    "request_of",
    "signed_to_pb",
    "steps_of",
]

MAX_CERTIFICATE_BYTES: Final = 65_535
MAX_COMMIT_FOR: Final = 4_096
MAX_SETS: Final = 4_096
MAX_HOLDERS: Final = 100
MAX_STATEMENTS: Final = 201
"""By two witness sets, and one more that names the base."""
MAX_STEPS: Final = 64
MAX_STEP_BYTES: Final = 131_072
MAX_KEYGEN_BYTES: Final = 65_536
MAX_CATCH_UP_BYTES: Final = 9 * 1024 * 1024
MAX_FETCHED_RECOVERY: Final = 100
MAX_ALL_RECOVERY: Final = 4 * 1024 * 1024
MAX_NAME: Final = 64
MAX_WORD: Final = 40
MAX_LINE: Final = 400
MAX_INDEX: Final = 2**62
"""No log has as many entries; a database cannot even look for one above 2^63 - 1."""

T = TypeVar("T")


class BadFrame(StrongroomError):
    """A frame of the coordinator is malformed; the coordinator is at fault."""

    reason = "FRAME_MALFORMED"
    kind = Kind.INVALID_ARGUMENT


def request_of(frame: link_pb.LinkResponse) -> requests.Request:
    """The request in a frame.

    Raises:
        BadFrame: nothing known is in it, or a field is out of its range; names the field.
    """
    kind = frame.WhichOneof("body")
    reader = None if kind is None else _READERS.get(kind)
    if kind is None or reader is None:
        raise BadFrame(f"a frame with {kind or 'nothing this version knows'} is no request")
    return reader(getattr(frame, kind))


def notice_of(pb: link_pb.Quarantined) -> Notice | None:
    """What the coordinator says that keeps this signer out of signing sets; None when nothing does.

    Raises:
        BadFrame: a field is out of its range.
    """
    if not pb.evidence_hash:
        return None
    if len(pb.fault) > MAX_WORD or len(pb.detail) > MAX_LINE or not (pb.fault + pb.detail).isprintable():
        raise BadFrame("quarantined: the fault and its detail are short lines of text")
    return Notice(
        evidence_hash=_sized(pb.evidence_hash, 32, "quarantined.evidence_hash"),
        fault=pb.fault,
        detail=pb.detail,
        operator_cleared=pb.operator_cleared,
        ordered=pb.ordered,
    )


def steps_of(pb: link_pb.Witnesses) -> tuple[ElectorateStep, ...]:
    """Proofs of handovers, decoded; whether they hold is judged by who knows the witness set before.

    Raises:
        BadFrame: there are too many, or one is not canonical.
    """
    try:
        return tuple(
            codec.decode(ElectorateStep, step, max_size=MAX_STEP_BYTES)
            for step in _at_most(pb.steps, MAX_STEPS, "witnesses.steps")
        )
    except codec.NotCanonical as error:
        raise BadFrame(f"witnesses.steps: {error.message}") from None


def open_signed(signed: types_pb2.SignedBody, where: str) -> SignedBody:
    """A signed body, its sizes checked; the signature is checked where the author is known."""
    if not 1 <= len(signed.body) <= MAX_BODY_BYTES or len(signed.signature) != 64:
        raise BadFrame(f"{where}: a signed body is 1 to {MAX_BODY_BYTES} bytes with a signature of 64")
    return SignedBody(body=signed.body, signature=signed.signature)


def signed_to_pb(signed: SignedBody) -> types_pb2.SignedBody:
    """A signed body for the wire."""
    return types_pb2.SignedBody(body=signed.body, signature=signed.signature)


def decode_certificate(data: bytes, where: str) -> Certificate | None:
    """A certificate as canonical bytes; empty means none. Its votes are verified by the voter."""
    if not data:
        return None
    try:
        return codec.decode(Certificate, data, max_size=MAX_CERTIFICATE_BYTES)
    except codec.NotCanonical as error:
        raise BadFrame(f"{where}: {error.message}") from None


def batches_to_pb(batches: Sequence[requests.LogBatch]) -> link_pb.Batches:
    """Batches for the wire."""
    return link_pb.Batches(
        batches=[
            types_pb2.LogBatch(first_index=batch.first_index, entries=batch.entries, certificate=batch.certificate)
            for batch in batches
        ]
    )


def batches_of(pb: link_pb.Batches) -> tuple[requests.LogBatch, ...]:
    """Batches that the coordinator sent, in order and of bounded size.

    Raises:
        BadFrame: a batch is empty or too large, or they do not follow one another.
    """
    total = 0
    batches: list[requests.LogBatch] = []
    for item in pb.batches:
        entries = _entries(item.entries, "batches.entries")
        total += sum(map(len, entries))
        if total > MAX_CATCH_UP_BYTES:
            raise BadFrame(f"batches: more than {MAX_CATCH_UP_BYTES} bytes in one answer")
        if batches and item.first_index != batches[-1].size:
            raise BadFrame(f"batches: one that begins at {item.first_index} does not follow {batches[-1].size}")
        decode_certificate(item.certificate, "batches.certificate")
        batches.append(requests.LogBatch(first_index=item.first_index, entries=entries, certificate=item.certificate))
    return tuple(batches)


def recovery_of(pb: link_pb.RecoveryData) -> tuple[bytes, ...]:
    """Recovery data that the coordinator sent, of bounded size; whether it is what was asked for is not looked at.

    Raises:
        BadFrame: an item is empty or too large, or they are too many.
    """
    return _recovery(pb.recovery_data, "recovery_data")


def _sized(value: bytes, size: int, where: str) -> bytes:
    if len(value) != size:
        raise BadFrame(f"{where}: must be {size} bytes, not {len(value)}")
    return value


def _at_most(values: Sequence[T], most: int, where: str, *, least: int = 0) -> tuple[T, ...]:
    if not least <= len(values) <= most:
        raise BadFrame(f"{where}: {least} to {most} are allowed, not {len(values)}")
    return tuple(values)


def _place(index: int, where: str) -> int:
    if index > MAX_INDEX:
        raise BadFrame(f"{where}: {index} is no place in a log")
    return index


def _places(indexes: Sequence[int], where: str, *, least: int = 0) -> tuple[int, ...]:
    return tuple(_place(index, where) for index in _at_most(indexes, MAX_COMMIT_FOR, where, least=least))


def _bounded(value: bytes, most: int, where: str) -> bytes:
    if not 1 <= len(value) <= most:
        raise BadFrame(f"{where}: must be 1 to {most} bytes, not {len(value)}")
    return value


def _entries(values: Sequence[bytes], where: str) -> tuple[bytes, ...]:
    entries = _at_most(values, MAX_BATCH_ENTRIES, where, least=1)
    if any(not 1 <= len(entry) <= MAX_ENTRY_BYTES for entry in entries) or sum(map(len, entries)) > MAX_BATCH_BYTES:
        raise BadFrame(f"{where}: entries of 1 to {MAX_ENTRY_BYTES} bytes, {MAX_BATCH_BYTES} together")
    return entries


def _promise(pb: link_pb.Promise) -> requests.Promise:
    return requests.Promise(term=pb.term, leader=_sized(pb.leader, 16, "promise.leader"))


def _open_term(pb: link_pb.OpenTerm) -> requests.OpenTerm:
    statements = _at_most(pb.statements, MAX_STATEMENTS, "open_term.statements", least=1)
    return requests.OpenTerm(
        term=pb.term,
        statements=tuple(open_signed(statement, "open_term.statements") for statement in statements),
        base_certificate=decode_certificate(pb.base_certificate, "open_term.base_certificate"),
    )


def _append(pb: link_pb.Append) -> requests.Append:
    entries = _entries(pb.entries, "append.entries")
    if pb.size != pb.first_index + len(entries):
        raise BadFrame(f"append.size: {pb.size} is not {pb.first_index} + {len(entries)}")
    return requests.Append(
        term=pb.term,
        first_index=_place(pb.first_index, "append.first_index"),
        entries=entries,
        root=_sized(pb.root, 32, "append.root"),
        certificate=decode_certificate(pb.certificate, "append.certificate"),
        commit_for=_places(pb.commit_for, "append.commit_for"),
        recovery_data=_recovery(pb.recovery_data, "append.recovery_data"),
    )


def _commit(pb: link_pb.Commit) -> requests.Commit:
    return requests.Commit(term=pb.term, entry_indexes=_places(pb.entry_indexes, "commit.entry_indexes", least=1))


def _release(pb: link_pb.Release) -> requests.Release:
    if len({item.entry_index for item in pb.sets}) != len(pb.sets):
        raise BadFrame("release.sets: one set for each plan")
    return requests.Release(
        certificate=decode_certificate(pb.certificate, "release.certificate"),
        sets=tuple(_signing_set(item) for item in _at_most(pb.sets, MAX_SETS, "release.sets", least=1)),
    )


def _signing_set(pb: link_pb.SigningSet) -> requests.SigningSet:
    commitments = _at_most(pb.commitments, MAX_HOLDERS, "release.sets.commitments", least=1)
    return requests.SigningSet(
        entry_index=_place(pb.entry_index, "release.sets.entry_index"),
        commitments=tuple(open_signed(item, "release.sets.commitments") for item in commitments),
    )


def _certify(pb: link_pb.Certify) -> requests.Certify:
    certificate = decode_certificate(pb.certificate, "certify.certificate")
    if certificate is None:
        raise BadFrame("certify.certificate: must not be empty")
    return requests.Certify(certificate=certificate)


def _attempt(pb: Any, where: str) -> dict[str, Any]:
    return {"order_hash": _sized(pb.order_hash, 32, f"{where}.order_hash"), "attempt": pb.attempt}


def _keygen_round1(pb: link_pb.KeygenRound1) -> requests.KeygenRound1:
    return requests.KeygenRound1(**_attempt(pb, "keygen_round1"))


def _keygen_round2(pb: link_pb.KeygenRound2) -> requests.KeygenRound2:
    message = _bounded(pb.message, MAX_KEYGEN_BYTES, "keygen_round2.message")
    return requests.KeygenRound2(**_attempt(pb, "keygen_round2"), message=message)


def _keygen_investigate(pb: link_pb.KeygenInvestigate) -> requests.KeygenInvestigate:
    message = _bounded(pb.message, MAX_KEYGEN_BYTES, "keygen_investigate.message")
    return requests.KeygenInvestigate(**_attempt(pb, "keygen_investigate"), message=message)


def _keygen_finish(pb: link_pb.KeygenFinish) -> requests.KeygenFinish:
    message = _bounded(pb.message, MAX_KEYGEN_BYTES, "keygen_finish.message")
    return requests.KeygenFinish(**_attempt(pb, "keygen_finish"), message=message)


def _trial_commit(pb: link_pb.TrialCommit) -> requests.TrialCommit:
    signers = _at_most(pb.signers, MAX_HOLDERS, "trial_commit.signers", least=1)
    return requests.TrialCommit(**_attempt(pb, "trial_commit"), signers=signers)


def _trial_sign(pb: link_pb.TrialSign) -> requests.TrialSign:
    signers = _at_most(pb.signers, MAX_HOLDERS, "trial_sign.signers", least=1)
    if len(pb.nonces) != len(signers):
        raise BadFrame(f"trial_sign.nonces: {len(pb.nonces)} for {len(signers)} signers")
    nonces = tuple(_sized(nonce, 66, "trial_sign.nonces") for nonce in pb.nonces)
    return requests.TrialSign(**_attempt(pb, "trial_sign"), signers=signers, nonces=nonces)


def _explain(pb: link_pb.Explain) -> requests.Explain:
    return requests.Explain(order_hash=_sized(pb.order_hash, 32, "explain.order_hash"))


def _fetch_batches(pb: link_pb.FetchBatches) -> requests.FetchBatches:
    if pb.end_index <= pb.first_index:
        raise BadFrame("fetch_batches.end_index: must be above first_index")
    first_index = _place(pb.first_index, "fetch_batches.first_index")
    return requests.FetchBatches(first_index=first_index, end_index=pb.end_index)


def _fetch_recovery(pb: link_pb.FetchRecovery) -> requests.FetchRecovery:
    hashes = _at_most(pb.hashes, MAX_FETCHED_RECOVERY, "fetch_recovery.hashes", least=1)
    return requests.FetchRecovery(hashes=tuple(_sized(one, 32, "fetch_recovery.hashes") for one in hashes))


def _of_epoch(pb: Any, where: str) -> dict[str, Any]:
    if not 1 <= len(pb.vault) <= MAX_NAME or not pb.vault.isascii():
        raise BadFrame(f"{where}.vault: is no name")
    return {**_attempt(pb, where), "vault": pb.vault}


def _deal(pb: link_pb.Deal) -> requests.Deal:
    return requests.Deal(**_of_epoch(pb, "deal"))


def _receive(pb: link_pb.Receive) -> requests.Receive:
    dealings = _at_most(pb.dealings, MAX_HOLDERS, "receive.dealings", least=1)
    return requests.Receive(
        **_of_epoch(pb, "receive"), dealings=tuple(open_signed(item, "receive.dealings") for item in dealings)
    )


def _epoch_trial_commit(pb: link_pb.EpochTrialCommit) -> requests.EpochTrialCommit:
    signers = _at_most(pb.signers, MAX_HOLDERS, "epoch_trial_commit.signers", least=1)
    return requests.EpochTrialCommit(**_of_epoch(pb, "epoch_trial_commit"), signers=signers)


def _epoch_trial_sign(pb: link_pb.EpochTrialSign) -> requests.EpochTrialSign:
    signers = _at_most(pb.signers, MAX_HOLDERS, "epoch_trial_sign.signers", least=1)
    if len(pb.nonces) != len(signers):
        raise BadFrame(f"epoch_trial_sign.nonces: {len(pb.nonces)} for {len(signers)} signers")
    nonces = tuple(_sized(nonce, 66, "epoch_trial_sign.nonces") for nonce in pb.nonces)
    return requests.EpochTrialSign(**_of_epoch(pb, "epoch_trial_sign"), signers=signers, nonces=nonces)


def _recovery(values: Sequence[bytes], where: str) -> tuple[bytes, ...]:
    if any(not 1 <= len(data) <= MAX_RECOVERY_BYTES for data in values) or sum(map(len, values)) > MAX_ALL_RECOVERY:
        raise BadFrame(f"{where}: 1 to {MAX_RECOVERY_BYTES} bytes each, {MAX_ALL_RECOVERY} together")
    return tuple(values)


_READERS: Final[dict[str, Callable[[Any], requests.Request]]] = {
    "promise": _promise,
    "open_term": _open_term,
    "append": _append,
    "commit": _commit,
    "release": _release,
    "certify": _certify,
    "keygen_round1": _keygen_round1,
    "keygen_round2": _keygen_round2,
    "keygen_investigate": _keygen_investigate,
    "keygen_finish": _keygen_finish,
    "trial_commit": _trial_commit,
    "trial_sign": _trial_sign,
    "explain": _explain,
    "fetch_batches": _fetch_batches,
    "fetch_recovery": _fetch_recovery,
    "deal": _deal,
    "receive": _receive,
    "epoch_trial_commit": _epoch_trial_commit,
    "epoch_trial_sign": _epoch_trial_sign,
}
