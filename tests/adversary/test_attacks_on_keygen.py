"""A dishonest coordinator tries to have signers share a key that nobody ordered, that differs, or that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from actor import actors, ready, until
from attack_cases import Case, attack, cheats_of
from cluster import VAULT, Cheated, Cluster, funded, running
from payments import approve_once, approved, paid, payee
from siege import attacked_together
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

ORDERED, UNAPPROVED, BORN = "customer-cold", "customer-warm", "customer-slow"

RAISING = "Trail of Bits 2024 (wsts #87 and others): a longer commitment vector raises the threshold"
ROGUE_KEY = "rogue key: the last mover cancels the others' contributions"
SPLIT_VIEW = "split view: some parties think that the key generation succeeded, with another transcript"
CLAIMED = "mpcium #78: a forged key generation result gives a false deposit address"
REPLAY = "CVE-2022-47930: proofs of one session replayed in another"
LOST = "on paper: a vault whose shares nobody could bring back from the words on paper"
UNORDERED = "on paper: a signature without a plan is asked for under the name of a key generation"


def _refused(cheat: str, title: str, reason: str, *, step: str, origin: str, by: int = 3) -> object:
    return attack(cheat, title, reason, step=step, origin=origin, by=by)


def _not_ordered(cheat: str, title: str) -> object:
    return _refused(cheat, title, "KEYGEN_NOT_ORDERED", step="keygen", origin=UNORDERED)


def _misfit(cheat: str, title: str, step: str, *, origin: str = REPLAY, by: int = 3) -> object:
    return _refused(cheat, title, "KEYGEN_REFUSED", step=step, origin=origin, by=by)


def _vault(step: str, title: str, reason: str) -> object:
    return attack("forged-vault", title, reason, step=step, signed=True, origin=CLAIMED)


def _without(step: str, title: str, reason: str = "RECOVERY_DATA_MISSING", *, signed: bool = True) -> object:
    title = f"a vault's birth with {title}"
    return attack("vault-without-recovery", title, reason, step=step, signed=signed, origin=LOST)


def _fetched(step: str, title: str) -> tuple[object, object]:
    """It does not take the certificate, and does not vote without one: twice an unsigned answer of the one signer."""
    cheat = "lies-to-who-catches-up"
    return (
        attack(cheat, f"who catches up is given {title}", "BEHIND", step=step, by=1, origin=LOST),
        attack(
            cheat,
            f"who was given {title} is asked to vote",
            "RECOVERY_DATA_MISSING",
            step=f"{step}-vote",
            by=1,
            origin=LOST,
        ),
    )


CASES = [
    _not_ordered("no-order-keygen", "a key generation that nobody ordered"),
    _not_ordered("payments-order-keygen", "a key generation under the order of a payment"),
    _not_ordered("unapproved-keygen", "a key generation that was not approved"),
    _not_ordered("unsettled-keygen", "a key generation whose approval is not final"),
    _misfit("attempt-again", "one attempt begun twice", "same"),
    _misfit("attempt-again", "an attempt with a number below the last one", "earlier"),
    _misfit("attempt-again", "an attempt without a number", "none"),
    _misfit("another-session", "the message of one attempt sent into another", "other-attempt"),
    _misfit("another-session", "the message of one order's key sent into another's", "other-order"),
    _refused(
        "split-views",
        "split views of one key generation",
        "DKG_COORDINATOR_FAULTY",
        step="finish",
        by=3,
        origin=SPLIT_VIEW,
    ),
    _refused(
        "raise-threshold",
        "the threshold raised by a longer commitment vector",
        "DKG_MESSAGE_LENGTH_INVALID",
        step="round2",
        by=2,
        origin=RAISING,
    ),
    _refused(
        "lower-threshold",
        "the threshold lowered by a shorter commitment vector",
        "DKG_MESSAGE_LENGTH_INVALID",
        step="round2",
        by=2,
        origin=RAISING,
    ),
    _refused(
        "rogue-key",
        "a commitment that cancels the others",
        "DKG_PARTICIPANT_OR_COORDINATOR_FAULTY",
        step="round2",
        by=2,
        origin=ROGUE_KEY,
    ),
    _refused(
        "rogue-key",
        "a signer's own commitment exchanged",
        "DKG_COORDINATOR_FAULTY",
        step="round2-last",
        by=1,
        origin=ROGUE_KEY,
    ),
    _misfit(
        "substituted-host-key",
        "a signer's host key and part substituted",
        "finish",
        origin="ChillDKG: host keys are compared through the params hash",
    ),
    _refused(
        "substituted-host-key",
        "a signer's own part substituted",
        "DKG_COORDINATOR_FAULTY",
        step="round2-last",
        by=1,
        origin="ChillDKG: host keys are compared through the params hash",
    ),
    _refused(
        "participant-twice",
        "one signer's part counted twice",
        "DKG_PARTICIPANT_OR_COORDINATOR_FAULTY",
        step="round2",
        by=2,
        origin=ROGUE_KEY,
    ),
    _refused(
        "missing-participant",
        "one signer's part left out",
        "DKG_MESSAGE_LENGTH_INVALID",
        step="round2",
        by=2,
        origin=ROGUE_KEY,
    ),
    _refused(
        "swapped-proofs",
        "two proofs of possession exchanged",
        "DKG_COORDINATOR_FAULTY",
        step="round2-last",
        by=1,
        origin=REPLAY,
    ),
    _misfit(
        "wrong-shares",
        "encrypted shares altered on the way",
        "finish",
        origin="forget-and-forgive (ePrint 2020/1052): a share that does not fit is kept",
    ),
    _refused(
        "junk-round",
        "random bytes in the second round",
        "DKG_COORDINATOR_FAULTY",
        step="round2",
        by=2,
        origin="mpcsec: input validation",
    ),
    _refused(
        "replayed-round",
        "the second round of an earlier attempt replayed",
        "DKG_COORDINATOR_FAULTY",
        step="round2",
        origin=REPLAY,
    ),
    _misfit("finish-first", "a statement asked for before the key is agreed on", "finish", origin=UNORDERED),
    _misfit("finish-first", "a trial asked for before the key is agreed on", "trial", origin=UNORDERED, by=2),
    _refused(
        "false-transcript",
        "a certificate of signatures for an earlier transcript",
        "DKG_COORDINATOR_FAULTY",
        step="replayed",
        origin=SPLIT_VIEW,
    ),
    _refused(
        "false-transcript",
        "a certificate with a forged signature",
        "DKG_COORDINATOR_FAULTY",
        step="forged",
        origin=SPLIT_VIEW,
    ),
    _refused(
        "false-transcript",
        "a certificate that counts one signature twice",
        "DKG_COORDINATOR_FAULTY",
        step="twice",
        origin=SPLIT_VIEW,
    ),
    _refused(
        "false-transcript",
        "a certificate without one signature",
        "DKG_MESSAGE_LENGTH_INVALID",
        step="missing",
        origin=SPLIT_VIEW,
    ),
    _misfit("misused-trials", "a trial asked of a subset that tries nothing", "other-subset", origin=UNORDERED, by=2),
    _misfit("misused-trials", "a trial asked of a signer outside the subset", "not-in-subset", origin=UNORDERED, by=1),
    _misfit("misused-trials", "a second trial signature under one nonce", "twice", origin=UNORDERED, by=1),
    _misfit("misused-trials", "a trial signature without a nonce", "uncommitted", origin=UNORDERED, by=1),
    _refused(
        "misused-trials",
        "a trial with a list that lacks the signer's own nonce",
        "CONTRIBUTION_INVALID",
        step="exchanged",
        origin=UNORDERED,
        by=1,
    ),
    _refused(
        "misused-trials",
        "a trial nonce used again after a wrong list",
        "NONCE_ALREADY_USED",
        step="after-exchanged",
        origin=UNORDERED,
        by=1,
    ),
    _vault("cheaters-key", "a vault with a key that the coordinator made alone", "VAULT_KEY"),
    _vault("another-vaults-key", "one generation shown as two vaults", "GROUP_KEY_USED"),
    _vault("earlier-key", "a vault with the key of an earlier attempt", "BAD_SIGNATURE"),
    _vault("cheaters-shares", "a vault with recovery data that the coordinator made alone", "BAD_SIGNATURE"),
    _vault("junk-key", "a vault with random bytes for its key", "VAULT_KEY"),
    _vault("statement-missing", "a vault without one holder's statement", "VAULT_STATEMENTS"),
    _vault("statement-twice", "a vault with one holder's statement twice", "VAULT_STATEMENTS"),
    _vault("statement-of-another-order", "a statement replayed from another vault's order", "BAD_SIGNATURE"),
    _vault("statement-forged", "a vault with a forged statement", "BAD_SIGNATURE"),
    _vault("trial-missing", "a vault whose key not all holders tried", "VAULT_TRIALS"),
    _vault("trial-twice", "a vault with one trial counted twice", "VAULT_TRIALS"),
    _vault("trial-forged", "a vault with forged trial signatures", "BAD_SIGNATURE"),
    _vault("trial-of-another-vault", "trial signatures replayed from another vault", "BAD_SIGNATURE"),
    _vault("payments-order", "a vault under the order of a payment", "VAULT_ORDER_MISMATCH"),
    _vault("unknown-order", "a vault under an order that nobody made", "ORDER_UNKNOWN"),
    _without("withheld", "no recovery data"),
    _without("another-vaults", "the recovery data of other vaults and attempts"),
    _without("random", "random bytes for recovery data"),
    _without("cut-off", "recovery data cut off"),
    _without("prolonged", "recovery data and one byte more"),
    _without("largest", "as much junk as a frame may hold"),
    _without("too-long", "a piece of recovery data that is too long", "FRAME_MALFORMED", signed=False),
    _without("too-many", "more recovery data than a frame may hold", "FRAME_MALFORMED", signed=False),
    _without("empty-piece", "an empty piece of recovery data", "FRAME_MALFORMED", signed=False),
    *_fetched("withheld", "no recovery data"),
    *_fetched("another-vaults", "another vault's recovery data"),
    *_fetched("random", "random bytes for recovery data"),
    *_fetched("cut-off", "recovery data cut off"),
    *_fetched("prolonged", "recovery data and one byte more"),
    *_fetched("largest", "as much junk as a frame may hold for recovery data"),
    *_fetched("too-long", "a piece of recovery data that is too long"),
    *_fetched("too-many", "more recovery data than a frame may hold"),
    *_fetched("empty-piece", "an empty piece of recovery data"),
]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    """A paid order, and two orders for vaults, approved while one signer is away; one of them but for one approval."""
    with running(funded(), "keygen") as cluster:
        cluster.start()
        asyncio.run(_pay(cluster))
        cluster.signer(cluster.signers[2]).stop()
        yield cluster


async def _pay(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await paid(cluster, people[0], await approved(people, payee()))


@pytest.fixture(scope="module")
def word(siege: Cluster) -> tuple[OrderHash, SignedBody]:
    """The approval that the coordinator has and the log lacks, and the order that it is for."""

    async def order() -> tuple[OrderHash, SignedBody]:
        async with actors(siege.deployment, "alice", "bob", "carol") as (alice, bob, carol):
            await ready(alice)
            first = await alice.create_vault(ORDERED, signers=siege.signers, threshold=2)
            await bob.approve(first)
            await carol.approve(first)
            third = await alice.create_vault(BORN, signers=siege.signers, threshold=2)
            await bob.approve(third)
            await carol.approve(third)
            second = await alice.create_vault(UNAPPROVED, signers=siege.signers, threshold=2)
            await bob.approve(second)
            return second, await carol.say(Verb.APPROVE, second)

    return asyncio.run(order())


@pytest.fixture(scope="module")
def outcomes(siege: Cluster, word: tuple[OrderHash, SignedBody]) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own, by one cheater."""
    siege.coordinator.stop()
    siege.deployment.start_signer(siege.signers[2])
    cheats = cheats_of(CASES, floods=["vault-without-recovery", "lies-to-who-catches-up"])
    return attacked_together(siege, cheats, words=[word[1]])


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


def test_whose_share_did_not_fit_complained_and_signed_nothing(outcomes: dict[str, Cheated]) -> None:
    for cheat, count in (("substituted-host-key", 2), ("wrong-shares", 3)):
        complaints = [line["signer"] for line in outcomes[cheat].events if line["event"] == "complained"]
        assert len(set(complaints)) == len(complaints) == count, cheat


def _kept(outcome: Cheated) -> dict[str, list[str]]:
    """By signer, the hashes of the recovery data that it had of what the cheater asked it for."""
    return {line["signer"]: line["hashes"] for line in outcome.events if line["event"] == "kept"}


def test_signers_keep_the_recovery_data_of_a_vault_that_was_born_and_nothing_that_was_sent_for_it(
    siege: Cluster, outcomes: dict[str, Cheated]
) -> None:
    assert _kept(outcomes["vault-without-recovery"]) == {name: [] for name in siege.signers}
    misled = outcomes["lies-to-who-catches-up"]
    born = next(line for line in misled.events if line["event"] == "born")
    has_it = {name: [] if name == born["behind"] else [born["hash"]] for name in siege.signers}
    assert _kept(misled) == has_it


async def test_an_honest_coordinator_generates_both_keys_in_the_end(
    siege: Cluster, outcomes: dict[str, Cheated], word: tuple[OrderHash, SignedBody]
) -> None:
    """The approval that the cheater logged was certified and not final: a term dropped it, and it is sent again.

    The vault that one signer missed goes on too: that signer gets what it lacked, and holds its share.
    """
    assert outcomes
    siege.deployment.start_coordinator()
    async with actors(siege.deployment, "alice", "bob", "carol") as (alice, _, carol):
        await ready(alice)
        await approve_once(carol, word[0])
        for name in (ORDERED, UNAPPROVED, BORN):
            await alice.wait_for_vault(name)
        names = [vault.record.name for vault in await alice.client.vaults()]
    assert sorted(names) == sorted([VAULT, ORDERED, UNAPPROVED, BORN])

    async def shares() -> bool:
        held = [vault for name in siege.signers for vault in siege.signer_status(name)["vaults"] if vault["has_share"]]
        return len(held) == 12

    await until(shares, timeout_s=60.0)
    assert all(siege.signer_status(name)["alarm"] is None for name in siege.signers)
