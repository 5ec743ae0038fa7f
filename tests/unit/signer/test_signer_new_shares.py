"""New shares only for what is final and approved, and, where it loosens, accepted by the signer's operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import DAY_MS
from signer_world import Cluster
from strongroom.crypto.redistribution_errors import TooFewDealersError
from strongroom.ledger.order_messages import ReshareVault
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order
from strongroom.model.errors import StrongroomError
from strongroom.protocol.keygen import SILENCE_MS
from strongroom.protocol.redistribution import DealingsDisputed, RedistributionRefused
from strongroom.protocol.redistribution_orders import redistribution_terms, waiting_vaults
from strongroom.protocol.signed import SignedBody
from strongroom_signer import redistribution, requests
from strongroom_signer.alarms import ClockDrift
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.redistribution import NewSharesNotAccepted, NewSharesNotOrdered

VAULT = "customer-1"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def of(order: bytes, attempt: int = 1, vault: str = VAULT) -> dict[str, Any]:
    return {"order_hash": order, "vault": vault, "attempt": attempt}


def refreshing(cluster: Cluster, **parts: Any) -> bytes:
    order = cluster.world.refreshing(**parts)
    cluster.tick(2)
    return order


def deal(cluster: Cluster, name: str, order: bytes, **parts: Any) -> SignedBody:
    return cluster.signers[name].redistribution.deal(requests.Deal(**of(order, **parts)))


def receive(cluster: Cluster, name: str, order: bytes, dealings: tuple[SignedBody, ...], **parts: Any) -> Any:
    request = requests.Receive(**of(order, **parts), dealings=dealings)
    return cluster.signers[name].redistribution.receive(request)


def all_dealt(cluster: Cluster, order: bytes, **parts: Any) -> tuple[SignedBody, ...]:
    return tuple(deal(cluster, name, order, **parts) for name in ("s1", "s2", "s3"))


def test_signers_deal_receive_and_try_new_shares_of_a_final_order(cluster: Cluster) -> None:
    order = refreshing(cluster)
    dealings = all_dealt(cluster, order)
    stated = [receive(cluster, name, order, dealings) for name in cluster.signers]
    assert len({(one.recovery_hash, one.key_hash) for one in stated}) == 1
    nonces = tuple(
        cluster.signers[name].redistribution.trial_commit(requests.EpochTrialCommit(**of(order), signers=(0, 1)))
        for name in ("s1", "s2")
    )
    request = requests.EpochTrialSign(**of(order), signers=(0, 1), nonces=nonces)
    assert len(cluster.signers["s1"].redistribution.trial_sign(request)) == 32
    assert [cluster.signers[name].shares.has(VAULT, 1) for name in cluster.signers] == [True] * 3


def test_an_order_that_is_unknown_not_final_or_of_another_kind_gives_nothing(cluster: Cluster) -> None:
    with pytest.raises(NewSharesNotOrdered, match="not final"):
        deal(cluster, "s1", bytes(32))
    order = cluster.world.refreshing()
    cluster.sync()
    with pytest.raises(NewSharesNotOrdered, match="not final"):
        deal(cluster, "s1", order)
    creation = cluster.world.submit(cluster.world.creation("customer-2"), "carol", "alice", "bob")
    cluster.tick(2)
    with pytest.raises(RedistributionRefused):
        deal(cluster, "s1", creation)
    with pytest.raises(NewSharesNotOrdered, match="no order for new shares"):
        cluster.signers["s1"].redistribution.accept(creation)
    with pytest.raises(RedistributionRefused):
        deal(cluster, "s1", order, vault="customer-2")
    with pytest.raises(RedistributionRefused):
        deal(cluster, "s1", order, attempt=0)


def test_an_order_that_people_rejected_or_did_not_approve_gives_nothing(cluster: Cluster) -> None:
    order = refreshing(cluster)
    dealings = all_dealt(cluster, order)
    cluster.world.reject(order, "bob")
    cluster.sync()
    for call in (lambda: deal(cluster, "s1", order), lambda: receive(cluster, "s1", order, dealings)):
        with pytest.raises(NewSharesNotOrdered):
            call()


@pytest.mark.attack(
    line="holders",
    title="new shares asked for again after their epoch has begun",
    origin="on paper: the order acts twice",
)
def test_an_order_that_has_acted_gives_nothing_more_and_what_was_in_memory_is_gone(cluster: Cluster) -> None:
    order = refreshing(cluster)
    receive(cluster, "s1", order, all_dealt(cluster, order))
    signer = cluster.signers["s1"].redistribution
    held = next(iter(signer._holdings.values()))
    cluster.world.log(cluster.world.epoch_entry(order))
    cluster.tick(2)
    assert signer._holdings == {}
    assert held.trier.share.wiped
    with pytest.raises(StrongroomError):
        deal(cluster, "s1", order)


# --- the operator's word ---------------------------------------------------------------------------------------------


def with_another_host_key(cluster: Cluster, name: str) -> None:
    """The charter names another host key of a signer, as after a repair or new words."""
    signers = tuple(
        replace(one, host_key=builder.host_secret(f"{name} new words").public()) if one.name == name else one
        for one in cluster.world.state.charter.signers
    )
    cluster.world.amend(signers=signers)
    cluster.tick(1)
    cluster.wait(2 * DAY_MS)
    cluster.tick(3)
    now = {one.name: one.host_key for one in cluster.world.state.charter.signers}
    assert now[name] == builder.host_secret(f"{name} new words").public()


@pytest.mark.attack(
    line="admin-quorum",
    title="shares given to host keys of one's own by amendment and refresh, without any operator's word",
    origin="on paper: whoever commands the admin quorum collects the key at keys of its own",
)
def test_a_refresh_towards_another_host_key_takes_the_dealers_operators_word(cluster: Cluster) -> None:
    with_another_host_key(cluster, "s3")
    order = refreshing(cluster, absent=["s3"])
    with pytest.raises(NewSharesNotAccepted, match="new host keys of s3"):
        deal(cluster, "s1", order)
    cluster.signers["s1"].redistribution.accept(order)
    deal(cluster, "s1", order)
    # One operator's word is for its own signer and for this order alone.
    with pytest.raises(NewSharesNotAccepted):
        deal(cluster, "s2", order)
    with pytest.raises(NewSharesNotOrdered):
        cluster.signers["s1"].redistribution.accept(bytes(32))


@pytest.mark.attack(
    line="admin-quorum",
    title="a new holder's host key exchanged after the operators accepted the order",
    origin="on paper: what was compared is not what is dealt to",
)
def test_the_operators_word_is_worth_nothing_once_a_host_key_is_another(cluster: Cluster) -> None:
    order = cluster.world.submit(
        ReshareVault(vault=VAULT, signers=("s1", "s2", "s3"), threshold=1, absent=()),
        "alice",
        "bob",
        "carol",
        expires_ms=cluster.world.time_ms + 20 * DAY_MS,
    )
    cluster.tick(2)
    signer = cluster.signers["s1"].redistribution
    told = signer.accept(order)
    assert f"s3: host key {builder.host_secret('s3').public().hex()}" in told
    with_another_host_key(cluster, "s3")
    with pytest.raises(NewSharesNotAccepted):
        deal(cluster, "s1", order)
    assert f"s3: host key {builder.host_secret('s3 new words').public().hex()}" in signer.accept(order)
    deal(cluster, "s1", order)


@pytest.mark.attack(
    line="holders",
    title="garbage dealt to an absent holder, whose old share then is the one that is missing",
    origin="on paper: old shares erased before everybody who must have a new one could check it",
)
def test_with_few_present_nobody_deals_or_states_without_the_own_operators_word(cluster: Cluster) -> None:
    order = refreshing(cluster, absent=["s3"])
    for name in ("s1", "s2"):
        with pytest.raises(NewSharesNotAccepted, match="a single bad holder among s1, s2 could end the vault"):
            deal(cluster, name, order)
    assert "before s3 can check" in cluster.signers["s1"].redistribution.accept(order)
    dealings = [deal(cluster, "s1", order)]
    with pytest.raises(NewSharesNotAccepted):
        receive(cluster, "s2", order, dealings)
    cluster.signers["s2"].redistribution.accept(order)
    dealings.append(deal(cluster, "s2", order))
    assert len({receive(cluster, name, order, dealings).recovery_hash for name in ("s1", "s2")}) == 1


def test_a_lower_threshold_takes_the_operators_word(cluster: Cluster) -> None:
    order = cluster.world.resharing(("s1", "s2", "s3"), 1)
    cluster.tick(2)
    with pytest.raises(NewSharesNotOrdered, match="DELAY"):
        deal(cluster, "s1", order)
    cluster.wait(2 * DAY_MS)
    cluster.tick(3)
    with pytest.raises(NewSharesNotAccepted, match="fewer together"):
        deal(cluster, "s1", order)
    assert "1 of s1, s2, s3" in cluster.signers["s1"].redistribution.accept(order)
    deal(cluster, "s1", order)


def test_an_order_towards_a_holder_that_the_charter_has_no_more_cannot_be_accepted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = refreshing(cluster)
    signer = cluster.signers["s1"].redistribution
    assert "2 of s1, s2, s3" in signer.accept(order)
    state = cluster.world.state
    left = state.judged_by(replace(state.charter, signers=state.charter.signers[:2]))
    monkeypatch.setattr(LogCopy, "newest", lambda _: left)
    with pytest.raises(NewSharesNotOrdered, match="no longer has all holders"):
        signer.accept(order)


def test_a_delay_is_over_when_the_final_log_and_the_own_clock_both_say_so(cluster: Cluster) -> None:
    order = cluster.world.resharing(("s1", "s2", "s3"), 1)
    cluster.tick(2)
    cluster.clock.advance(2 * DAY_MS)
    with pytest.raises(NewSharesNotOrdered, match="DELAY_RUNNING"):
        deal(cluster, "s1", order)
    cluster.world.later(2 * DAY_MS)
    cluster.tick(2)
    # The newest entry has the time, but a new term could still drop it.
    with pytest.raises(NewSharesNotOrdered, match="DELAY_RUNNING"):
        deal(cluster, "s1", order)
    cluster.tick(1)
    cluster.clock.advance(-DAY_MS)
    with pytest.raises(NewSharesNotOrdered, match="DELAY_RUNNING"):
        deal(cluster, "s1", order)
    cluster.clock.advance(DAY_MS)
    with pytest.raises(NewSharesNotAccepted):
        deal(cluster, "s1", order)


def test_an_order_has_expired_as_soon_as_the_own_clock_or_the_log_says_so(cluster: Cluster) -> None:
    order = refreshing(cluster)
    record = cluster.world.state.order(order)
    assert record is not None
    life = decode_order(record.order).expires_ms - cluster.clock.wall
    deal(cluster, "s1", order)
    cluster.clock.advance(life)
    with pytest.raises(NewSharesNotOrdered, match="ORDER_EXPIRED"):
        deal(cluster, "s1", order)
    cluster.world.later(life)
    cluster.tick(3)
    cluster.clock.advance(-life)
    with pytest.raises(NewSharesNotOrdered, match="ORDER_EXPIRED"):
        deal(cluster, "s1", order)


# --- memory ----------------------------------------------------------------------------------------------------------


def test_a_new_share_is_asked_for_by_its_attempt_and_for_a_while_only(cluster: Cluster) -> None:
    order = refreshing(cluster)
    commit = requests.EpochTrialCommit(**of(order), signers=(0, 1))
    signer = cluster.signers["s1"].redistribution
    with pytest.raises(RedistributionRefused, match="not in memory"):
        signer.trial_commit(commit)
    receive(cluster, "s1", order, all_dealt(cluster, order))
    signer.trial_commit(commit)
    with pytest.raises(RedistributionRefused, match="not in memory"):
        signer.trial_commit(requests.EpochTrialCommit(**of(order, 2), signers=(0, 1)))
    held = next(iter(signer._holdings.values()))
    signer.drop_stale()
    assert signer._holdings
    cluster.clock.advance(SILENCE_MS + 1)
    signer.drop_stale()
    assert signer._holdings == {}
    assert held.trier.share.wiped


def test_newer_dealings_take_the_place_of_older_ones_and_memory_is_bounded(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = refreshing(cluster)
    signer = cluster.signers["s1"].redistribution
    receive(cluster, "s1", order, all_dealt(cluster, order))
    first = next(iter(signer._holdings.values()))
    monkeypatch.setattr(redistribution, "MAX_HOLDINGS", 1)
    receive(cluster, "s1", order, all_dealt(cluster, order, attempt=2), attempt=2)
    assert first.trier.share.wiped
    assert len(signer._holdings) == 1
    monkeypatch.setattr(redistribution, "MAX_HOLDINGS", 0)
    signer.forget()
    with pytest.raises(RedistributionRefused, match="in memory"):
        receive(cluster, "s1", order, all_dealt(cluster, order))


def test_bad_dealings_are_named_and_leave_nothing_in_memory(cluster: Cluster) -> None:
    order = refreshing(cluster)
    dealings = all_dealt(cluster, order)
    with pytest.raises(TooFewDealersError):
        receive(cluster, "s1", order, dealings[:1])
    with pytest.raises(RedistributionRefused):
        receive(cluster, "s1", order, (dealings[0], all_dealt(cluster, order, attempt=2)[1]))
    assert not issubclass(RedistributionRefused, DealingsDisputed)
    assert cluster.signers["s1"].redistribution._holdings == {}


# --- what stops a signer ---------------------------------------------------------------------------------------------


def test_a_signer_that_has_stopped_deals_receives_and_tries_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = refreshing(cluster)
    dealings = all_dealt(cluster, order)
    signer = cluster.signers["s1"]
    receive(cluster, "s1", order, dealings)
    commit = requests.EpochTrialCommit(**of(order), signers=(0, 1))
    own = signer.redistribution.trial_commit(commit)

    def stopped() -> None:
        raise ClockDrift("this signer has stopped")

    monkeypatch.setattr(signer.voting, "require_voting", stopped)
    trial = requests.EpochTrialSign(**of(order), signers=(0, 1), nonces=(own, own))
    for call in (
        lambda: deal(cluster, "s1", order),
        lambda: receive(cluster, "s1", order, dealings),
        lambda: signer.redistribution.trial_sign(trial),
    ):
        with pytest.raises(ClockDrift):
            call()


def test_a_rejection_handed_in_stops_new_shares(cluster: Cluster) -> None:
    order = refreshing(cluster)
    said = cluster.world.endorsement("bob", Verb.REJECT, order)
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(said)])
    with pytest.raises(NewSharesNotOrdered, match="handed in here"):
        deal(cluster, "s1", order)


def test_a_signer_without_its_share_refuses_to_deal_and_says_so(cluster: Cluster) -> None:
    order = refreshing(cluster)
    with cluster.signers["s1"].store.commit() as write:
        write._db.execute("DELETE FROM share")
    with pytest.raises(RedistributionRefused, match="holds no share"):
        deal(cluster, "s1", order)
    assert receive(cluster, "s1", order, tuple(deal(cluster, name, order) for name in ("s2", "s3"))).signature


# --- the terms, from the log ------------------------------------------------------------------------------------------


def test_terms_are_of_the_order_under_way_alone(cluster: Cluster) -> None:
    world, order = cluster.world, refreshing(cluster)
    record = world.state.order(order)
    assert record is not None
    assert [vault.name for vault in waiting_vaults(world.state, record)] == [VAULT]
    made = redistribution_terms(world.state, record, VAULT, 7)
    assert (made.epoch, made.attempt, made.signers, made.absent) == (2, 7, ("s1", "s2", "s3"), ())
    world.log(world.epoch_entry(order))
    after = world.state.order(order)
    assert after is not None
    assert waiting_vaults(world.state, after) == ()
    with pytest.raises(RedistributionRefused, match="has acted"):
        redistribution_terms(world.state, after, VAULT, 7)


def test_terms_name_an_absent_holder_once(cluster: Cluster) -> None:
    order = refreshing(cluster, absent=["s3"])
    record = cluster.world.state.order(order)
    assert record is not None
    assert redistribution_terms(cluster.world.state, record, VAULT, 1).absent == ("s3",)
