"""Attacks on key generation, by name, and the checks that stop them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import pytest

from frost_groups import fixed_bytes, group_of, host_keys, run_key_generation
from strongroom.crypto import bip340, chilldkg
from strongroom.crypto.bip340 import sign_with_prefix
from strongroom.crypto.chilldkg import SessionParams
from strongroom.crypto.chilldkg_errors import (
    DuplicateHostPubkeyError,
    FaultyCoordinatorError,
    FaultyParticipantError,
    FaultyParticipantOrCoordinatorError,
    HostSeckeyError,
    MessageLengthError,
    RecoveryDataError,
    StateAlreadyUsedError,
    UnknownFaultyParticipantOrCoordinatorError,
)
from strongroom.crypto.chilldkg_messages import (
    CoordinatorMessage1,
    ParticipantMessage1,
    Transcript,
    certificate_bytes,
)
from strongroom.crypto.chilldkg_sharing import (
    POP_PREFIX,
    commit_to_no_script,
    decryption_pads,
    encryption_pads,
    pop_message,
)
from strongroom.crypto.curve import INFINITY, ORDER, Point
from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.secret import SecretScalar

SECKEYS = host_keys(3)
PARAMS = SessionParams(tuple(key.public() for key in SECKEYS), 2)


def first_messages(label: object = "attack") -> tuple[list[chilldkg.ParticipantState1], list[bytes]]:
    made = [chilldkg.participant_step1(key, PARAMS, fixed_bytes(label, holder)) for holder, key in enumerate(SECKEYS)]
    return [state for state, _ in made], [message for _, message in made]


def altered(data: bytes, sender: int, change: Callable[[ParticipantMessage1], ParticipantMessage1]) -> bytes:
    return change(ParticipantMessage1.decode(data, PARAMS, sender)).encode()


def with_fields(message: ParticipantMessage1, **fields: object) -> ParticipantMessage1:
    values = {name: getattr(message, name) for name in ParticipantMessage1.__dataclass_fields__}
    return ParticipantMessage1(**(values | fields))


def step2(holder: int, state: chilldkg.ParticipantState1, cmsg1: bytes) -> tuple[chilldkg.ParticipantState2, bytes]:
    return chilldkg.participant_step2(SECKEYS[holder], state, cmsg1, fixed_bytes("aux", holder))


@pytest.mark.attack(
    line="holders",
    title="threshold raised by a participant",
    origin="Trail of Bits 2024: ten implementations let a longer commitment vector raise the threshold",
)
def test_threshold_raising_a_longer_commitment_vector_is_refused_by_the_coordinator() -> None:
    """One more coefficient would make the key need more signers than all were told."""
    _, messages = first_messages()
    raised = SessionParams(PARAMS.hostpubkeys, 3)
    _, longer = chilldkg.participant_step1(SECKEYS[1], raised, fixed_bytes("raise"))
    assert len(longer) == len(messages[1]) + 33
    with pytest.raises(MessageLengthError, match="participant 1"):
        chilldkg.coordinator_step1([messages[0], longer, messages[2]], PARAMS)


def test_threshold_raising_a_longer_sum_is_refused_by_every_participant() -> None:
    states, messages = first_messages()
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    extra = Point.generator_times(5).serialise()
    longer = cmsg1[: 33 * 4] + extra + cmsg1[33 * 4 :]
    for holder, state in enumerate(states):
        with pytest.raises(MessageLengthError):
            step2(holder, state, longer)


@pytest.mark.attack(
    line="holders",
    title="empty commitment vector",
    origin="Trail of Bits 2024: ten implementations let a longer commitment vector raise the threshold",
)
def test_threshold_lowering_an_empty_commitment_vector_is_refused() -> None:
    _, messages = first_messages()
    for cut in (33, 66):
        with pytest.raises(MessageLengthError):
            chilldkg.coordinator_step1([messages[0][cut:], messages[1], messages[2]], PARAMS)


@pytest.mark.attack(
    line="holders", title="rogue key", origin="rogue key: the last mover cancels the others' contributions"
)
def test_rogue_key_a_commitment_that_cancels_the_others_needs_an_impossible_proof() -> None:
    """The last mover wants the key to be its own; it knows no discrete logarithm of the commitment this takes."""
    own = SecretScalar.from_bytes(fixed_bytes("rogue"))
    _, messages = first_messages()
    honest = [ParticipantMessage1.decode(messages[sender], PARAMS, sender) for sender in (0, 2)]
    rogue = Point.public_of(own) + -Point.sum(message.commitments[0] for message in honest)
    proofs = {
        "of its own key": sign_with_prefix(own, pop_message(1), bytes(32), POP_PREFIX),
        "replayed from participant 0": honest[0].pop,
        "replayed from participant 2": honest[1].pop,
    }
    for proof in proofs.values():
        states, messages = first_messages()
        messages[1] = altered(
            messages[1],
            1,
            lambda message, proof=proof: with_fields(  # type: ignore[misc]
                message, commitments=(rogue, *message.commitments[1:]), pop=proof
            ),
        )
        coordinator, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
        assert coordinator.transcript.commitments[0] == Point.public_of(own)
        for holder in (0, 2):
            with pytest.raises(FaultyParticipantOrCoordinatorError, match="proof of possession") as blamed:
                step2(holder, states[holder], cmsg1)
            assert blamed.value.participant == 1


def test_rogue_key_a_proof_copied_with_its_commitment_is_refused() -> None:
    """Copying another's commitment and proof fails because the proof names the participant."""
    states, messages = first_messages()
    original = ParticipantMessage1.decode(messages[0], PARAMS, 0)
    messages[1] = altered(
        messages[1], 1, lambda message: with_fields(message, commitments=original.commitments, pop=original.pop)
    )
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    for holder in (0, 2):
        with pytest.raises(FaultyParticipantOrCoordinatorError) as blamed:
            step2(holder, states[holder], cmsg1)
        assert blamed.value.participant == 1


def test_rogue_key_a_commitment_to_nothing_is_refused() -> None:
    states, messages = first_messages()
    messages[1] = altered(messages[1], 1, lambda message: with_fields(message, commitments=(INFINITY, INFINITY)))
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    with pytest.raises(FaultyParticipantOrCoordinatorError, match="infinity") as blamed:
        step2(0, states[0], cmsg1)
    assert blamed.value.participant == 1


@pytest.mark.attack(
    line="coordinator",
    title="swapped and replayed proofs of possession",
    origin="rogue key: the last mover cancels the others' contributions",
)
def test_swapped_proofs_of_possession_are_refused() -> None:
    states, messages = first_messages()
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    message = CoordinatorMessage1.decode(cmsg1, PARAMS)
    fields = {name: getattr(message, name) for name in CoordinatorMessage1.__dataclass_fields__}
    swapped = CoordinatorMessage1(**(fields | {"pops": (message.pops[0], message.pops[2], message.pops[1])})).encode()
    with pytest.raises(FaultyParticipantOrCoordinatorError, match="proof of possession"):
        step2(0, states[0], swapped)
    with pytest.raises(FaultyCoordinatorError, match="another proof of possession"):
        step2(1, states[1], swapped)


@pytest.mark.attack(
    line="coordinator",
    title="split view of the transcript",
    origin="split view: some parties believe that key generation succeeded",
)
def test_split_view_no_certificate_can_be_made_of_two_transcripts() -> None:
    """A coordinator and participant 2 show participants 0 and 1 two different, each valid, key generations."""
    states, messages = first_messages()
    liar_state, liar_message = chilldkg.participant_step1(SECKEYS[2], PARAMS, fixed_bytes("second face"))
    coordinators, views = zip(
        *(chilldkg.coordinator_step1([*messages[:2], face], PARAMS) for face in (messages[2], liar_message)),
        strict=True,
    )
    state0, signature0 = step2(0, states[0], views[0])
    state1, signature1 = step2(1, states[1], views[1])
    liar = [step2(2, states[2], views[0])[1], step2(2, liar_state, views[1])[1]]
    for face, coordinator in itertools.product(liar, coordinators):
        with pytest.raises(FaultyParticipantError):
            chilldkg.coordinator_finalize(coordinator, [signature0, signature1, face])
        for state in (state0, state1):
            with pytest.raises(FaultyCoordinatorError):
                chilldkg.participant_finalize(state, signature0 + signature1 + face)


def test_a_state_is_used_once() -> None:
    """Otherwise one participant could be brought to sign two transcripts."""
    states, messages = first_messages()
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    step2(0, states[0], cmsg1)
    with pytest.raises(StateAlreadyUsedError):
        step2(0, states[0], cmsg1)
    with pytest.raises(FaultyCoordinatorError):
        step2(1, states[1], cmsg1[:-160] + cmsg1[-160 + 32 :] + bytes(32))
    with pytest.raises(StateAlreadyUsedError):
        step2(1, states[1], cmsg1)


def test_index_tricks_a_participant_cannot_answer_for_another() -> None:
    states, messages = first_messages()
    coordinator, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    signatures = [step2(holder, state, cmsg1)[1] for holder, state in enumerate(states)]
    with pytest.raises(FaultyParticipantError) as blamed:
        chilldkg.coordinator_finalize(coordinator, [signatures[1], signatures[0], signatures[2]])
    assert blamed.value.participant == 0


def test_two_participants_with_one_key_are_refused() -> None:
    doubled = SessionParams((*PARAMS.hostpubkeys[:2], PARAMS.hostpubkeys[0]), 2)
    with pytest.raises(DuplicateHostPubkeyError):
        chilldkg.params_hash(doubled)


@pytest.mark.attack(
    line="coordinator", title="substituted host keys", origin="on paper: host keys exchanged at enrolment"
)
def test_substituted_host_keys_show_in_the_params_hash() -> None:
    other = host_keys(3, "substitute")
    hashes = {
        chilldkg.params_hash(SessionParams((*PARAMS.hostpubkeys[:2], other[2].public()), 2)),
        chilldkg.params_hash(SessionParams(PARAMS.hostpubkeys[::-1], 2)),
        chilldkg.params_hash(SessionParams(PARAMS.hostpubkeys, 3)),
        chilldkg.params_hash(PARAMS),
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("sender", [1, 2])
def test_a_wrong_share_is_traced_to_its_dealer(sender: int) -> None:
    states, messages = first_messages()
    messages[sender] = altered(
        messages[sender],
        sender,
        lambda message: with_fields(
            message, encrypted_shares=((message.encrypted_shares[0] + 1) % ORDER, *message.encrypted_shares[1:])
        ),
    )
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    with pytest.raises(UnknownFaultyParticipantOrCoordinatorError) as unknown:
        step2(0, states[0], cmsg1)
    cinv = chilldkg.coordinator_investigate(messages, PARAMS)[0]
    with pytest.raises(FaultyParticipantOrCoordinatorError) as blamed:
        chilldkg.participant_investigate(SECKEYS[0], unknown.value, cinv)
    assert blamed.value.participant == sender


def deal_zero_to_participant_0(dealer: int) -> bytes:
    """A well-formed first message whose polynomial is zero where participant 0 gets its share."""
    constant = SecretScalar.from_bytes(fixed_bytes("constant term"))
    commitment = Point.public_of(constant)
    secnonce = SecretScalar.from_bytes(fixed_bytes("encryption nonce"))
    encrypted = []
    for receiver, pad in enumerate(encryption_pads(secnonce, SECKEYS[dealer], PARAMS, dealer)):
        if receiver > 0:
            share = constant.clone()
            share.multiply_public(-receiver)
            pad.add(share)
        encrypted.append(int.from_bytes(pad.expose(), "big"))
    return ParticipantMessage1(
        commitments=(commitment, -commitment),
        pop=sign_with_prefix(constant, pop_message(dealer), bytes(32), POP_PREFIX),
        pubnonce=secnonce.public(),
        encrypted_shares=tuple(encrypted),
    ).encode()


def test_a_dealt_share_of_zero_is_taken_like_any_other() -> None:
    """A dealer may pick its polynomial so that one share is zero, which libsecp256k1 cannot hold."""
    states, messages = first_messages()
    messages[1] = deal_zero_to_participant_0(1)
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    state2, _ = step2(0, states[0], cmsg1)
    assert state2.output.secshare is not None
    assert state2.output.secshare.public() == state2.output.pubshares[0]


def test_a_dealt_share_of_zero_is_not_blamed_for_another_dealers_lie() -> None:
    states, messages = first_messages()
    messages[1] = deal_zero_to_participant_0(1)
    messages[2] = altered(
        messages[2],
        2,
        lambda message: with_fields(
            message, encrypted_shares=((message.encrypted_shares[0] + 1) % ORDER, *message.encrypted_shares[1:])
        ),
    )
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    with pytest.raises(UnknownFaultyParticipantOrCoordinatorError) as unknown:
        step2(0, states[0], cmsg1)
    with pytest.raises(FaultyParticipantOrCoordinatorError) as blamed:
        chilldkg.participant_investigate(
            SECKEYS[0], unknown.value, chilldkg.coordinator_investigate(messages, PARAMS)[0]
        )
    assert blamed.value.participant == 2


def test_a_sum_of_shares_that_vanishes_is_investigated_like_any_wrong_share() -> None:
    """libsecp256k1 cannot hold the zero; it must end in blame, not in a crash."""
    states, messages = first_messages()
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    pubnonces = CoordinatorMessage1.decode(cmsg1, PARAMS).pubnonces
    pads = decryption_pads(SECKEYS[0], PARAMS, 0, pubnonces)
    vanishing = sum(int.from_bytes(pad.expose(), "big") for pad in pads) % ORDER
    with pytest.raises(UnknownFaultyParticipantOrCoordinatorError):
        step2(0, states[0], cmsg1[:-96] + vanishing.to_bytes(32, "big") + cmsg1[-64:])


def test_an_investigation_of_another_transcript_blames_the_coordinator() -> None:
    states, messages = first_messages()
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    with pytest.raises(UnknownFaultyParticipantOrCoordinatorError) as unknown:
        step2(0, states[0], cmsg1[:-96] + bytes(32) + cmsg1[-64:])
    cinv = chilldkg.coordinator_investigate(messages, PARAMS)[0]
    with pytest.raises(FaultyCoordinatorError, match="encrypted shares do not add up"):
        chilldkg.participant_investigate(SECKEYS[0], unknown.value, cinv)
    with pytest.raises(FaultyCoordinatorError, match="malformed"):
        chilldkg.participant_investigate(SECKEYS[0], unknown.value, b"\xff" * len(cinv))
    with pytest.raises(MessageLengthError):
        chilldkg.participant_investigate(SECKEYS[0], unknown.value, cinv + b"\x00")


def test_a_participant_that_never_gets_the_certificate_recovers_from_anothers_data() -> None:
    states, messages = first_messages()
    coordinator, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    second = [step2(holder, state, cmsg1) for holder, state in enumerate(states)]
    cmsg2, _, recovery_data = chilldkg.coordinator_finalize(coordinator, [signature for _, signature in second])
    finished, _ = chilldkg.participant_finalize(second[0][0], cmsg2)
    recovered, params = chilldkg.recover(SECKEYS[1], recovery_data)
    assert params == PARAMS
    assert recovered.threshold_pubkey == finished.threshold_pubkey
    assert recovered.secshare is not None
    assert recovered.secshare.public() == finished.pubshares[1]


def test_a_failed_finalisation_can_be_tried_with_the_right_certificate() -> None:
    states, messages = first_messages()
    coordinator, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    second = [step2(holder, state, cmsg1) for holder, state in enumerate(states)]
    cmsg2, _, _ = chilldkg.coordinator_finalize(coordinator, [signature for _, signature in second])
    with pytest.raises(FaultyCoordinatorError):
        chilldkg.participant_finalize(second[0][0], bytes(64) + cmsg2[64:])
    chilldkg.participant_finalize(second[0][0], cmsg2)


def test_recovery_acknowledgements_count_for_one_participant_and_one_transcript() -> None:
    group, other = group_of(2, 3), run_key_generation(2, 3, "another")
    signature = chilldkg.recovery_acknowledgement_sign(group.seckeys[1], group.recovery_data, fixed_bytes("aux"))
    verify = chilldkg.recovery_acknowledgement_verify
    assert verify(group.params, 1, group.recovery_data, signature)
    assert not verify(group.params, 0, group.recovery_data, signature)
    assert not verify(group.params, 1, other.recovery_data, signature)
    assert not verify(group.params, 3, group.recovery_data, signature)
    assert not verify(group.params, -2, group.recovery_data, signature)
    assert not verify(group.params, 1, group.recovery_data, signature[:-1])
    assert not bip340.verify(group.params.hostpubkeys[1][1:], group.recovery_data, signature)


def test_recovery_is_acknowledged_only_by_who_can_recover() -> None:
    group = group_of(2, 3)
    stranger = SecretScalar.from_bytes(fixed_bytes("stranger"))
    with pytest.raises(HostSeckeyError):
        chilldkg.recovery_acknowledgement_sign(stranger, group.recovery_data, bytes(32))
    with pytest.raises(RecoveryDataError):
        chilldkg.recovery_acknowledgement_sign(group.seckeys[0], group.recovery_data[:-1], bytes(32))
    with pytest.raises(InvalidInput):
        chilldkg.recovery_acknowledgement_sign(group.seckeys[0], group.recovery_data, bytes(31))


@pytest.mark.parametrize("data", [b"", bytes(4), b"\xff" * 4, b"\xff" * 600, bytes(166)])
def test_senseless_recovery_data_is_refused(data: bytes) -> None:
    with pytest.raises(RecoveryDataError):
        chilldkg.recover(None, data)


def test_the_chain_code_comes_from_the_certified_transcript() -> None:
    group = group_of(2, 3)
    transcript = chilldkg.transcript_bytes(group.recovery_data)
    assert group.recovery_data == transcript + group.recovery_data[-64 * 3 :]
    assert chilldkg.chain_code(transcript) == bip340.tagged_hash("strongroom/chaincode", transcript)
    with pytest.raises(RecoveryDataError):
        chilldkg.transcript_bytes(group.recovery_data[:-64] + bytes(64))


def test_the_generated_key_commits_to_no_script() -> None:
    group = group_of(2, 3)
    transcript = chilldkg.transcript_bytes(group.recovery_data)
    untweaked = Point.parse(transcript[4:37])
    tweak = int.from_bytes(bip340.tagged_hash("TapTweak", untweaked.xonly()), "big")
    assert untweaked.plus_generator_times(tweak).serialise() == group.threshold_pubkey


def certified(transcript: Transcript) -> bytes:
    """Recovery data that all participants signed together, whatever it says."""
    eq_input = transcript.encode()
    signatures = [
        bip340.sign(key, certificate_bytes(holder, eq_input), bytes(32)) for holder, key in enumerate(SECKEYS)
    ]
    return eq_input + b"".join(signatures)


def some_transcript(*commitments: Point) -> Transcript:
    nonce = Point.generator_times(11).serialise()
    return Transcript(params=PARAMS, commitments=commitments, pubnonces=(nonce,) * 3, encrypted_shares=(1, 2, 3))


def test_recovery_data_that_all_conspired_to_sign_is_still_checked() -> None:
    term = Point.generator_times(7)
    with pytest.raises(RecoveryDataError, match="cancel out"):
        chilldkg.recover(None, certified(some_transcript(INFINITY, term)))
    consistent = certified(some_transcript(term, term))
    public, _ = chilldkg.recover(None, consistent)
    assert public.secshare is None
    with pytest.raises(RecoveryDataError, match="does not match"):
        chilldkg.recover(SECKEYS[0], consistent)
    with pytest.raises(RecoveryDataError, match="does not match"):
        chilldkg.recovery_acknowledgement_sign(SECKEYS[0], consistent, bytes(32))
    malformed = dataclasses.replace(some_transcript(term, term), pubnonces=(b"\x04" * 33,) * 3)
    with pytest.raises(RecoveryDataError, match="cannot be decrypted"):
        chilldkg.recover(SECKEYS[0], certified(malformed))


def test_a_public_share_at_infinity_is_refused() -> None:
    """Whoever knows all shares dealt to one participant can make them add up to nothing."""
    term = Point.generator_times(7)
    (tweaked, _), _ = commit_to_no_script((term, term))
    for participant in range(3):
        # f(x) = a * (1 - x / (participant + 1)) is zero for this participant.
        slope = tweaked * -pow(participant + 1, -1, ORDER)
        with pytest.raises(RecoveryDataError, match=f"participant {participant} or the coordinator"):
            chilldkg.recover(None, certified(some_transcript(term, slope)))


def test_malleability_an_encrypted_share_has_one_encoding() -> None:
    """A scalar at or above the group order is refused where it comes in, not reduced."""
    states, messages = first_messages()
    large = ORDER.to_bytes(32, "big")
    with pytest.raises(FaultyParticipantError, match="group order") as blamed:
        chilldkg.coordinator_step1([messages[0], messages[1][:-32] + large, messages[2]], PARAMS)
    assert blamed.value.participant == 1
    _, cmsg1 = chilldkg.coordinator_step1(messages, PARAMS)
    with pytest.raises(FaultyCoordinatorError, match="group order"):
        step2(0, states[0], cmsg1[:-32] + large)
    term = Point.generator_times(7)
    unreduced = dataclasses.replace(some_transcript(term, term), encrypted_shares=(1, 2, ORDER))
    with pytest.raises(RecoveryDataError, match="group order"):
        chilldkg.recover(None, certified(unreduced))
