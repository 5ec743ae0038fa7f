"""ChillDKG: distributed key generation over an untrusted coordinator, with certified agreement.

A participant calls `participant_step1`, `participant_step2`, `participant_finalize`; the coordinator calls
`coordinator_step1` and `coordinator_finalize`. After step 2 a participant must keep its host secret key whatever
happens: somebody else may hold a valid certificate. Before a key is funded, collect `recovery_acknowledgement_sign`
from all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from strongroom.crypto import bip340
from strongroom.crypto.bip340 import sign_with_prefix, verify_with_prefix
from strongroom.crypto.chilldkg_certificate import first_invalid_signature, group_points
from strongroom.crypto.chilldkg_errors import (
    FaultyCoordinatorError,
    FaultyParticipantError,
    FaultyParticipantOrCoordinatorError,
    HostSeckeyError,
    MessageLengthError,
    RandomnessError,
    StateAlreadyUsedError,
    UnknownFaultyParticipantOrCoordinatorError,
)
from strongroom.crypto.chilldkg_investigation import (
    coordinator_investigate,
    investigation_of,
    participant_investigate,
)
from strongroom.crypto.chilldkg_messages import (
    SIGNATURE_BYTES,
    CoordinatorMessage1,
    ParticipantMessage1,
    Transcript,
    certificate_bytes,
    join_signatures,
    split_signatures,
)
from strongroom.crypto.chilldkg_params import (
    DKGOutput,
    SessionParams,
    chain_code,
    hostpubkey_gen,
    hostseckey_from_bytes,
    params_hash,
)
from strongroom.crypto.chilldkg_recovery import (
    recover,
    recovery_acknowledgement_sign,
    recovery_acknowledgement_verify,
    transcript_bytes,
)
from strongroom.crypto.chilldkg_sharing import (
    POP_PREFIX,
    auxiliary_randomness,
    decrypt_sum,
    derive,
    encryption_pads,
    evaluate,
    pop_message,
    seed_hash,
)
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidInput, InvalidScalar
from strongroom.crypto.secret import SecretScalar

__all__ = [
    "CoordinatorState",
    "DKGOutput",
    "ParticipantState1",
    "ParticipantState2",
    "SessionParams",
    "chain_code",
    "coordinator_finalize",
    "coordinator_investigate",
    "coordinator_step1",
    "hostpubkey_gen",
    "hostseckey_from_bytes",
    "investigation_of",
    "params_hash",
    "participant_finalize",
    "participant_investigate",
    "participant_step1",
    "participant_step2",
    "recover",
    "recovery_acknowledgement_sign",
    "recovery_acknowledgement_verify",
    "transcript_bytes",
]


class _Latch:
    """Remembers that a state was used. Not copyable: a copy would open it again."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token = [True]

    def close(self) -> bool:
        """Whether this was the first call. list.pop is one step of the interpreter: no two threads are both first."""
        try:
            return self._token.pop()
        except IndexError:
            return False

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key generation state cannot be copied, pickled or serialised")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantState1:
    """A participant between its two messages. It can be used once.

    Attributes:
        params: The session parameters.
        participant: Own id.
        commitment: Own commitment to the constant term, 33 bytes.
        pop: Own proof of possession, 64 bytes.
        pubnonce: Own public encryption nonce, 33 bytes.
    """

    params: SessionParams
    participant: int
    commitment: bytes
    pop: bytes
    pubnonce: bytes
    _latch: _Latch = field(default_factory=_Latch, repr=False, compare=False)

    def use(self) -> None:
        """Mark the state as used.

        Raises:
            StateAlreadyUsedError: it was used before. A second use could sign a second transcript.
        """
        if not self._latch.close():
            raise StateAlreadyUsedError("this key generation state was used before: start a new session")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantState2:
    """A participant that signed the transcript and waits for the certificate."""

    transcript: Transcript
    output: DKGOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorState:
    """The coordinator between its two messages."""

    transcript: Transcript


def participant_step1(
    hostseckey: SecretScalar, params: SessionParams, random32: bytes
) -> tuple[ParticipantState1, bytes]:
    """Deal shares to all participants.

    Args:
        hostseckey: The participant's host secret key.
        params: Session parameters, compared by their hash over another channel.
        random32: 32 bytes of fresh randomness.

    Returns:
        The state for step 2 and the message for the coordinator, 33t + 32n + 97 bytes.

    Raises:
        SessionParamsError: the parameters are invalid.
        HostSeckeyError: the key belongs to none of the participants.
        InvalidInput: the randomness is not 32 bytes.
        RandomnessError: the randomness is all zero.
    Spec: ChillDKG, participant_step1.
    """
    params.validated()
    me = params.id_of(hostseckey.public())
    if len(random32) != 32:
        raise InvalidInput(f"randomness must be 32 bytes, not {len(random32)}")
    if not any(random32):
        raise RandomnessError("the randomness is all zero: check the random source")
    with seed_hash(hostseckey, random32, params) as seed:
        message = _deal(seed, hostseckey, params, me)
    state = ParticipantState1(
        params=params,
        participant=me,
        commitment=message.commitments[0].serialise(),
        pop=message.pop,
        pubnonce=message.pubnonce,
    )
    return state, message.encode()


def _deal(seed: SecretScalar, hostseckey: SecretScalar, params: SessionParams, me: int) -> ParticipantMessage1:
    coefficients = [derive("vss coeffs", seed.view(), j.to_bytes(4, "big")) for j in range(params.t)]
    with derive("encpedpop secnonce", seed.view()) as secnonce:
        pads = encryption_pads(secnonce, hostseckey, params, me)
        pubnonce = secnonce.public()
    try:
        encrypted = []
        for receiver, pad in enumerate(pads):
            with evaluate(coefficients, receiver) as share:
                pad.add(share)
            # The sum with a one-time pad is a ciphertext: public.
            encrypted.append(int.from_bytes(pad.expose(), "big"))
        return ParticipantMessage1(
            commitments=tuple(Point.public_of(coefficient) for coefficient in coefficients),
            pop=sign_with_prefix(coefficients[0], pop_message(me), auxiliary_randomness(seed), POP_PREFIX),
            pubnonce=pubnonce,
            encrypted_shares=tuple(encrypted),
        )
    finally:
        for secret in (*coefficients, *pads):
            secret.wipe()


def coordinator_step1(pmsgs1: Sequence[bytes], params: SessionParams) -> tuple[CoordinatorState, bytes]:
    """Aggregate the participants' first messages, in the order of their ids.

    Returns:
        The state for `coordinator_finalize` and the message for all, 162n + 33(t - 1) bytes.

    Raises:
        SessionParamsError: the parameters are invalid.
        MessageLengthError: a message is missing, too many, too long or too short.
        FaultyParticipantError: that participant's message is malformed.
    Spec: ChillDKG, coordinator_step1.
    """
    params.validated()
    if len(pmsgs1) != params.n:
        raise MessageLengthError(f"there are {len(pmsgs1)} first messages for {params.n} participants")
    messages = [ParticipantMessage1.decode(data, params, sender) for sender, data in enumerate(pmsgs1)]
    cmsg1 = CoordinatorMessage1(
        constant_terms=tuple(message.commitments[0] for message in messages),
        other_terms=tuple(Point.sum(message.commitments[k] for message in messages) for k in range(1, params.t)),
        pops=tuple(message.pop for message in messages),
        pubnonces=tuple(message.pubnonce for message in messages),
        encrypted_shares=tuple(
            sum(message.encrypted_shares[receiver] for message in messages) % ORDER for receiver in range(params.n)
        ),
    )
    return CoordinatorState(transcript=cmsg1.transcript(params)), cmsg1.encode()


def participant_step2(
    hostseckey: SecretScalar, state1: ParticipantState1, cmsg1: bytes, aux32: bytes
) -> tuple[ParticipantState2, bytes]:
    """Check the coordinator's aggregate, compute the share and sign the transcript.

    Once the signature is sent the host secret key must be kept, even if finalisation fails here.

    Args:
        hostseckey: The host secret key that step 1 used.
        state1: The state of step 1; it is used up whatever happens.
        cmsg1: The coordinator's message, 162n + 33(t - 1) bytes.
        aux32: 32 bytes of fresh randomness for the signature.

    Returns:
        The state for `participant_finalize`, and the signature for the coordinator, 64 bytes.

    Raises:
        StateAlreadyUsedError: the state was used before.
        HostSeckeyError: not the key of step 1.
        InvalidInput: aux32 is not 32 bytes.
        MessageLengthError: the message is too long or too short.
        FaultyCoordinatorError: the coordinator altered this participant's own values, or sent malformed ones.
        FaultyParticipantOrCoordinatorError: a commitment, proof of possession or nonce of that participant is invalid.
        UnknownFaultyParticipantOrCoordinatorError: the share does not match the commitments.
    Spec: ChillDKG, participant_step2.
    """
    params, me = state1.params, state1.participant
    if hostseckey.public() != params.hostpubkeys[me]:
        raise HostSeckeyError("the host secret key is not the one that step 1 used")
    if len(aux32) != 32:
        raise InvalidInput(f"auxiliary randomness must be 32 bytes, not {len(aux32)}")
    state1.use()
    message = CoordinatorMessage1.decode(cmsg1, params)
    if message.pubnonces[me] != state1.pubnonce:
        raise FaultyCoordinatorError("it sent another public nonce for this participant than it was given")
    transcript = message.transcript(params)
    output = _receive(hostseckey, state1, message, transcript)
    signature = bip340.sign(hostseckey, certificate_bytes(me, transcript.encode()), aux32)
    return ParticipantState2(transcript=transcript, output=output), signature


def _receive(
    hostseckey: SecretScalar, state1: ParticipantState1, message: CoordinatorMessage1, transcript: Transcript
) -> DKGOutput:
    """Decrypt the share, check everybody's commitments and proofs, tweak the share and check it."""
    params, me = state1.params, state1.participant
    try:
        secshare = decrypt_sum(hostseckey, params, me, message.pubnonces, message.encrypted_shares[me])
    except InvalidScalar:
        raise _share_mismatch(state1, transcript) from None
    try:
        _check_commitments(state1, message)
        points = group_points(transcript)
        secshare.add_public(points.tweak)
        if secshare.public() != points.pubshares[me].serialise():
            raise _share_mismatch(state1, transcript)
        return points.output(secshare)
    except BaseException:
        secshare.wipe()
        raise


def _share_mismatch(state1: ParticipantState1, transcript: Transcript) -> UnknownFaultyParticipantOrCoordinatorError:
    return UnknownFaultyParticipantOrCoordinatorError(investigation_of(transcript, state1.participant))


def _check_commitments(state1: ParticipantState1, message: CoordinatorMessage1) -> None:
    """Check the commitments to the constant terms and their proofs of possession: no key can cancel another's."""
    if message.constant_terms[state1.participant].serialise() != state1.commitment:
        raise FaultyCoordinatorError("it sent another commitment for this participant than it was given")
    if message.pops[state1.participant] != state1.pop:
        raise FaultyCoordinatorError("it sent another proof of possession for this participant than it was given")
    for sender, (commitment, pop) in enumerate(zip(message.constant_terms, message.pops, strict=True)):
        if sender == state1.participant:
            continue
        if commitment.is_infinity:
            raise FaultyParticipantOrCoordinatorError(sender, "its commitment is the point at infinity")
        if not verify_with_prefix(commitment.xonly(), pop_message(sender), pop, POP_PREFIX):
            raise FaultyParticipantOrCoordinatorError(sender, "its proof of possession is invalid")


def coordinator_finalize(state: CoordinatorState, pmsgs2: Sequence[bytes]) -> tuple[bytes, DKGOutput, bytes]:
    """Collect the participants' signatures (64 bytes each, in the order of their ids) into the certificate.

    Returns:
        The certificate for all (64n bytes), the output without a share, and the recovery data (4 + 33t + 162n bytes).

    Raises:
        MessageLengthError: a signature is missing, too many, or not 64 bytes.
        FaultyParticipantError: that participant's signature is invalid.
        FaultyParticipantOrCoordinatorError: the transcript that all signed gives that participant no public share.
    Spec: ChillDKG, coordinator_finalize.
    """
    transcript = state.transcript
    if len(pmsgs2) != transcript.params.n:
        raise MessageLengthError(f"there are {len(pmsgs2)} signatures for {transcript.params.n} participants")
    for sender, signature in enumerate(pmsgs2):
        if len(signature) != SIGNATURE_BYTES:
            raise MessageLengthError(
                f"the signature of participant {sender} must be {SIGNATURE_BYTES} bytes, not {len(signature)}",
                participant=str(sender),
            )
    culprit = first_invalid_signature(transcript, pmsgs2)
    if culprit is not None:
        raise FaultyParticipantError(culprit, "its signature under the transcript is invalid")
    certificate = join_signatures(pmsgs2)
    return certificate, group_points(transcript).output(None), transcript.encode() + certificate


def participant_finalize(state2: ParticipantState2, cmsg2: bytes) -> tuple[DKGOutput, bytes]:
    """Check the certificate (64n bytes): when all signed the same transcript, the key exists.

    A failure does not mean that there is no key: another participant may have a valid certificate, and its recovery
    data then serves this one too. The state may be tried again with another certificate.

    Returns:
        The output, and the recovery data (4 + 33t + 162n bytes; public, to be kept by everybody).

    Raises:
        MessageLengthError: the certificate is too long or too short.
        FaultyCoordinatorError: a signature in it is invalid.
    Spec: ChillDKG, participant_finalize.
    """
    transcript = state2.transcript
    signatures = split_signatures(cmsg2, transcript.params.n)
    culprit = first_invalid_signature(transcript, signatures)
    if culprit is not None:
        raise FaultyCoordinatorError(f"the signature of participant {culprit} in its certificate is invalid")
    return state2.output, transcript.encode() + cmsg2
