"""A dishonest coordinator, with and without one signer's keys, tries to get hold of a key while it gets new shares."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

import attack_cases
from actor import actors, funded_vault, ready, until
from attack_cases import Case, cheats_of
from cluster import VAULT, Cheated, Cluster, made, running, template
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from siege import attacked_together
from strongroom_client.demo.deployment import Deployment, Shape

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

OTHER = "customer-other"

UNORDERED = "on paper: shares are dealt out under the name of an order that never passed"
SWAPPED = "forget-and-forgive (ePrint 2020/1052): what one party deals is exchanged for the attacker's on its way"
REPLAY = "CVE-2022-47930: proofs of one session replayed in another"
DROPPED = "on paper: fewer parts than the threshold add up to another key"
SPLIT_VIEW = "split view: some parties think that a resharing succeeded, with another transcript"
RAISING = "Trail of Bits 2024 (wsts #87 and others): a longer commitment vector raises the threshold"
LOCKED = "forget-and-forgive (ePrint 2020/1052): a resharing after which no honest set can sign"
CLAIMED = "mpcium #78: a forged key generation result is believed"
STALE = "proactive secret sharing (Herzberg 1995): shares of two epochs are collected over time"
NONCES = "on paper: a signature without a plan is asked for under the name of a trial"
JUNK = "parsers: requests that are empty, endless or of the wrong size"


def attack(cheat: str, reason: str, title: str, origin: str, *, step: str, **options: Any) -> Any:
    return attack_cases.attack(cheat, title, reason, step=step, origin=origin, **options)


def _unordered(cheat: str, title: str, *, step: str = "deal", reason: str = "NEW_SHARES_NOT_ORDERED") -> Any:
    return attack(cheat, reason, title, UNORDERED, step=step)


def _misfit(cheat: str, step: str, title: str, *, origin: str = REPLAY, by: int = 3) -> Any:
    return attack(cheat, "REDISTRIBUTION_REFUSED", title, origin, step=step, by=by)


def _garbled(step: str, title: str, cheat: str = "garbled-dealings") -> Any:
    return attack(cheat, "SIGNED_BODY_INVALID", title, SWAPPED, step=step)


def _trial(step: str, reason: str, title: str, *, by: int = 1) -> Any:
    return attack("misused-epoch-trials", reason, title, NONCES, step=step, by=by)


def _entry(step: str, reason: str, title: str, *, cheat: str = "forged-epoch", origin: str = CLAIMED) -> Any:
    return attack(cheat, reason, title, origin, step=step, signed=True)


def _frame(step: str, title: str) -> Any:
    return attack("malformed-epoch-frames", "FRAME_MALFORMED", title, JUNK, step=step)


CASES = [
    _unordered("no-order-dealing", "a share dealt although nobody ordered new ones"),
    _unordered("no-order-dealing", "a new share received although nobody ordered one", step="receive"),
    _misfit("payments-order-dealing", "deal", "shares dealt under the order of a payment", origin=UNORDERED),
    _unordered("unapproved-dealing", "shares dealt for an order below its quorum", step="unapproved"),
    _unordered("unapproved-dealing", "shares dealt for an order that was rejected", step="rejected"),
    _unordered("unsettled-dealing", "shares dealt for an order that is not final"),
    _unordered("unaccepted-dealing", "shares for fewer signers dealt before the delay is over", step="too-early"),
    _unordered(
        "unaccepted-dealing",
        "shares for fewer signers dealt without the operators' consent",
        step="unaccepted",
        reason="NEW_SHARES_NOT_ACCEPTED",
    ),
    _misfit("unaccepted-dealing", "other-vault", "shares of a vault dealt that the order does not name"),
    _misfit("unaccepted-dealing", "no-vault", "shares dealt of a vault that does not exist"),
    _unordered("earlier-orders-dealings", "dealings shown after their order was rejected", step="rejected"),
    _misfit("earlier-orders-dealings", "replayed", "dealings of a rejected order replayed under the next"),
    _misfit("replayed-dealings", "attempt", "dealings of an earlier attempt replayed"),
    _misfit("replayed-dealings", "vault", "dealings of another vault replayed"),
    _misfit("replayed-dealings", "mixed", "one dealing of an earlier attempt among those of this one"),
    _misfit("replayed-dealings", "renamed", "dealings shown under the number of another attempt"),
    _misfit("replayed-dealings", "numberless", "dealings shown under no attempt"),
    attack(
        "dropped-dealings",
        "REDISTRIBUTION_DEALERS_TOO_FEW",
        "so many dealings dropped that they add up to another key",
        DROPPED,
        step="dropped",
    ),
    _misfit("dropped-dealings", "doubled", "one dealing counted twice", origin=DROPPED),
    _garbled("shares", "dealt shares exchanged on the way"),
    _garbled("commitments", "a dealer's commitments exchanged on the way"),
    _garbled("raised", "one more commitment put into a dealing on the way"),
    _garbled("nonce", "a dealer's encryption nonce exchanged on the way"),
    _garbled("in-anothers-name", "a dealing shown under another dealer's name"),
    _garbled("signature", "a dealing under another dealer's signature"),
    _garbled("junk", "random bytes for a dealing"),
    _garbled("truncated", "a dealing cut off"),
    _garbled("signers-name", "a dealing of the coordinator's own in a signer's name", "strangers-dealing"),
    _misfit("strangers-dealing", "own-name", "a dealing of somebody who holds no share", origin=SWAPPED),
    _frame("nameless", "a request for new shares that names no vault"),
    _frame("long-name", "a request for new shares with an endless name"),
    _frame("hashless", "a request for new shares with a short order hash"),
    _frame("no-dealings", "an empty list of dealings"),
    _frame("many-dealings", "more dealings than there can be holders"),
    _frame("nonces", "a trial of new shares with a nonce missing"),
    _frame("short-nonces", "a trial of new shares with nonces cut off"),
    _entry("left-out", "BAD_SIGNATURE", "split views of who dealt", cheat="split-dealings", origin=SPLIT_VIEW),
    _entry("dealt-twice", "BAD_SIGNATURE", "split views of what one dealt", cheat="split-dealings", origin=SPLIT_VIEW),
    _trial("not-received", "REDISTRIBUTION_REFUSED", "a trial of a share that was not received"),
    _trial("another-attempt", "REDISTRIBUTION_REFUSED", "a trial under the number of another attempt"),
    _trial("other-subset", "TRIAL_REFUSED", "a trial of new shares with other partners", by=2),
    _trial("not-in-subset", "TRIAL_REFUSED", "a trial of new shares by who takes no part in it"),
    _trial("twice", "TRIAL_REFUSED", "a trial of a new share signed twice with one nonce"),
    _trial("uncommitted", "TRIAL_REFUSED", "a trial of a new share without a nonce for it"),
    _trial("exchanged", "CONTRIBUTION_INVALID", "a trial of a new share under nonces without the own one"),
    _trial("after-exchanged", "NONCE_ALREADY_USED", "a nonce of a trial of new shares brought back"),
    _trial("of-another-share", "TRIAL_REFUSED", "a nonce made for one new share used with another", by=2),
    _entry("another-key", "VAULT_KEY", "new shares of a key of the coordinator's own"),
    _entry("another-vaults-key", "VAULT_KEY", "new shares of another vault's key"),
    _entry("another-chain-code", "VAULT_KEY", "new shares under another chain code, so that addresses change"),
    _entry("other-shares", "BAD_SIGNATURE", "public shares exchanged under the same key", origin=LOCKED),
    _entry("other-host-keys", "VAULT_KEY", "new shares for another host key"),
    _entry("holder-left-out", "VAULT_KEY", "new shares for fewer holders than ordered"),
    _entry("lower-threshold", "VAULT_KEY", "new shares of which fewer sign than ordered"),
    _entry("recovery-hash", "BAD_SIGNATURE", "recovery data of another vault under stated shares", origin=LOCKED),
    _entry("earlier-shares", "BAD_SIGNATURE", "new shares of an earlier attempt"),
    _entry("statement-missing", "VAULT_STATEMENTS", "new shares without one holder's statement", origin=LOCKED),
    _entry("statement-twice", "VAULT_STATEMENTS", "new shares with one holder's statement twice", origin=LOCKED),
    _entry("statement-replayed", "BAD_SIGNATURE", "a statement replayed from an earlier attempt"),
    _entry("statement-of-another-vault", "BAD_SIGNATURE", "a statement replayed from another vault's new shares"),
    _entry("statement-forged", "BAD_SIGNATURE", "a forged statement of new shares"),
    _entry("trial-missing", "VAULT_TRIALS", "new shares that not all holders tried", origin=LOCKED),
    _entry("trial-twice", "VAULT_TRIALS", "new shares with one trial counted twice", origin=LOCKED),
    _entry("trial-forged", "BAD_SIGNATURE", "new shares with forged trials"),
    _entry("trial-of-another-vault", "BAD_SIGNATURE", "trials replayed from another vault's new shares"),
    _entry("wrong-vault", "VAULT_KEY", "new shares of one vault logged for another"),
    _entry("payments-order", "EPOCH_ORDER_MISMATCH", "new shares under the order of a payment"),
    _entry("unknown-order", "ORDER_UNKNOWN", "new shares under an order that nobody made"),
    *(
        _entry(step, "RECOVERY_DATA_MISSING", title, cheat="withheld-recovery", origin=LOCKED)
        for step, title in (
            ("withheld", "new shares without the data that gives them back"),
            ("garbled", "new shares with garbled recovery data"),
            ("another", "new shares with the recovery data of others"),
        )
    ),
    attack(
        "earlier-epoch",
        "NONCE_FOR_ANOTHER_CONTEXT",
        "a share of the epoch before, when the next has begun",
        STALE,
        step="begun",
        signed=True,
        by=2,
    ),
    attack(
        "earlier-epoch",
        "WRONG_EPOCH",
        "nonces between two epochs, when some have old shares and some new ones",
        STALE,
        step="begun-commit",
        signed=True,
    ),
    attack(
        "earlier-epoch",
        "NONCE_FOR_ANOTHER_CONTEXT",
        "a share of the epoch before, when the next is final",
        STALE,
        step="final",
        signed=True,
        by=2,
    ),
    _entry("again", "EPOCH_ORDER_MISMATCH", "one epoch begun twice", cheat="earlier-epoch", origin=REPLAY),
    _misfit("earlier-epoch", "deal-again", "a dealing asked for after its epoch began", origin=STALE),
    _misfit("earlier-epoch", "receive-again", "dealings shown again after their epoch began"),
    _misfit("earlier-epoch", "try-again", "a trial of new shares after their epoch began", by=2),
]

IN_ORDER = (
    "no-order-dealing",
    "payments-order-dealing",
    "unapproved-dealing",
    "unaccepted-dealing",
    "unsettled-dealing",
    "earlier-orders-dealings",
)
"""Before an order for new shares stays open, or while none may be."""
LAST = ("withheld-recovery", "earlier-epoch")

ONE_BAD = "on paper: one bad holder deals what fits nothing, or deals to strangers"


def _with_one(cheat: str, step: str, title: str, reason: str = "REDISTRIBUTION_REFUSED") -> Any:
    return attack(cheat, reason, title, ONE_BAD, step=step, by=2, line="coordinator+signers")


FOR_OTHERS = [
    _with_one("mole-deals-for-others", "other-holders", "a stolen key's dealing for other holders"),
    _with_one("mole-deals-for-others", "other-host-keys", "a stolen key's dealing to another host key"),
    _with_one("mole-deals-for-others", "other-threshold", "a stolen key's dealing with a lower threshold"),
    _with_one("mole-deals-for-others", "other-epoch", "a stolen key's dealing for another epoch"),
    _with_one("mole-deals-for-others", "other-key", "a stolen key's dealing of another epoch's shares"),
]
WRONG_DEALINGS = {
    "raised": ("one commitment too many, which would raise the threshold", RAISING),
    "lowered": ("one commitment too few, which would lower the threshold", RAISING),
    "no-points": ("commitments to nothing", ONE_BAD),
    "no-nonce": ("an encryption nonce that is no point", ONE_BAD),
    "fewer-shares": ("a share too few", ONE_BAD),
    "no-numbers": ("a share that is no number below the order", ONE_BAD),
    "other-commitments": ("commitments to another polynomial", LOCKED),
    "other-shares": ("shares of another secret", LOCKED),
}


def _short_delay(source: str) -> str:
    """The proposed charter with a loosening delay that a test can wait out."""
    changed = source.replace('loosening_delay = "2d"', 'loosening_delay = "1s"')
    assert changed != source
    return changed


@cache
def two_vaults() -> Deployment:
    """A stopped deployment with two final vaults of the same three holders; use a copy."""
    shape = Shape(edit=_short_delay)
    return template("two-vaults", shape, lambda root: made(root, shape, _make_vaults))


async def _make_vaults(deployment: Deployment) -> None:
    async with actors(deployment, *deployment.shape.treasury) as people:
        first, *others = people
        await ready(first)
        order = await first.create_vault(OTHER, signers=deployment.shape.signers, threshold=2)
        for other in others:
            await other.approve(order)
        await first.wait_for_vault(OTHER)
        await funded_vault(deployment, people, VAULT, coins=2)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with running(two_vaults(), "new-shares") as cluster:
        cluster.start()
        asyncio.run(_pay(cluster))
        yield cluster


async def _pay(cluster: Cluster) -> None:
    async with actors(cluster.deployment, *cluster.deployment.shape.treasury) as people:
        await ready(people[0])
        await paid(cluster, people[0], await approved(people, payee()))


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own; the last one really begins an epoch."""
    named = cheats_of(CASES)
    between = [name for name in named if name not in (*IN_ORDER, *LAST)]
    return attacked_together(siege, [*IN_ORDER, *between, *LAST])


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


@pytest.fixture(scope="module")
def with_a_mole(siege: Cluster, outcomes: dict[str, Cheated]) -> dict[str, Cheated]:
    """The cheats of a coordinator that has the keys of the last signer."""
    assert outcomes
    stolen = siege.signers[-1]
    siege.deployment.signers.pop(stolen).stop()
    (siege.root / "stolen").write_text(stolen)
    return attacked_together(siege, ["mole-deals-for-others", "mole-deals-wrongly"])


@pytest.mark.parametrize("case", FOR_OTHERS)
def test_what_a_bad_holder_deals_to_others_is_refused(with_a_mole: dict[str, Cheated], case: Case) -> None:
    case.check(with_a_mole)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            marks=pytest.mark.attack(
                line="coordinator+signers", title=f"a signer's dealing with {title}", origin=origin
            ),
        )
        for step, (title, origin) in WRONG_DEALINGS.items()
    ],
)
def test_a_bad_dealing_names_its_dealer_and_nobody_else(
    siege: Cluster, with_a_mole: dict[str, Cheated], step: str
) -> None:
    events = with_a_mole["mole-deals-wrongly"].events
    disputes = {
        line["signer"]: line["dealers"] for line in events if line["event"] == "disputed" and line["step"] == step
    }
    honest, bad = siege.signers[:-1], siege.signers[-1]
    assert disputes == {name: [bad] for name in honest}
    for name in honest:
        lines = [line for line in siege.signer(name).events if line.get("event") == "epoch.dealings_disputed"]
        assert len(lines) == len(WRONG_DEALINGS), f"{name}: one line for the operator each"
        assert all(f"{bad}: " in line["message"] and "leave these dealers out" in line["message"] for line in lines)


async def test_an_honest_coordinator_ends_what_was_ordered_and_pays_with_the_new_shares(
    siege: Cluster, outcomes: dict[str, Cheated]
) -> None:
    """The cheater left one vault in its second epoch, a plan of the first, and an order that waits for the other."""
    assert outcomes
    if siege.signers[-1] not in siege.deployment.signers:
        siege.deployment.start_signer(siege.signers[-1])
    siege.deployment.start_coordinator()
    destination = payee()
    async with actors(siege.deployment, "alice", "bob", "carol") as people:
        alice = people[0]
        await ready(alice)

        async def epochs() -> bool:
            vaults = {vault.record.name: vault.record.epoch for vault in await alice.client.vaults()}
            return vaults == {VAULT: 2, OTHER: 2}

        await until(epochs, timeout_s=60.0)
        await paid(siege, alice, await approved(people, destination))

    async def shares() -> bool:
        held = [vault for name in siege.signers for vault in siege.signer_status(name)["vaults"] if vault["has_share"]]
        return len(held) == 6

    await until(shares, timeout_s=60.0)
    assert payments_on_chain(siege, destination) == [AMOUNT]
    assert all(siege.signer_status(name)["alarm"] is None for name in siege.signers)
    siege.audit()
