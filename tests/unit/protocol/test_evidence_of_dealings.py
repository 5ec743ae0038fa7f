"""A dealing that does not fit the terms it names convicts its dealer before anybody; one that fits convicts nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evidence_world import Case
from protocol_world import signing_key
from redistribution_world import Ceremony
from strongroom.crypto.bip340 import tagged_hash
from strongroom.crypto.curve import GENERATOR, ORDER
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Dealing
from strongroom.protocol import redistribution_events as events
from strongroom.protocol.evidence import EvidenceInvalid, Fault, verify_evidence
from strongroom.protocol.evidence_records import malformed_dealing
from strongroom.protocol.redistribution_terms import terms_hash
from strongroom.protocol.signed import SignedBody, sign_body

POINT = GENERATOR.serialise()
FRAMED = "on paper: a dealer is blamed for what it did not deal"
RAISING = "Trail of Bits 2024 (wsts #87 and others): a longer commitment vector raises the threshold"


class Dealt:
    """Records of what s1 dealt."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.terms = case.dealing_terms

    def record(self, dealing: SignedBody, *, terms: bytes | None = None, charter: bytes | None = None) -> bytes:
        return malformed_dealing(
            charter=charter or self.case.world.charter_bytes,
            dealing=dealing,
            terms=self.terms.encoded if terms is None else terms,
        )

    def refusal(self, data: bytes) -> str:
        with pytest.raises(EvidenceInvalid) as caught:
            verify_evidence(data, log_id=self.case.world.log_id)
        return caught.value.message


@pytest.fixture(scope="module")
def dealt() -> Dealt:
    return Dealt(Case())


@pytest.mark.attack(
    line="holders", title="a dealing with more or fewer points than its threshold takes, signed", origin=RAISING
)
@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"commitments": (POINT, POINT)}, "it has 2 commitments, and a threshold of 2 takes 1"),
        ({"commitments": ()}, "it has 0 commitments, and a threshold of 2 takes 1"),
        ({"commitments": (bytes(33),)}, "it is malformed"),
        ({"commitments": (b"\x05" + POINT[1:],)}, "it is malformed"),
        ({"pubnonce": bytes(33)}, "it is malformed"),
        ({"encrypted_shares": (bytes(32),) * 2}, "it has 2 encrypted shares for 3 new holders"),
        ({"encrypted_shares": (bytes(32),) * 4}, "it has 4 encrypted shares for 3 new holders"),
        ({"encrypted_shares": (bytes(32), ORDER.to_bytes(32, "big"), bytes(32))}, "it is malformed"),
    ],
)
def test_a_malformed_dealing_names_its_dealer(dealt: Dealt, parts: dict[str, Any], said: str) -> None:
    data = dealt.record(dealt.case.dealing(**parts))
    proven = verify_evidence(data, log_id=dealt.case.world.log_id)
    assert (proven.signer, proven.fault, proven.term, proven.plan_hash) == ("s1", Fault.MALFORMED_DEALING, 0, b"")
    assert proven.detail.startswith(f"its dealing for epoch 2 of customer-1: {said}")


@pytest.mark.attack(line="coordinator", title="an honest dealing shown as a malformed one", origin=FRAMED)
def test_an_honest_dealing_is_no_evidence(dealt: Dealt) -> None:
    assert "in order" in dealt.refusal(dealt.record(dealt.case.dealing()))


@pytest.mark.attack(line="coordinator", title="an honest dealing judged by other terms than its own", origin=FRAMED)
@pytest.mark.parametrize("change", [{"threshold": 3}, {"attempt": 2}, {"signers": ("s1", "s2", "stranger")}])
def test_a_dealing_is_judged_by_the_terms_it_names(dealt: Dealt, change: dict[str, Any]) -> None:
    other = replace(dealt.terms, **change)
    assert "other terms" in dealt.refusal(dealt.record(dealt.case.dealing(), terms=other.encoded))
    # Under its own terms it is judged, whatever they are.
    own = dealt.case.dealing(terms=replace(dealt.terms, threshold=3))
    assert "in order" in dealt.refusal(dealt.record(own, terms=replace(dealt.terms, threshold=3).encoded))


def test_terms_that_are_none_prove_nothing(dealt: Dealt) -> None:
    junk = b"no terms"
    named = dealt.case.dealing(terms_hash=terms_hash(junk), commitments=())
    assert "does not hold" in dealt.refusal(dealt.record(named, terms=junk))


@pytest.mark.attack(line="holders", title="a malformed dealing signed in another holder's name", origin=FRAMED)
def test_a_malformed_dealing_that_another_key_signed_names_nobody(dealt: Dealt) -> None:
    assert "does not verify" in dealt.refusal(dealt.record(dealt.case.dealing(by="s2", commitments=())))
    stranger = dealt.case.dealing(signer="stranger", commitments=())
    assert "no signer of this log" in dealt.refusal(dealt.record(stranger))


def test_a_malformed_dealing_of_another_log_proves_nothing(dealt: Dealt) -> None:
    elsewhere = dealt.case.dealing(log_id=bytes(32), commitments=())
    assert "does not hold" in dealt.refusal(dealt.record(elsewhere))


def test_the_hash_of_terms_is_a_tagged_hash_of_their_canonical_bytes(dealt: Dealt) -> None:
    tagged = tagged_hash("strongroom/redistribution/terms", dealt.terms.encoded)
    assert tagged == dealt.terms.hash == codec.decode(Dealing, dealt.case.dealing().body).terms_hash


# --- the coordinator -------------------------------------------------------------------------------------------------


def blamed(ceremony: Ceremony) -> list[tuple[str, SignedBody]]:
    seen = ceremony.commands_seen
    return [(command.dealer, command.dealing) for command in seen if isinstance(command, events.Blame)]


def sending(ceremony: Ceremony, name: str, dealing: SignedBody) -> None:
    """Have one dealer send this."""

    def tamper(event: events.Event) -> events.Event:
        is_its = isinstance(event, events.DealingArrived) and event.signer == name
        return replace(event, dealing=dealing) if is_its else event

    ceremony.tamper = tamper


def test_the_coordinator_blames_who_dealt_what_everybody_sees_to_be_wrong() -> None:
    ceremony = Ceremony(2, 3)
    honest = codec.decode(Dealing, ceremony.deal("s2").body)
    wrong = sign_body("dealing", replace(honest, commitments=()), signing_key("s2"))
    sending(ceremony, "s2", wrong)
    ceremony.completed()
    assert blamed(ceremony) == [("s2", wrong)]


def test_whoever_sends_anothers_malformed_dealing_is_left_out_and_only_its_dealer_is_blamed() -> None:
    ceremony = Ceremony(2, 3)
    honest = codec.decode(Dealing, ceremony.deal("s2").body)
    wrong = sign_body("dealing", replace(honest, commitments=()), signing_key("s2"))
    sending(ceremony, "s3", wrong)
    ceremony.completed()
    assert blamed(ceremony) == [("s2", wrong)]
    assert ceremony.state.left_out.keys() == {"s3"}


@pytest.mark.parametrize("parts", [{"attempt": 7}, {"order_hash": bytes(32)}])
def test_the_coordinator_blames_nobody_for_a_dealing_of_another_redistribution(parts: dict[str, Any]) -> None:
    ceremony = Ceremony(2, 3)
    honest = codec.decode(Dealing, ceremony.deal("s2").body)
    other = sign_body("dealing", replace(honest, commitments=(), **parts), signing_key("s2"))
    sending(ceremony, "s2", other)
    ceremony.completed()
    assert blamed(ceremony) == []
    assert ceremony.state.left_out.keys() == {"s2"}


def test_the_coordinator_blames_nobody_for_what_no_key_signed() -> None:
    ceremony = Ceremony(2, 3)
    honest = ceremony.deal("s2")
    body = replace(codec.decode(Dealing, honest.body), commitments=())
    sending(ceremony, "s2", SignedBody(body=codec.encode(body), signature=honest.signature))
    ceremony.completed()
    assert blamed(ceremony) == []
