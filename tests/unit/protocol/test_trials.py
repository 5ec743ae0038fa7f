"""Trials take what belongs to them, once, and begin again from nothing when a part of them was wrong."""

from __future__ import annotations

import pytest

from redistribution_world import Ceremony
from strongroom.protocol import redistribution as signer
from strongroom.protocol.redistribution import Holding
from strongroom.protocol.trials import TrialFailed, Trials

FIRST, SECOND = (0, 1), (1, 2)


def begun() -> tuple[Ceremony, dict[str, Holding], Trials]:
    ceremony = Ceremony()
    dealings = [ceremony.deal(name) for name in ceremony.holders]
    holdings = {name: ceremony.receive(name, dealings)[0] for name in ceremony.holders}
    made = holdings["s1"].trier.made
    trials = Trials(terms=ceremony.terms, made=made, names=ceremony.holders, subsets=(FIRST, SECOND))
    return ceremony, holdings, trials


def committed(ceremony: Ceremony, holdings: dict[str, Holding], name: str) -> bytes:
    holdings[name], nonce = signer.trial_commit(holdings[name], FIRST, random32=ceremony.random(32), now_ms=0)
    return nonce


def signed(holdings: dict[str, Holding], name: str, trials: Trials) -> bytes:
    holdings[name], share = signer.trial_sign(holdings[name], FIRST, trials.nonces_of(FIRST), now_ms=0)
    return share


def with_nonces() -> tuple[Ceremony, dict[str, Holding], Trials]:
    ceremony, holdings, trials = begun()
    for name in ("s1", "s2"):
        trials = trials.with_nonce(FIRST, name, committed(ceremony, holdings, name))
    return ceremony, holdings, trials


def test_a_nonce_counts_for_a_member_of_a_subset_that_tries() -> None:
    ceremony, holdings, trials = begun()
    nonce = committed(ceremony, holdings, "s1")
    for subset, name in (((0, 2), "s1"), (FIRST, "s3"), (FIRST, "x"), ((), "s1")):
        assert trials.with_nonce(subset, name, nonce) is trials
    one = trials.with_nonce(FIRST, "s1", nonce)
    assert one.nonces_of(FIRST) == ()
    assert one.awaited() == ("s2", "s3")
    with pytest.raises(TrialFailed) as caught:
        one.with_nonce(FIRST, "s2", bytes(66))
    assert (caught.value.suspect, caught.value.subset) == ("s2", FIRST)


def test_the_last_nonce_counts_until_all_are_there() -> None:
    ceremony, holdings, trials = begun()
    first, second, other = (committed(ceremony, holdings, name) for name in ("s1", "s1", "s2"))
    complete = trials.with_nonce(FIRST, "s1", first).with_nonce(FIRST, "s1", second).with_nonce(FIRST, "s2", other)
    assert complete.nonces_of(FIRST) == (second, other)
    assert complete.with_nonce(FIRST, "s1", first) is complete


def test_a_share_counts_once_after_all_nonces() -> None:
    ceremony, holdings, trials = begun()
    nonces = {name: committed(ceremony, holdings, name) for name in ("s1", "s2")}
    half = trials.with_nonce(FIRST, "s1", nonces["s1"])
    assert half.with_share(FIRST, "s1", bytes(32)) is half
    ready = half.with_nonce(FIRST, "s2", nonces["s2"])
    assert ready.with_share(FIRST, "s3", bytes(32)) is ready
    share = signed(holdings, "s1", ready)
    one = ready.with_share(FIRST, "s1", share)
    assert one.with_share(FIRST, "s1", bytes(32)) is one
    assert one.awaited() == ("s2", "s3")
    done = one.with_share(FIRST, "s2", signed(holdings, "s2", ready))
    assert done.signatures.keys() == {FIRST}
    assert [trial.signers for trial in done.entries] == [FIRST]
    assert not done.is_complete
    assert done.awaited() == ("s2", "s3")
    assert done.with_share(FIRST, "s2", bytes(32)) is done


def test_a_trial_that_begins_again_has_nothing_of_before_and_one_that_is_done_stays() -> None:
    _, holdings, trials = with_nonces()
    one = trials.with_share(FIRST, "s1", signed(holdings, "s1", trials))
    again = one.again(FIRST)
    assert (again.nonces, again.shares) == ({}, {})
    assert one.again(SECOND) == one
    done = one.with_share(FIRST, "s2", signed(holdings, "s2", trials))
    assert done.again(FIRST) is done


def test_a_wrong_share_names_its_holder() -> None:
    _, holdings, trials = with_nonces()
    one = trials.with_share(FIRST, "s1", bytes(31) + b"\x01")
    with pytest.raises(TrialFailed) as caught:
        one.with_share(FIRST, "s2", signed(holdings, "s2", trials))
    assert caught.value.suspect == "s1"
