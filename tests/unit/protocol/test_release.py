"""Commitments, shares, and blame that a third party can check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import protocol_group
from protocol_group import deterministic, holders
from protocol_world import BOOT, flipped
from strongroom.crypto import bip340, frost
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments, Shares
from strongroom.model.ids import LogId, SignerName
from strongroom.protocol.commitments import NonceSet, VerifiedCommitments, make_commitments, verify_commitments
from strongroom.protocol.release import (
    ShareEvidence,
    SharesDoNotSign,
    SigningSet,
    VerifiedShares,
    aggregate,
    evidence_holds,
    make_shares,
    open_set,
    shares_are_valid,
    verify_shares,
)
from strongroom.protocol.signed import BadSignedBody, SignedBody, sign_body
from strongroom.protocol.signing_task import BadContribution, SigningTask

OWNERS = holders(3, 2)
TASK = protocol_group.task(OWNERS)
KEYS = OWNERS.public_vote_keys


def commit(signer: str, task: SigningTask = TASK, seed: str = "") -> NonceSet:
    return make_commitments(
        task,
        signer=signer,
        share=OWNERS.shares[signer],
        key=OWNERS.vote_keys[signer],
        boot_id=BOOT,
        random=deterministic(f"nonces of {signer} {seed}"),
    )


def verified(nonces: NonceSet) -> VerifiedCommitments:
    return verify_commitments(nonces.signed, task=TASK, vote_keys=KEYS)


def share_of(signer: str, chosen: SigningSet, nonces: NonceSet) -> SignedBody:
    return make_shares(
        chosen, nonces, signer=signer, share=OWNERS.shares[signer], key=OWNERS.vote_keys[signer], certified_size=9
    )


def signing_round(*signers: str) -> tuple[SigningSet, dict[SignerName, VerifiedShares]]:
    nonces = {name: commit(name) for name in signers}
    chosen = open_set(TASK, [verified(item) for item in nonces.values()])
    return chosen, {
        SignerName(name): verify_shares(chosen, share_of(name, chosen, item), vote_keys=KEYS)
        for name, item in nonces.items()
    }


def resigned(shares: VerifiedShares, change: Callable[[Shares], Shares]) -> SignedBody:
    return sign_body("shares", change(shares.message), OWNERS.vote_keys[shares.signer])


@pytest.mark.parametrize("signers", [("s1", "s2"), ("s1", "s3"), ("s2", "s3")])
def test_shares_of_any_set_add_up_to_one_signature_per_input(signers: tuple[str, ...]) -> None:
    chosen, shares = signing_round(*signers)
    signatures = aggregate(chosen, shares)
    for signature, digest, tweaks in zip(signatures, TASK.digests, TASK.tweaks, strict=True):
        key = frost.tweaked_key(OWNERS.group.group_key, tweaks).point.xonly()
        assert bip340.verify(key, digest, signature)


def test_nonces_sign_once_even_when_the_set_is_wrong() -> None:
    nonces = commit("s1")
    chosen = open_set(TASK, [verified(commit("s1", seed="other")), verified(commit("s2"))])
    with pytest.raises(BadContribution):
        share_of("s1", chosen, nonces)
    own = open_set(TASK, [verified(nonces), verified(commit("s2"))])
    with pytest.raises(frost.NonceAlreadyUsed):
        share_of("s1", own, nonces)
    wiped = commit("s1")
    wiped.wipe()
    with pytest.raises(frost.NonceAlreadyUsed):
        share_of("s1", own, wiped)


def test_a_signer_outside_the_set_gives_no_share() -> None:
    chosen = open_set(TASK, [verified(commit("s1")), verified(commit("s2"))])
    with pytest.raises(BadContribution):
        share_of("s3", chosen, commit("s3"))


@pytest.mark.parametrize(
    "other",
    [
        replace(TASK, term=4),
        replace(TASK, entry_index=8),
        replace(TASK, plan_hash=bytes(32)),
        replace(TASK, vault_epoch=2),
        replace(TASK, digests=TASK.digests[:1], tweaks=TASK.tweaks[:1]),
    ],
    ids=["term", "entry", "plan", "epoch", "inputs"],
)
def test_commitments_for_another_task_are_refused(other: SigningTask) -> None:
    with pytest.raises(BadContribution):
        verify_commitments(commit("s1", other).signed, task=TASK, vote_keys=KEYS)


def test_commitments_need_their_authors_signature_and_log() -> None:
    signed = commit("s1").signed
    with pytest.raises(BadSignedBody):
        verify_commitments(flipped(signed), task=TASK, vote_keys=KEYS)
    message = codec.decode(Commitments, signed.body)
    as_other = sign_body("commitments", replace(message, signer="s2"), OWNERS.vote_keys["s1"])
    with pytest.raises(BadSignedBody):
        verify_commitments(as_other, task=TASK, vote_keys=KEYS)
    with pytest.raises(BadSignedBody):
        verify_commitments(signed, task=replace(TASK, log_id=LogId(bytes(32))), vote_keys=KEYS)
    stranger = sign_body("commitments", replace(message, signer="zed"), OWNERS.vote_keys["s1"])
    with pytest.raises(BadContribution, match="zed"):
        verify_commitments(stranger, task=TASK, vote_keys=KEYS)
    with pytest.raises(BadSignedBody):
        verify_commitments(SignedBody(body=b"\xff", signature=bytes(64)), task=TASK, vote_keys=KEYS)


def test_a_set_is_exactly_a_threshold_of_holders_in_order() -> None:
    one, two, three = (verified(commit(name)) for name in OWNERS.group.signers)
    for wrong in ([one], [two, one], [one, one], [one, two, three]):
        with pytest.raises(BadContribution):
            open_set(TASK, wrong)


def test_a_commitment_that_is_no_point_names_its_author() -> None:
    message = replace(verified(commit("s2")).message, nonces=(b"\x05" * 66,) * 2)
    bad = verify_commitments(sign_body("commitments", message, OWNERS.vote_keys["s2"]), task=TASK, vote_keys=KEYS)
    with pytest.raises(BadContribution) as caught:
        open_set(TASK, [verified(commit("s1")), bad])
    assert caught.value.signer == "s2"


def test_shares_under_another_context_are_refused() -> None:
    chosen, shares = signing_round("s1", "s2")
    mine = shares[SignerName("s1")]
    changes: list[Callable[[Shares], Shares]] = [
        lambda m: replace(m, term=4),
        lambda m: replace(m, certified_size=7),
        lambda m: replace(m, entry_index=6),
        lambda m: replace(m, plan_hash=bytes(32)),
        lambda m: replace(m, vault_epoch=2),
        lambda m: replace(m, signers=("s1", "s3")),
        lambda m: replace(m, commitments_hash=bytes(32)),
        lambda m: replace(m, shares=m.shares[:1]),
    ]
    for change in changes:
        with pytest.raises(BadContribution):
            verify_shares(chosen, resigned(mine, change), vote_keys=KEYS)
    with pytest.raises(BadSignedBody):
        verify_shares(chosen, flipped(mine.signed), vote_keys=KEYS)


def test_a_wrong_share_names_its_author_with_evidence_that_others_can_check() -> None:
    chosen, shares = signing_round("s1", "s2")
    wrong = resigned(shares[SignerName("s2")], lambda m: replace(m, shares=(m.shares[0], bytes(31) + b"\x01")))
    shares[SignerName("s2")] = verify_shares(chosen, wrong, vote_keys=KEYS)
    assert not shares_are_valid(chosen, shares[SignerName("s2")])
    with pytest.raises(SharesDoNotSign) as caught:
        aggregate(chosen, shares)
    (evidence,) = caught.value.evidence
    assert evidence.signer == "s2"
    assert evidence_holds(evidence, task=TASK, vote_keys=KEYS)


def test_a_share_out_of_range_is_blamed_too() -> None:
    chosen, shares = signing_round("s1", "s2")
    wrong = resigned(shares[SignerName("s1")], lambda m: replace(m, shares=(b"\xff" * 32, m.shares[1])))
    shares[SignerName("s1")] = verify_shares(chosen, wrong, vote_keys=KEYS)
    with pytest.raises(SharesDoNotSign) as caught:
        aggregate(chosen, shares)
    assert [item.signer for item in caught.value.evidence] == ["s1"]


def test_a_wrong_share_is_no_evidence_against_another_signer() -> None:
    chosen, shares = signing_round("s1", "s2")
    wrong = resigned(shares[SignerName("s2")], lambda m: replace(m, shares=(m.shares[0], bytes(31) + b"\x01")))
    commitments = tuple(item.signed for item in chosen.commitments)
    assert evidence_holds(
        ShareEvidence(signer=SignerName("s2"), shares=wrong, commitments=commitments), task=TASK, vote_keys=KEYS
    )
    assert not evidence_holds(
        ShareEvidence(signer=SignerName("s1"), shares=wrong, commitments=commitments), task=TASK, vote_keys=KEYS
    )


def test_shares_of_a_holder_outside_the_set_are_refused() -> None:
    chosen, shares = signing_round("s1", "s2")
    intruder = replace(shares[SignerName("s1")].message, signer="s3")
    with pytest.raises(BadContribution, match="another signer set"):
        verify_shares(chosen, sign_body("shares", intruder, OWNERS.vote_keys["s3"]), vote_keys=KEYS)


@pytest.mark.attack(
    line="coordinator",
    title="blame by other commitments than the signer saw",
    origin="multi-party-sig: other commitment lists to other signers, for false blame",
)
def test_nobody_is_framed_with_other_commitments_or_a_right_share() -> None:
    chosen, shares = signing_round("s1", "s2")
    mine = shares[SignerName("s1")]
    honest = tuple(item.signed for item in chosen.commitments)
    swapped = (honest[0], commit("s2", seed="swapped").signed)
    for claimed in (
        ShareEvidence(signer=SignerName("s1"), shares=mine.signed, commitments=honest),
        ShareEvidence(signer=SignerName("s1"), shares=mine.signed, commitments=swapped),
        ShareEvidence(signer=SignerName("s2"), shares=mine.signed, commitments=honest),
        ShareEvidence(signer=SignerName("s1"), shares=flipped(mine.signed), commitments=honest),
        ShareEvidence(signer=SignerName("s1"), shares=mine.signed, commitments=honest[:1]),
    ):
        assert not evidence_holds(claimed, task=TASK, vote_keys=KEYS)


def test_nonces_show_nothing() -> None:
    assert repr(commit("s1")) == "<NonceSet redacted>"
