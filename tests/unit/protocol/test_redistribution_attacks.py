"""Dishonest dealers, receivers and coordinators of a redistribution: whatever they do, the old shares stay good."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import slow_redistribution as slow
from protocol_group import host_key
from protocol_world import signing_key
from redistribution_world import Ceremony, names, numbered
from strongroom.crypto import redistribution as crypto
from strongroom.crypto.chilldkg_errors import HostSeckeyError, RecoveryDataError
from strongroom.crypto.errors import InvalidContribution, InvalidInput
from strongroom.crypto.redistribution_errors import RedistributionInputError, TooFewDealersError
from strongroom.ledger import codec
from strongroom.ledger.key_material import public_shares
from strongroom.ledger.recovery import decode_recovery
from strongroom.ledger.signed_messages import Dealing
from strongroom.protocol import redistribution as signer
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol.keygen import Fault
from strongroom.protocol.redistribution import DealingsDisputed
from strongroom.protocol.redistribution_state import Step
from strongroom.protocol.redistribution_terms import RedistributionRefused
from strongroom.protocol.share_recovery import share_of
from strongroom.protocol.signed import BadSignedBody, SignedBody, sign_body
from strongroom.protocol.trials import TrialFailed, Trials

FORGIVE = "forget-and-forgive (Aumasson, Shlomovits 2020): some receivers get bad shares and others drop old ones"
REPLAY = "CVE-2022-47930: proofs of one session replayed in another"
SPLIT_VIEW = "split view: some parties think that the redistribution succeeded, with another transcript"
RAISING = "Trail of Bits 2024 (wsts #87 and others): a longer commitment vector raises the threshold"
ROGUE_KEY = "rogue key: the last mover cancels the others' contributions"
FRAMED = "on paper: a dealer is blamed for what it did not deal"
SUBSTITUTED = "ChillDKG: host keys are compared through the params hash"
MALFORMED = "on paper: a part that does not verify"
FEW = "on paper: a reshare that does not count its dealers"


def signed_again(ceremony: Ceremony, dealing: SignedBody, *, by: str, **change: Any) -> SignedBody:
    """A changed dealing under a genuine signature."""
    body = codec.decode(Dealing, dealing.body, max_size=10_000)
    return sign_body("dealing", replace(body, **change), signing_key(by))


def spoilt(dealing: SignedBody, *, by: str, receiver: int) -> SignedBody:
    """The same with a wrong share for one receiver, signed by its dealer."""
    body = codec.decode(Dealing, dealing.body, max_size=10_000)
    shares = list(body.encrypted_shares)
    shares[receiver] = bytes(31) + b"\x05"
    return sign_body("dealing", replace(body, encrypted_shares=tuple(shares)), signing_key(by))


def tampering(ceremony: Ceremony, name: str, change: Callable[[SignedBody], SignedBody]) -> None:
    """Have one dealer send another dealing than its own."""

    def tamper(event: events.Event) -> events.Event:
        if isinstance(event, events.DealingArrived) and event.signer == name:
            return replace(event, dealing=change(event.dealing))
        return event

    ceremony.tamper = tamper


def still_the_same_key(ceremony: Ceremony, done: events.Completed) -> None:
    shares = numbered(ceremony.after(done), ceremony.terms.signers)
    for part in slow.subsets(shares, ceremony.terms.threshold):
        assert slow.at_zero(part) == ceremony.before.secret


# --- dealers ---------------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    line="holders", title="bad shares to some new holders while others would drop their old ones", origin=FORGIVE
)
def test_a_dealer_that_cheats_one_receiver_is_left_out_and_all_end_in_one_epoch() -> None:
    ceremony = Ceremony()
    tampering(ceremony, "s1", lambda dealing: spoilt(dealing, by="s1", receiver=2))
    done = ceremony.completed()
    left_out = ceremony.state.left_out["s1"]
    assert (left_out.fault, left_out.found_by) == (Fault.HOLDER_OR_COORDINATOR, ("s3",))
    assert ceremony.state.chosen == ("s2", "s3")
    still_the_same_key(ceremony, done)
    sent = [command for command in ceremony.commands_seen if isinstance(command, events.AskDealing)]
    assert len(sent) == 1, "nobody has to deal again because another was bad"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            lambda body: {"commitments": (*body.commitments, body.commitments[0])},
            "commitments",
            id="longer",
            marks=pytest.mark.attack(
                line="holders", title="a signed dealing that would raise the threshold", origin=RAISING
            ),
        ),
        pytest.param(
            lambda body: {"commitments": ()},
            "commitments",
            id="shorter",
            marks=pytest.mark.attack(
                line="holders", title="a signed dealing that would lower the threshold", origin=RAISING
            ),
        ),
        pytest.param(
            lambda body: {"pubnonce": bytes(33)},
            "malformed",
            id="identity",
            marks=pytest.mark.attack(
                line="holders", title="a signed dealing with the identity as its encryption nonce", origin=MALFORMED
            ),
        ),
        pytest.param(
            lambda body: {"encrypted_shares": body.encrypted_shares[:-1]},
            "encrypted shares",
            id="few",
            marks=pytest.mark.attack(
                line="holders", title="a signed dealing that leaves a new holder out", origin=MALFORMED
            ),
        ),
    ],
)
def test_a_malformed_dealing_is_proven_bad_by_its_signature(change: Any, says: str) -> None:
    ceremony = Ceremony()

    def malform(dealing: SignedBody) -> SignedBody:
        body = codec.decode(Dealing, dealing.body, max_size=10_000)
        return signed_again(ceremony, dealing, by="s2", **change(body))

    tampering(ceremony, "s2", malform)
    still_the_same_key(ceremony, ceremony.completed())
    assert ceremony.state.left_out["s2"].fault is Fault.HOLDER
    assert says in ceremony.state.left_out["s2"].problem
    # A receiver that is sent it nevertheless sees it too, and that anybody would.
    bad = malform(ceremony.deal("s2"))
    with pytest.raises(DealingsDisputed) as caught:
        ceremony.receive("s1", [ceremony.deal("s1"), bad])
    assert [(fault.dealer, fault.is_public) for fault in caught.value.faults] == [("s2", True)]


def cancelling(ceremony: Ceremony, dealing: SignedBody) -> SignedBody:
    """The dealing of s3 with a commitment that cancels those of s1 and s2, where these three deal."""
    weights = [slow.at_zero({i: int(i == j) for i in range(3)}) for j in range(3)]
    others = [codec.decode(Dealing, ceremony.state.dealings[name].body) for name in ("s1", "s2")]
    total = None
    for weight, body in zip(weights[:2], others, strict=True):
        total = slow.add(total, slow.times(weight, slow.decode(body.commitments[0])))
    factor = -pow(weights[2], -1, slow.N) % slow.N
    commitment = slow.encode(slow.times(factor, total))
    return signed_again(ceremony, dealing, by="s3", commitments=(commitment,))


@pytest.mark.attack(line="holders", title="a rogue last dealer cancels the others in a real ceremony", origin=ROGUE_KEY)
def test_a_rogue_last_dealer_is_left_out_and_the_others_go_on() -> None:
    ceremony = Ceremony(2, 3, 2)
    tampering(ceremony, "s3", lambda dealing: cancelling(ceremony, dealing))
    still_the_same_key(ceremony, ceremony.completed())
    assert ceremony.state.chosen == ("s1", "s2")
    assert "cancel" in ceremony.state.left_out["s3"].problem


def test_who_dealt_last_and_was_left_out_before_is_not_taken_for_the_dealer_that_cancels_others() -> None:
    ceremony = Ceremony(2, 4, 2)
    tampering(ceremony, "s3", lambda dealing: cancelling(ceremony, dealing))
    for name in ceremony.holders:
        changed = ceremony.tamper(ceremony.answer(name, ceremony.waiting[0]))
        assert changed is not None
        ceremony.happens(changed)
    assert ceremony.state.chosen == ("s1", "s2", "s3", "s4")
    ceremony.happens(events.Disputed(signer="s1", dealers=("s4",), now_ms=0))
    assert ceremony.state.left_out.keys() == {"s3", "s4"}
    assert "cancel" in ceremony.state.left_out["s3"].problem
    assert ceremony.state.chosen == ("s1", "s2")


@pytest.mark.attack(line="holders", title="a dealer hands in another dealer's dealing as its own", origin=REPLAY)
def test_another_dealers_dealing_is_not_ones_own() -> None:
    ceremony = Ceremony()
    tampering(ceremony, "s3", lambda _: ceremony.state.dealings["s1"])
    still_the_same_key(ceremony, ceremony.completed())
    assert ceremony.state.left_out.keys() == {"s3"}


@pytest.mark.attack(
    line="holders",
    title="a share of an epoch that is over dealt as the current one",
    origin="on paper: shares of two epochs mixed",
)
def test_a_share_of_another_epoch_cannot_be_dealt() -> None:
    ceremony = Ceremony()
    done = ceremony.completed()
    old = ceremony.shares["s1"]
    later = replace(ceremony.terms, public_shares=signer.crypto.public_shares(_transcript(done)), epoch=3)
    with pytest.raises(RedistributionInputError):
        ceremony.deal("s1", later)
    assert old.public() == ceremony.terms.public_shares[0]


def _transcript(done: events.Completed) -> Any:
    source: Any = decode_recovery(done.made.recovery).source
    return source.transcript


# --- receivers -------------------------------------------------------------------------------------------------------


@pytest.mark.attack(line="holders", title="a new holder accuses honest dealers one after the other", origin=FRAMED)
def test_a_receiver_that_accuses_everybody_ends_the_attempt_and_is_named() -> None:
    """It blocks, as it could by silence; the failure says who accused whom, so that an order can leave it out."""
    ceremony = Ceremony(2, 3, 2)

    def accuse(event: events.Event) -> events.Event:
        if isinstance(event, events.StatementArrived) and event.signer == "s3":
            return events.Disputed(signer="s3", dealers=ceremony.state.chosen[:1], now_ms=ceremony.now)
        return event

    ceremony.tamper = accuse
    failed = ceremony.failure()
    assert failed.suspects == ("s1", "s2", "s3")
    assert all(one.found_by == ("s3",) for one in ceremony.state.left_out.values())
    without = Ceremony(2, 3, 2, absent=("s3",), attempt=2)
    still_the_same_key(without, without.completed())


@pytest.mark.attack(line="holders", title="a new holder accuses nobody, strangers or all at once", origin=FRAMED)
@pytest.mark.parametrize("named", [(), ("x",), ("s9", "")])
def test_an_accusation_of_nobody_costs_nobody_anything(named: tuple[str, ...]) -> None:
    ceremony = Ceremony()
    ceremony.tamper = lambda event: (
        events.Disputed(signer="s3", dealers=named, now_ms=0)
        if isinstance(event, events.StatementArrived) and event.signer == "s3"
        else event
    )
    ceremony.run()
    assert ceremony.state.left_out == {}
    assert coordinator.progress(ceremony.state).awaited == ("s3",)
    ceremony.tamper = lambda event: event
    ceremony.later()
    still_the_same_key(ceremony, ceremony.completed())


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            events.TrialShareArrived,
            marks=pytest.mark.attack(
                line="holders", title="a wrong signature share in the trial of new shares", origin=MALFORMED
            ),
        ),
        pytest.param(
            events.TrialNonceArrived,
            marks=pytest.mark.attack(
                line="holders", title="a wrong nonce in the trial of new shares", origin=MALFORMED
            ),
        ),
    ],
)
def test_a_wrong_trial_contribution_names_its_holder_and_is_asked_for_again(kind: type[events.Event]) -> None:
    ceremony = Ceremony()
    lies = [True]

    def tamper(event: events.Event) -> events.Event:
        if isinstance(event, kind) and event.signer == "s1" and lies:  # type: ignore[union-attr]
            field = "share" if isinstance(event, events.TrialShareArrived) else "nonce"
            return replace(event, **{field: bytes(len(getattr(event, field)))})  # type: ignore[arg-type]
        return event

    ceremony.tamper = tamper
    ceremony.run()
    assert ceremony.state.step is Step.TRYING
    failure = ceremony.state.failures["s1"]
    assert failure.fault is Fault.HOLDER
    ceremony.later()
    assert ceremony.state.step is Step.TRYING
    lies.clear()
    ceremony.later()
    still_the_same_key(ceremony, ceremony.completed())


# --- the coordinator -------------------------------------------------------------------------------------------------

OTHER = hashlib.sha256(b"another").digest()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"log_id": OTHER}, id="log"),
        pytest.param({"order_hash": OTHER}, id="order"),
        pytest.param({"vault": "customer-warm"}, id="vault"),
        pytest.param({"attempt": 2}, id="attempt"),
        pytest.param({"epoch": 3}, id="epoch"),
        pytest.param({"key_hash": OTHER}, id="key"),
        pytest.param({"threshold": 3}, id="threshold"),
        pytest.param({"signers": ("s1", "s2", "n1")}, id="signers"),
    ],
)
@pytest.mark.attack(
    line="coordinator",
    title="a dealing replayed from another log, order, vault, attempt, epoch, key or set of holders",
    origin=REPLAY,
)
def test_a_dealing_of_other_terms_is_refused_and_its_dealer_is_not_blamed(change: dict[str, Any]) -> None:
    ceremony = Ceremony()
    replayed = ceremony.deal("s2", replace(ceremony.terms, **change))
    with pytest.raises((RedistributionRefused, BadSignedBody)):
        ceremony.receive("s1", [ceremony.deal("s1"), replayed])


@pytest.mark.parametrize("field", ["order_hash", "vault", "attempt", "epoch", "terms_hash"])
def test_every_field_that_names_what_a_dealing_is_for_is_compared(field: str) -> None:
    """Also when the others are right: the hash of the terms is not believed alone, nor without it."""
    ceremony = Ceremony()
    other = {"order_hash": OTHER, "vault": "other", "attempt": 2, "epoch": 3, "terms_hash": OTHER}[field]
    odd = signed_again(ceremony, ceremony.deal("s2"), by="s2", **{field: other})
    with pytest.raises(RedistributionRefused, match="another redistribution"):
        ceremony.receive("s1", [ceremony.deal("s1"), odd])


@pytest.mark.attack(line="coordinator", title="a dealing made up under a holder's name", origin=FRAMED)
def test_a_dealing_without_its_dealers_signature_is_nobodys() -> None:
    ceremony = Ceremony()
    genuine = ceremony.deal("s2")
    for forged in (
        signed_again(ceremony, genuine, by="s1"),
        replace(genuine, signature=bytes(64)),
        replace(genuine, body=genuine.body + b"\0"),
        replace(genuine, body=b""),
    ):
        with pytest.raises(BadSignedBody):
            ceremony.receive("s1", [ceremony.deal("s1"), forged])
    stranger = signed_again(ceremony, genuine, by="x", signer="x")
    with pytest.raises(RedistributionRefused, match="no holder that deals"):
        ceremony.receive("s1", [ceremony.deal("s1"), stranger])


@pytest.mark.attack(line="coordinator", title="one dealer's dealings counted twice", origin=FEW)
def test_a_dealer_counts_once() -> None:
    ceremony = Ceremony()
    one = ceremony.deal("s2")
    for second in (one, ceremony.deal("s2")):
        with pytest.raises(RedistributionRefused, match="two dealings"):
            ceremony.receive("s1", [one, second])


@pytest.mark.attack(line="coordinator", title="new holders sent fewer dealings than the threshold", origin=FEW)
def test_receivers_count_the_dealings() -> None:
    ceremony = Ceremony()
    for dealings in ([], [ceremony.deal("s2")]):
        with pytest.raises(TooFewDealersError):
            ceremony.receive("s1", dealings)


@pytest.mark.attack(line="coordinator", title="different dealings shown to different new holders", origin=SPLIT_VIEW)
def test_split_views_give_statements_about_different_shares_and_no_epoch() -> None:
    ceremony = Ceremony()
    one, other = [[ceremony.deal(name) for name in ceremony.holders] for _ in range(2)]
    views = [one, other, [one[0], other[1], one[2]], one[:2]]
    stated = [ceremony.receive("s1", view)[1] for view in views]
    assert len({one.recovery_hash for one in stated}) == len(views)
    assert len({one.key_hash for one in stated}) == len(views)
    assert len({one.signature for one in stated}) == len(views)
    # The same view gives the same words, whoever computes it and in whatever order the dealings come.
    assert ceremony.receive("s2", one[::-1])[1].recovery_hash == stated[0].recovery_hash
    # Shares of two views do not sign together.
    holdings = [ceremony.receive("s1", one)[0], ceremony.receive("s2", other)[0]]
    committed = [signer.trial_commit(item, (0, 1), random32=ceremony.random(32), now_ms=0) for item in holdings]
    nonces = tuple(public for _, public in committed)
    shares = [signer.trial_sign(item, (0, 1), nonces, now_ms=0)[1] for item, _ in committed]
    made = holdings[0].trier.made
    trials = Trials(terms=ceremony.terms, made=made, names=ceremony.holders, subsets=((0, 1),))
    for name, nonce in zip(("s1", "s2"), nonces, strict=True):
        trials = trials.with_nonce((0, 1), name, nonce)
    trials = trials.with_share((0, 1), "s1", shares[0])
    with pytest.raises(TrialFailed) as caught:
        trials.with_share((0, 1), "s2", shares[1])
    assert caught.value.suspect == "s2"


@pytest.mark.attack(
    line="coordinator", title="a new holder's host key exchanged for the coordinator's", origin=SUBSTITUTED
)
def test_an_exchanged_host_key_makes_other_terms() -> None:
    """Dealers take the host keys from the charter in their own log: a request cannot name any."""
    ceremony = Ceremony()
    exchanged = replace(ceremony.terms, host_keys=(*ceremony.terms.host_keys[:2], host_key("coordinator").public()))
    assert exchanged.hash != ceremony.terms.hash
    with pytest.raises(RedistributionRefused):
        ceremony.receive("s1", [ceremony.deal(name, exchanged) for name in ceremony.holders])


@pytest.mark.attack(
    line="coordinator",
    title="a trial of new shares with another nonce, another subset, or twice",
    origin="on paper: a signature without a plan is asked for under the name of a ceremony",
)
def test_a_trial_signs_its_own_message_with_its_own_nonce_once() -> None:
    ceremony = Ceremony()
    dealings = [ceremony.deal(name) for name in ceremony.holders]
    holding, _ = ceremony.receive("s2", dealings)
    foreign, _ = ceremony.receive("s1", dealings)
    _, other_nonce = signer.trial_commit(foreign, (0, 1), random32=ceremony.random(32), now_ms=0)
    for nonces in ((other_nonce, other_nonce), (other_nonce, b""), (other_nonce,)):
        ready, nonce = signer.trial_commit(holding, (0, 1), random32=ceremony.random(32), now_ms=0)
        with pytest.raises((InvalidInput, InvalidContribution)):
            signer.trial_sign(ready, (0, 1), nonces, now_ms=0)
        # The nonce is gone with the attempt to misuse it.
        with pytest.raises(InvalidInput):
            signer.trial_sign(ready, (0, 1), (other_nonce, nonce), now_ms=0)


@pytest.mark.attack(
    line="coordinator",
    title="a redistribution stopped at any message, before anybody has a new share",
    origin=FORGIVE,
)
def test_a_ceremony_that_stops_anywhere_leaves_every_old_share_as_it_was() -> None:
    """No step of a signer changes or removes what it had: only the logged epoch does, when it is final."""
    ceremony = Ceremony()
    before = {name: share.public() for name, share in ceremony.shares.items()}
    while ceremony.waiting:
        command = ceremony.waiting.pop(0)
        for name in ceremony.asked(command):
            ceremony.happens(ceremony.answer(name, command))
            assert {holder: share.public() for holder, share in ceremony.shares.items()} == before
            assert not any(share.wiped for share in ceremony.shares.values())
    assert slow.at_zero(dict(list(ceremony.before.shares.items())[:2])) == ceremony.before.secret
    assert names(3) == ceremony.holders


# --- words that were replaced ----------------------------------------------------------------------------------------


@pytest.mark.attack(
    line="machine",
    title="all old word sheets together with everything stored, after host keys were replaced",
    origin="on paper: words stolen over the years open the shares of one and the same epoch",
)
def test_replaced_words_open_nothing_that_is_stored() -> None:
    """What is stored is the recovery data of the current epoch; a thief may have kept every dealing as well."""
    ceremony = Ceremony()
    fresh = {name: host_key(f"new words of {name}") for name in ceremony.holders}
    terms = replace(ceremony.terms, host_keys=tuple(key.public() for key in fresh.values()))
    dealings = [ceremony.deal(name, terms) for name in ceremony.holders]
    opened = dict(signer.open_dealing(terms, dealing, ceremony.vote_keys) for dealing in dealings)
    transcript = crypto.combine(terms.params, opened)
    made = signer.made_of(terms, transcript)
    for position, name in enumerate(ceremony.holders):
        with share_of(fresh[name], made.recovery) as share:
            assert share.public() == public_shares(made.key)[position]
        with host_key(name) as old_words:
            with pytest.raises(HostSeckeyError):
                share_of(old_words, made.recovery)
            # Nor with its old host key written into the data: the pad is of the new one.
            keys = list(terms.host_keys)
            keys[position] = old_words.public()
            forged = replace(transcript, receivers=replace(transcript.receivers, hostpubkeys=tuple(keys)))
            with pytest.raises(RecoveryDataError):
                crypto.recover(old_words, forged)
            with pytest.raises(HostSeckeyError):
                crypto.receive(old_words, terms.params, opened)
