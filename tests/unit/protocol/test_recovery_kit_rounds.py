"""Both rounds of a sweep: nonces sign once, files of other rounds fit nothing, and a liar is named by its own word."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from kit_world import VAULT, Kit, changed
from strongroom.chains.bitcoin.transaction import parse
from strongroom.crypto import bip340, frost
from strongroom.crypto.errors import NonceAlreadyUsed, SecretWiped
from strongroom.ledger import codec
from strongroom.protocol.backup import ShareNotRecovered
from strongroom.protocol.recovery_kit_plan import OpenedPlan
from strongroom.protocol.recovery_kit_records import SweepCommitments, SweepShares
from strongroom.protocol.recovery_kit_rounds import (
    NotThisHolder,
    SweepHolder,
    SweepLiar,
    SweepSetMismatch,
    combine,
    holder_share,
)
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES, BadWord, open_word, sign_word
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody

Words = dict[str, SignedBody]


@pytest.fixture(scope="module")
def kit() -> Kit:
    return Kit.started()


@pytest.fixture(scope="module")
def opened(kit: Kit) -> OpenedPlan:
    return kit.plan()


@pytest.fixture(scope="module")
def signed(kit: Kit, opened: OpenedPlan) -> tuple[Words, Words]:
    return kit.signed(opened)


def resigned(words: Words, name: str, kind: str, cls: Any, **parts: Any) -> Words:
    """The words with one of them changed by its own holder."""
    word = codec.decode(cls, words[name].body, max_size=MAX_BODY_BYTES)
    return {**words, name: sign_word(kind, replace(word, **parts), builder.host_secret(name), bytes(32))}


# --- an honest round -------------------------------------------------------------------------------------------------


def test_two_of_three_sign_and_the_network_would_take_it(opened: OpenedPlan, signed: tuple[Words, Words]) -> None:
    transaction = parse(combine(opened, *signed))
    assert transaction.txid == opened.spend.txid
    for item, key, digest in zip(transaction.inputs, opened.spend.keys, opened.spend.digests(), strict=True):
        assert bip340.verify(key.output_key, digest, item.witness[0])


def test_any_two_holders_do_also_after_a_refresh() -> None:
    kit = Kit.started().refreshed()
    for signers in (("s1", "s2"), ("s3", "s2")):
        opened = kit.plan(signers=signers)
        assert parse(combine(opened, *kit.signed(opened))).txid == opened.spend.txid


def test_every_attempt_has_nonces_of_its_own(kit: Kit, opened: OpenedPlan) -> None:
    words = [
        open_word(COMMITMENTS, SweepCommitments, kit.holder(opened, "s1").commitments, host_key=opened.host_key("s1"))
        for _ in range(2)
    ]
    assert words[0].session != words[1].session
    assert not set(words[0].nonces) & set(words[1].nonces)
    assert len(set(words[0].nonces)) == len(opened.plan.inputs)


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_nonces_sign_once(kit: Kit, opened: OpenedPlan) -> None:
    with kit.holder(opened, "s1") as first, kit.holder(opened, "s3") as other:
        words = {"s1": first.commitments, "s3": other.commitments}
        first.shares(words, aux32=bytes(32))
        with pytest.raises(NonceAlreadyUsed):
            first.shares(words, aux32=bytes(32))


def test_nonces_are_gone_after_a_refusal_as_well(kit: Kit, opened: OpenedPlan) -> None:
    first, other = kit.holder(opened, "s1"), kit.holder(opened, "s3")
    with pytest.raises(SweepSetMismatch):
        first.shares({"s1": first.commitments}, aux32=bytes(32))
    with pytest.raises(NonceAlreadyUsed):
        first.shares({"s1": first.commitments, "s3": other.commitments}, aux32=bytes(32))


def test_the_share_is_wiped_at_the_end_and_when_nothing_begins(kit: Kit, opened: OpenedPlan) -> None:
    host = builder.host_secret("s1")
    share = holder_share(kit.vault, "s1", host, kit.recovery)
    with kit.holder(opened, "s1", share=share):
        assert not share.wiped
    assert share.wiped
    with pytest.raises(SecretWiped):
        share.public()
    refused = holder_share(kit.vault, "s1", host, kit.recovery)
    with pytest.raises(NotThisHolder):
        kit.holder(opened, "s2", share=refused)
    assert refused.wiped
    assert not host.wiped


def test_a_holder_shows_and_copies_nothing(kit: Kit, opened: OpenedPlan) -> None:
    holder = kit.holder(opened, "s1")
    assert repr(holder) == "<SweepHolder s1, redacted>"
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(holder)


# --- who signs -------------------------------------------------------------------------------------------------------


def test_words_are_the_named_holder_s_of_this_epoch(kit: Kit) -> None:
    with pytest.raises(NotThisHolder, match="words of s2, not of s1"):
        holder_share(kit.vault, "s1", builder.host_secret("s2"), kit.recovery)
    with pytest.raises(NotThisHolder, match="x9 holds no share"):
        holder_share(kit.vault, "x9", builder.host_secret("s1"), kit.recovery)
    with pytest.raises(ShareNotRecovered, match="another time or signer"):
        holder_share(kit.vault, "s1", builder.host_secret("of another organisation"), kit.recovery)
    with pytest.raises(ShareNotRecovered, match="not the one that the log names"):
        holder_share(kit.vault, "s1", builder.host_secret("s1"), kit.recovery + b"\0")


def test_a_holder_signs_only_where_the_plan_counts_on_it(kit: Kit, opened: OpenedPlan) -> None:
    with pytest.raises(NotThisHolder, match="has s1, s3 sign, not s2"):
        kit.holder(opened, "s2")
    share = holder_share(kit.vault, "s1", builder.host_secret("s1"), kit.recovery)
    with pytest.raises(NotThisHolder, match="another host key for s1"):
        kit.holder(opened, "s1", host=builder.host_secret("s2"), share=share)
    foreign = holder_share(kit.vault, "s3", builder.host_secret("s3"), kit.recovery)
    with pytest.raises(NotThisHolder, match="another public share for s1"):
        kit.holder(opened, "s1", share=foreign)


# --- the first round's words -----------------------------------------------------------------------------------------


def refused_words(kit: Kit, opened: OpenedPlan, change: Any) -> Exception:
    """What a holder says to changed words of the first round."""
    first, other = kit.holder(opened, "s1"), kit.holder(opened, "s3")
    with pytest.raises((SweepSetMismatch, BadWord, SweepLiar)) as caught:
        first.shares(change({"s1": first.commitments, "s3": other.commitments}), aux32=bytes(32))
    return caught.value


def test_the_own_commitments_cannot_be_exchanged(kit: Kit, opened: OpenedPlan, signed: tuple[Words, Words]) -> None:
    replayed = signed[0]["s1"]
    error = refused_words(kit, opened, lambda words: {**words, "s1": replayed})
    assert isinstance(error, SweepSetMismatch)
    assert "not those made here" in str(error)


def test_words_of_too_many_or_of_others_are_refused(kit: Kit, opened: OpenedPlan) -> None:
    for change in (
        lambda words: {**words, "s2": words["s3"]},
        lambda words: {"s1": words["s1"], "s2": words["s3"]},
    ):
        assert isinstance(refused_words(kit, opened, change), SweepSetMismatch)


def test_a_word_that_its_holder_did_not_sign_blames_nobody(kit: Kit, opened: OpenedPlan) -> None:
    others = kit.plan(signers=("s2", "s3"))
    second = kit.holder(others, "s2").commitments
    for change in (
        lambda words: {**words, "s3": second},
        lambda words: {**words, "s3": words["s1"]},
        lambda words: {**words, "s3": replace(words["s3"], signature=bytes(64))},
        lambda words: {**words, "s3": replace(words["s3"], body=words["s3"].body + b"\0")},
        lambda words: {**words, "s3": replace(words["s3"], body=bytes(MAX_BODY_BYTES + 1))},
    ):
        error = refused_words(kit, opened, change)
        assert isinstance(error, BadWord)
        assert "the commitments of s3" in str(error)


def test_a_word_for_another_plan_or_name_is_refused(kit: Kit, opened: OpenedPlan) -> None:
    for parts in ({"plan_hash": bytes(32)}, {"log_id": bytes(32)}, {"signer": "s1"}):
        error = refused_words(
            kit, opened, lambda words, parts=parts: resigned(words, "s3", COMMITMENTS, SweepCommitments, **parts)
        )
        assert isinstance(error, BadWord)
        assert "another plan or another name" in str(error)


def test_a_signed_body_that_is_not_canonical_is_refused(kit: Kit, opened: OpenedPlan) -> None:
    host = builder.host_secret("s3")
    holder = kit.holder(opened, "s3")
    word = codec.decode(SweepCommitments, holder.commitments.body)
    shares = SweepShares(
        log_id=word.log_id,
        plan_hash=word.plan_hash,
        session=word.session,
        commitments_hashes=(bytes(32),),
        shares=(bytes(32),),
        signer="s3",
    )
    wrong = sign_word(COMMITMENTS, shares, host, bytes(32))
    error = refused_words(kit, opened, lambda words: {**words, "s3": wrong})
    assert isinstance(error, BadWord)
    assert "not canonical" in str(error)


def test_who_commits_to_too_little_or_to_no_points_is_named(kit: Kit, opened: OpenedPlan) -> None:
    word = codec.decode(SweepCommitments, kit.holder(opened, "s3").commitments.body)
    for nonces, what in (
        (word.nonces[:1], "signed 1 commitments for a plan of 2 inputs"),
        ((word.nonces[0], bytes(66)), "committed to for input 1 are no nonces"),
    ):
        error = refused_words(
            kit,
            opened,
            lambda words, nonces=nonces: resigned(words, "s3", COMMITMENTS, SweepCommitments, nonces=nonces),
        )
        assert isinstance(error, SweepLiar)
        assert error.culprits == {"s3"}
        assert what in str(error)


# --- the second round's words ----------------------------------------------------------------------------------------


def test_a_wrong_share_names_who_signed_it(opened: OpenedPlan, signed: tuple[Words, Words]) -> None:
    commitments, shares = signed
    good = codec.decode(SweepShares, shares["s3"].body).shares
    for wrong in ((good[0], bytes(31) + b"\1"), (good[0], b"\xff" * 32), (good[1], good[0])):
        lied = resigned(shares, "s3", SHARES, SweepShares, shares=wrong)
        with pytest.raises(SweepLiar) as caught:
            combine(opened, commitments, lied)
        assert caught.value.culprits == {"s3"}
    both = resigned(lied, "s1", SHARES, SweepShares, shares=good)
    with pytest.raises(SweepLiar) as caught:
        combine(opened, commitments, both)
    assert caught.value.culprits == {"s1", "s3"}
    with pytest.raises(SweepLiar, match="signed 1 shares for a plan of 2 inputs") as caught:
        combine(opened, commitments, resigned(shares, "s3", SHARES, SweepShares, shares=good[:1]))
    assert caught.value.culprits == {"s3"}


def test_shares_of_another_attempt_fit_nothing(kit: Kit, opened: OpenedPlan, signed: tuple[Words, Words]) -> None:
    later = kit.signed(opened)
    for commitments, shares in (
        (signed[0], later[1]),
        (later[0], signed[1]),
        ({**signed[0], "s3": later[0]["s3"]}, signed[1]),
        (signed[0], {**signed[1], "s3": later[1]["s3"]}),
    ):
        with pytest.raises(SweepSetMismatch, match="over other commitments"):
            combine(opened, commitments, shares)
    for parts in ({"session": bytes(16)}, {"commitments_hashes": (bytes(32), bytes(32))}):
        with pytest.raises(SweepSetMismatch, match=r"s3 made its shares over other commitments.* it is s3\."):
            combine(opened, signed[0], resigned(signed[1], "s3", SHARES, SweepShares, **parts))
    for hashes in ((bytes(32),), (bytes(32),) * 3):
        parts = {"commitments_hashes": hashes}
        with pytest.raises(SweepSetMismatch, match=f"over {len(hashes)} commitments, where 2 sign"):
            combine(opened, signed[0], resigned(signed[1], "s3", SHARES, SweepShares, **parts))


def test_shares_are_of_those_who_sign_this_plan(kit: Kit, opened: OpenedPlan, signed: tuple[Words, Words]) -> None:
    commitments, shares = signed
    with pytest.raises(SweepSetMismatch, match="shares of s1"):
        combine(opened, commitments, {"s1": shares["s1"]})
    with pytest.raises(SweepSetMismatch, match="commitments of nobody"):
        combine(opened, {}, shares)
    with pytest.raises(BadWord, match="the shares of s3"):
        combine(opened, commitments, {**shares, "s3": shares["s1"]})
    with pytest.raises(BadWord, match="the shares of s3: it is not signed"):
        combine(opened, commitments, {**shares, "s3": commitments["s3"]})
    dearer = changed(opened, lambda plan: replace(plan, amount_sat=plan.amount_sat - 1))
    with pytest.raises(BadWord, match="another plan"):
        combine(dearer, commitments, shares)


def test_a_wrong_amount_in_a_plan_makes_worthless_signatures(kit: Kit) -> None:
    """BIP-341 commits to what each input holds, so a claim that is false gives a signature that no network takes."""
    coins = kit.owned()
    lied = replace(coins[0], coin=replace(coins[0].coin, amount_sat=coins[0].coin.amount_sat + 1_000))
    false = kit.plan(coins=(lied, coins[1]))
    true = kit.plan(coins=coins)
    transaction = parse(combine(false, *kit.signed(false)))
    assert not bip340.verify(true.spend.keys[0].output_key, true.spend.digests()[0], transaction.inputs[0].witness[0])


def test_an_honest_set_that_gives_no_signature_is_a_defect(
    kit: Kit, opened: OpenedPlan, signed: tuple[Words, Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frost, "partial_sig_agg", lambda *_: bytes(64))
    with pytest.raises(frost.InvalidSignature, match="every share verifies"):
        combine(opened, *signed)
    assert VAULT == opened.plan.vault


def test_a_holder_is_made_whole_or_not_at_all(kit: Kit, opened: OpenedPlan) -> None:
    share = holder_share(kit.vault, "s1", builder.host_secret("s1"), kit.recovery)
    with pytest.raises(frost.InvalidInput, match="randomness"):
        SweepHolder(opened, "s1", host=builder.host_secret("s1"), share=share, random=bytes)
    assert share.wiped
