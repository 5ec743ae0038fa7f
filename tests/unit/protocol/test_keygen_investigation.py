"""Who dealt a wrong share: what a holder finds out, what the coordinator makes of it, and what is proven to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from keygen_world import Generation
from protocol_group import host_key
from strongroom.crypto import chilldkg
from strongroom.crypto.chilldkg_messages import CoordinatorMessage1, InvestigationMessage, ParticipantMessage1
from strongroom.crypto.curve import GENERATOR, ORDER, Point
from strongroom.protocol import keygen_coordinator as coordinator
from strongroom.protocol import keygen_participant as participant
from strongroom.protocol.keygen import SILENCE_MS, Fault, KeygenRefused, proven


def dealing_wrong(generation: Generation, dealer: str, *victims: str) -> None:
    """The dealer encrypts a share to each victim that does not match what it committed to."""
    params, signers = generation.terms.params, generation.terms.signers

    def tamper(event: coordinator.Event) -> coordinator.Event:
        if not isinstance(event, coordinator.Round1Arrived) or event.signer != dealer:
            return event
        dealt = ParticipantMessage1.decode(event.message, params, signers.index(dealer))
        shares = tuple(
            (share + (name in victims)) % ORDER for name, share in zip(signers, dealt.encrypted_shares, strict=True)
        )
        return replace(event, message=replace(dealt, encrypted_shares=shares).encode())

    generation.tamper = tamper


@pytest.mark.parametrize(("n", "t"), [(3, 2), (5, 3)])
@pytest.mark.attack(
    line="holders",
    title="a wrong encrypted share dealt to one other holder",
    origin="on paper: a participant that stops every key generation and is never named",
)
def test_who_deals_a_wrong_share_is_named_by_the_holder_that_got_it(n: int, t: int) -> None:
    generation = Generation(n, t)
    dealing_wrong(generation, "s3", "s2")
    failed = generation.failed()
    assert (failed.suspects, failed.fault, failed.found_by) == (("s3",), Fault.HOLDER_OR_COORDINATOR, "s2")
    assert generation.findings["s2"].suspect == 2
    words = proven(failed.fault, failed.suspects, failed.found_by)
    assert words.startswith("proven to s2 alone: s3 is at fault, or the coordinator")
    assert words.endswith("s3 is, or s2")


def test_a_wrong_share_for_all_others_ends_the_attempt_once() -> None:
    generation = Generation()
    dealing_wrong(generation, "s1", "s2", "s3")
    failed = generation.failed()
    assert (failed.suspects, failed.found_by) == (("s1",), "s2")
    assert [type(item) for item in generation.commands_seen].count(coordinator.AttemptFailed) == 1


def test_the_next_attempt_starts_fresh_and_succeeds_when_the_share_is_right() -> None:
    generation = Generation()
    dealing_wrong(generation, "s3", "s2")
    generation.failed()
    assert Generation(attempt=2).generated()


@pytest.mark.attack(
    line="coordinator",
    title="an encrypted share garbled on its way in a key generation",
    origin="on paper: a coordinator that stops key generations and has a holder blamed for it",
)
def test_a_coordinator_that_garbles_a_share_is_found_at_fault_by_its_own_investigation_message() -> None:
    """What the holders dealt does not add up to what was sent on; to show that it would, it must accuse one of them."""
    generation = Generation()
    params = generation.terms.params
    for event in generation.answers(generation.waiting.pop(0)):
        generation.state, commands = coordinator.step(generation.state, event)
        generation.waiting += commands
    (sent,) = generation.waiting
    assert isinstance(sent, coordinator.SendRound2)
    honest = CoordinatorMessage1.decode(sent.message, params)
    garbled = replace(honest, encrypted_shares=tuple((share + 1) % ORDER for share in honest.encrypted_shares))
    complaint = generation.second("s2", garbled.encode())
    assert isinstance(complaint, coordinator.ComplaintArrived)
    dealt = [generation.state.firsts[name] for name in generation.terms.signers]
    message = chilldkg.coordinator_investigate(dealt, params)[1]
    attempt, key = generation.holders["s2"], host_key("s2")
    finding = participant.investigate(attempt, message, host_key=key, now_ms=0)
    assert (finding.fault, finding.suspect) == (Fault.COORDINATOR, None)
    accusing = altered(message, generation, at=2, shift=1)
    finding = participant.investigate(attempt, accusing, host_key=key, now_ms=0)
    assert (finding.fault, finding.suspect) == (Fault.HOLDER_OR_COORDINATOR, 2)


def test_a_complaint_of_values_that_were_never_sent_names_who_complains() -> None:
    generation = Generation()
    generation.tamper = lambda event: (
        coordinator.ComplaintArrived(signer="s1", encrypted_share=bytes(32), pubshare=bytes(33), now_ms=0)
        if isinstance(event, coordinator.Round2Arrived) and event.signer == "s1"
        else event
    )
    failed = generation.failed()
    assert (failed.suspects, failed.fault) == (("s1",), Fault.HOLDER)
    assert "other values than it was sent" in failed.failure


def disputed() -> tuple[Generation, coordinator.Investigate]:
    """An attempt in which s2 complained of a share from s3 and waits for its investigation message."""
    generation = Generation()
    dealing_wrong(generation, "s3", "s2")
    while not isinstance(generation.waiting[0], coordinator.Investigate):
        command = generation.waiting.pop(0)
        for event in generation.answers(command):
            changed = generation.tamper(event)
            assert changed is not None
            generation.state, commands = coordinator.step(generation.state, changed)
            generation.waiting += commands
    investigate = generation.waiting[0]
    assert investigate.signer == "s2"
    return generation, investigate


def altered(message: bytes, generation: Generation, *, at: int, shift: int) -> bytes:
    """An investigation message with one encrypted share moved, the sum kept right by another one if there is one."""
    told = InvestigationMessage.decode(message, generation.terms.params)
    shares = list(told.encrypted_shares)
    shares[at] = (shares[at] + shift) % ORDER
    return replace(told, encrypted_shares=tuple(shares)).encode()


def with_points_swapped(message: bytes, generation: Generation) -> bytes:
    told = InvestigationMessage.decode(message, generation.terms.params)
    points: tuple[Point, ...] = (told.pubshares[0] + GENERATOR, *told.pubshares[1:])
    return replace(told, pubshares=points).encode()


@pytest.mark.parametrize(
    "garble",
    [
        lambda message, generation: message[:-1],
        lambda message, generation: b"\xff" * len(message),
        lambda message, generation: altered(message, generation, at=0, shift=1),
        with_points_swapped,
    ],
    ids=["short", "no scalars", "shares that do not add up", "points that do not add up"],
)
@pytest.mark.attack(
    line="coordinator",
    title="an investigation message that contradicts the round before",
    origin="on paper: a coordinator that steers the investigation to blame an honest holder",
)
def test_a_coordinator_that_garbles_the_investigation_proves_its_own_fault_to_the_holder(
    garble: Callable[[bytes, Generation], bytes],
) -> None:
    generation, investigate = disputed()
    message = garble(investigate.message, generation)
    finding = participant.investigate(generation.holders["s2"], message, host_key=host_key("s2"), now_ms=0)
    assert (finding.fault, finding.suspect) == (Fault.COORDINATOR, None)
    state, (failed,) = coordinator.step(
        generation.state, coordinator.VerdictArrived(signer="s2", fault=finding.fault, suspect=None, now_ms=0)
    )
    assert isinstance(failed, coordinator.AttemptFailed)
    assert (failed.suspects, failed.found_by) == ((), "s2")
    words = proven(failed.fault, failed.suspects, failed.found_by)
    assert words == ("proven to s2 alone: the coordinator is at fault; if it is not, the coordinator knows that s2 is")
    assert state.outcome == failed


def test_a_coordinator_can_turn_suspicion_but_a_holder_never_takes_its_word_as_more() -> None:
    """A share moved onto the account of another keeps the sums right; then that one is named, or the coordinator."""
    generation, investigate = disputed()
    message = altered(altered(investigate.message, generation, at=0, shift=1), generation, at=2, shift=ORDER - 1)
    finding = participant.investigate(generation.holders["s2"], message, host_key=host_key("s2"), now_ms=0)
    assert (finding.fault, finding.suspect) == (Fault.HOLDER_OR_COORDINATOR, 0)


def test_a_share_from_oneself_that_was_altered_is_the_coordinators_fault() -> None:
    generation, investigate = disputed()
    message = altered(altered(investigate.message, generation, at=1, shift=1), generation, at=2, shift=ORDER - 1)
    finding = participant.investigate(generation.holders["s2"], message, host_key=host_key("s2"), now_ms=0)
    assert finding.fault is Fault.COORDINATOR


@pytest.mark.attack(
    line="holders",
    title="a false complaint of a wrong share",
    origin="on paper: a participant that complains to have an honest one blamed",
)
def test_a_false_complaint_leaves_two_suspects_or_blames_its_sender() -> None:
    """The coordinator knows no more than that one of two lies; a verdict that cannot be shows which."""
    generation = Generation()

    def complain(event: coordinator.Event) -> coordinator.Event:
        if isinstance(event, coordinator.Round2Arrived) and event.signer == "s1":
            assert generation.state.dealt is not None
            received = chilldkg.investigation_of(generation.state.dealt.transcript, 0).received
            return coordinator.ComplaintArrived(
                signer="s1", encrypted_share=received[0], pubshare=received[1], now_ms=0
            )
        return event

    generation.tamper = complain
    while not any(isinstance(item, coordinator.Investigate) for item in generation.waiting):
        command = generation.waiting.pop(0)
        for event in generation.answers(command):
            generation.state, commands = coordinator.step(generation.state, complain(event))
            generation.waiting += commands
    accusing = coordinator.VerdictArrived(signer="s1", fault=Fault.HOLDER_OR_COORDINATOR, suspect=1, now_ms=0)
    _, (failed,) = coordinator.step(generation.state, accusing)
    assert isinstance(failed, coordinator.AttemptFailed)
    assert (failed.suspects, failed.fault, failed.found_by) == (("s2",), Fault.HOLDER_OR_COORDINATOR, "s1")
    assert "s2 is, or s1" in proven(failed.fault, failed.suspects, failed.found_by)
    for nonsense in (replace(accusing, suspect=0), replace(accusing, suspect=9), replace(accusing, fault=Fault.HOLDER)):
        _, (failed,) = coordinator.step(generation.state, nonsense)
        assert isinstance(failed, coordinator.AttemptFailed)
        assert (failed.suspects, failed.fault) == (("s1",), Fault.HOLDER)


def test_a_verdict_without_a_complaint_and_a_second_complaint_change_nothing() -> None:
    generation, _ = disputed()
    state = generation.state
    stranger = coordinator.VerdictArrived(signer="s1", fault=Fault.COORDINATOR, suspect=None, now_ms=0)
    again = coordinator.ComplaintArrived(signer="s2", encrypted_share=bytes(32), pubshare=bytes(33), now_ms=0)
    late = coordinator.Round2Arrived(signer="s2", message=bytes(64), now_ms=0)
    early = coordinator.ComplaintArrived(signer="s1", encrypted_share=bytes(32), pubshare=bytes(33), now_ms=0)
    for event in (stranger, again, late):
        assert coordinator.step(state, event) == (state, ())
    assert coordinator.step(Generation().state, early)[1] == ()


def test_a_complainer_that_falls_silent_is_the_one_that_is_named() -> None:
    generation, _ = disputed()
    generation.waiting.clear()
    _, (failed,) = coordinator.step(generation.state, coordinator.DeadlinePassed(now_ms=SILENCE_MS + 1))
    assert isinstance(failed, coordinator.AttemptFailed)
    assert (failed.suspects, failed.fault) == (("s2",), Fault.UNPROVEN)


def test_a_holder_investigates_only_what_it_disputes_and_not_after_silence() -> None:
    generation, investigate = disputed()
    with pytest.raises(KeygenRefused):
        participant.investigate(generation.holders["s1"], investigate.message, host_key=host_key("s1"), now_ms=0)
    with pytest.raises(KeygenRefused, match="silent"):
        participant.investigate(
            generation.holders["s2"], investigate.message, host_key=host_key("s2"), now_ms=SILENCE_MS + 1
        )


def test_every_fault_says_to_whom_it_is_proven() -> None:
    assert proven(Fault.UNPROVEN, ("s1",), "") == "nothing is proven"
    assert proven(Fault.HOLDER, ("s1",), "") == "proven to the coordinator alone: s1 is at fault"
    assert proven(Fault.OWN_MACHINE, ("s1",), "s1") == "proven to s1 alone: its own machine computes wrongly"
