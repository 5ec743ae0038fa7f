"""Cheats with new shares of a key: dealings that nobody ordered, or that are garbled, replayed, left out or exchanged.

They need a charter with a short loosening delay and two vaults of the same holders, as the tests of these cheats have.
What can be forged of a new epoch's entry is in `cheats_on_epochs`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import HOT, drafted, ordered, said, withdrawal
from stolen_signers import Mole, stolen_signer

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto.curve import GENERATOR
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import ORDER
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.signed_messages import Dealing, Verb
from strongroom.protocol.redistribution import Stated, deal
from strongroom.protocol.redistribution_orders import key_change_of, redistribution_terms
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom_client.orders import DraftedOrder
from strongroom_coordinator.link_frames import signed_of, signed_pb

OTHER = "customer-other"
"""A second vault of the same holders."""
LOOSENING_S = 1.0
ENTRIES_TO_BE_FINAL = 3
"""An order is final at the signers once they hold a certificate whose votes name one of this very term."""


# --- orders -----------------------------------------------------------------------------------------------------------


async def final(rogue: RogueLeader) -> None:
    """Log empty entries until all that was logged before is final at every signer."""
    for _ in range(ENTRIES_TO_BE_FINAL):
        await rogue.tick()


def known(rogue: RogueLeader, order_hash: bytes) -> OrderRecord:
    """The record of an order that this cheater logged."""
    record = rogue.state.order(order_hash)
    if record is None:
        raise NothingToCheatWith(f"the log has no order {order_hash.hex()}")
    return record


def _refresh(rogue: RogueLeader) -> DraftedOrder:
    return drafted(rogue, RefreshShares(vaults=(HOT, OTHER), absent=()))


async def refresh_order(rogue: RogueLeader) -> OrderRecord:
    """The approved order for new shares of both vaults, final at every signer; made where there is none."""
    found = [
        record for record in rogue.state.open_orders() if key_change_of(record) and record.state is OrderState.OPEN
    ]
    if not found:
        order = _refresh(rogue)
        await rogue.append_honestly(ordered(rogue, order))
        found = [known(rogue, order.hash)]
    await final(rogue)
    return found[0]


# --- an honest ceremony, to depart from -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dealt:
    """The genuine dealings of one attempt, by dealer."""

    terms: RedistributionTerms
    dealings: Mapping[str, SignedBody]

    def place(self, **other: Any) -> dict[str, Any]:
        """What a request names, or that with something else in it."""
        named = {"order_hash": self.terms.order_hash, "vault": self.terms.vault, "attempt": self.terms.attempt}
        return {**named, **other}

    def all(self) -> list[SignedBody]:
        return list(self.dealings.values())


async def dealt(rogue: RogueLeader, vault: str = HOT, *, by: Collection[str] | None = None) -> Dealt:
    """Have the holders deal for a new attempt, as an honest coordinator would."""
    record = await refresh_order(rogue)
    rogue.attempt += 1
    terms = redistribution_terms(rogue.state, record, vault, rogue.attempt)
    made = Dealt(terms=terms, dealings={})
    dealings = {}
    for signer in terms.holders:
        if signer in rogue.stolen or (by is not None and signer not in by):
            continue
        reply = await rogue.ask(signer, pb.Deal(**made.place()), "dealing")
        if reply is None:
            raise NothingToCheatWith(f"{signer} did not deal")
        dealings[signer] = signed_of(reply.dealt.dealing)
    return replace(made, dealings=dealings)


async def shown(
    rogue: RogueLeader,
    attempt: Dealt,
    dealings: Sequence[SignedBody],
    step: str,
    /,
    *,
    to: Collection[str] | None = None,
    honest: bool = False,
    **place: Any,
) -> dict[str, Stated]:
    """Show dealings to the new holders; their statements. Who disputes them states nothing."""
    given: dict[str, Stated] = {}
    for signer in rogue.links if to is None else to:
        frame = pb.Receive(**attempt.place(**place), dealings=[signed_pb(one) for one in dealings])
        reply = await rogue.ask(signer, frame, step)
        if reply is None:
            continue
        if reply.WhichOneof("body") == "dealings_disputed":
            rogue.report.say("disputed", signer=signer, step=step, dealers=list(reply.dealings_disputed.dealers))
            continue
        stated = reply.stated
        given[signer] = Stated(signature=stated.signature, recovery_hash=stated.recovery_hash, key_hash=stated.key_hash)
        if not honest:
            rogue.report.believed(signer, f"it stated that it holds a new share: {step}")
    return given


def opened(dealing: SignedBody) -> Dealing:
    """What a dealing says."""
    return codec.decode(Dealing, dealing.body, max_size=MAX_BODY_BYTES)


def altered(dealing: SignedBody, **parts: Any) -> SignedBody:
    """Another dealing under the same signature."""
    return SignedBody(body=codec.encode(replace(opened(dealing), **parts)), signature=dealing.signature)


# --- dealings that nobody ordered -------------------------------------------------------------------------------------


async def _ask_all_to_deal(rogue: RogueLeader, step: str, **place: Any) -> None:
    for signer in rogue.links:
        if await rogue.ask(signer, pb.Deal(**place), step) is not None:
            rogue.report.believed(signer, f"it dealt its share: {step}")


@cheat("no-order-dealing", "Has the signers share out a key although nobody ordered new shares.")
async def no_order_dealing(rogue: RogueLeader) -> None:
    place = {"order_hash": os.urandom(32), "vault": HOT, "attempt": 1}
    await _ask_all_to_deal(rogue, "deal", **place)
    with SigningKey.generate(os.urandom) as key:
        junk = sign_body("dealing", _strangers_dealing(rogue), key)
    for signer in rogue.links:
        if await rogue.ask(signer, pb.Receive(**place, dealings=[signed_pb(junk)]), "receive") is not None:
            rogue.report.believed(signer, "it took a share of a key that nobody handed on")


def _strangers_dealing(rogue: RogueLeader) -> Dealing:
    return Dealing(
        log_id=rogue.log_id,
        order_hash=os.urandom(32),
        vault=HOT,
        attempt=1,
        epoch=2,
        terms_hash=os.urandom(32),
        commitments=(GENERATOR.serialise(),),
        pubnonce=GENERATOR.serialise(),
        encrypted_shares=(bytes(32),) * 3,
        signer=next(iter(rogue.links)),
    )


@cheat("payments-order-dealing", "Has the signers share out a key under an approved order to pay somebody.")
async def payments_order_dealing(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, order))
    await final(rogue)
    await _ask_all_to_deal(rogue, "deal", order_hash=order.hash, vault=HOT, attempt=1)


@cheat("unapproved-dealing", "Has the signers share out a key for an order below its quorum, and for a rejected one.")
async def unapproved_dealing(rogue: RogueLeader) -> None:
    order = _refresh(rogue)
    place = {"order_hash": order.hash, "vault": HOT, "attempt": 1}
    await rogue.append_honestly(ordered(rogue, order, approved=()))
    await final(rogue)
    await _ask_all_to_deal(rogue, "unapproved", **place)
    await _rejected(rogue, order.hash)
    await _ask_all_to_deal(rogue, "rejected", **place)


async def _rejected(rogue: RogueLeader, order_hash: bytes) -> None:
    await rogue.append_honestly(Endorse(endorsement=said(rogue, Verb.REJECT, order_hash, "bob")))
    await final(rogue)


@cheat("unsettled-dealing", "Has the signers share out a key for an order that the log may still lose.")
async def unsettled_dealing(rogue: RogueLeader) -> None:
    order = _refresh(rogue)
    await rogue.append_honestly(ordered(rogue, order))
    await _ask_all_to_deal(rogue, "deal", order_hash=order.hash, vault=HOT, attempt=1)


@cheat("unaccepted-dealing", "Lets fewer signers pay together, without waiting, and without their operators' consent.")
async def unaccepted_dealing(rogue: RogueLeader) -> None:
    signers = tuple(rogue.electorate.vote_keys)
    order = drafted(rogue, ReshareVault(vault=HOT, signers=signers, threshold=1, absent=()))
    place = {"order_hash": order.hash, "vault": HOT, "attempt": 1}
    await rogue.append_honestly(ordered(rogue, order))
    await final(rogue)
    await _ask_all_to_deal(rogue, "too-early", **place)
    await asyncio.sleep(LOOSENING_S)
    # The delay is over when an entry from after it is final, too.
    await rogue.tick()
    await final(rogue)
    await _ask_all_to_deal(rogue, "unaccepted", **place)
    await _ask_all_to_deal(rogue, "other-vault", **{**place, "vault": OTHER})
    await _ask_all_to_deal(rogue, "no-vault", **{**place, "vault": "no-such-vault"})
    await _rejected(rogue, order.hash)


# --- dealings on their way --------------------------------------------------------------------------------------------


@cheat("earlier-orders-dealings", "Shows dealings that were made for an order which people have rejected since.")
async def earlier_orders_dealings(rogue: RogueLeader) -> None:
    earlier = await dealt(rogue)
    await _rejected(rogue, earlier.terms.order_hash)
    await shown(rogue, earlier, earlier.all(), "rejected")
    now = await dealt(rogue)
    await shown(rogue, now, earlier.all(), "replayed")


@cheat("replayed-dealings", "Shows dealings of another attempt, or of another vault, for those that are due.")
async def replayed_dealings(rogue: RogueLeader) -> None:
    earlier, other = await dealt(rogue), await dealt(rogue, OTHER)
    now = await dealt(rogue)
    await shown(rogue, now, earlier.all(), "attempt")
    await shown(rogue, now, other.all(), "vault")
    await shown(rogue, now, [now.all()[0], *earlier.all()[1:]], "mixed")
    await shown(rogue, now, now.all(), "renamed", attempt=now.terms.attempt + 1)
    await shown(rogue, now, now.all(), "numberless", attempt=0)


@cheat("dropped-dealings", "Leaves so many dealings out, or counts one twice, that they would add up to another key.")
async def dropped_dealings(rogue: RogueLeader) -> None:
    attempt = await dealt(rogue)
    first, second, *_ = attempt.all()
    await shown(rogue, attempt, [first], "dropped")
    await shown(rogue, attempt, [first, second, first], "doubled")


@cheat(
    "garbled-dealings", "Changes what was dealt on its way, exchanges names, and passes other words off as a dealing."
)
async def garbled_dealings(rogue: RogueLeader) -> None:
    attempt = await dealt(rogue)
    first, *others = attempt.all()
    told = opened(first)
    tries = {
        "shares": altered(first, encrypted_shares=told.encrypted_shares[::-1]),
        "commitments": altered(first, commitments=(GENERATOR.serialise(),) * len(told.commitments)),
        "raised": altered(first, commitments=(*told.commitments, GENERATOR.serialise())),
        "nonce": altered(first, pubnonce=opened(others[0]).pubnonce),
        "in-anothers-name": altered(first, signer=opened(others[0]).signer),
        "signature": replace(first, signature=others[0].signature),
        "junk": SignedBody(body=os.urandom(len(first.body)), signature=first.signature),
        "truncated": replace(first, body=first.body[:-1]),
    }
    for step, garbled in tries.items():
        await shown(rogue, attempt, [garbled, *others], step)


@cheat("strangers-dealing", "Deals in a signer's place with a key of its own.")
async def strangers_dealing(rogue: RogueLeader) -> None:
    attempt = await dealt(rogue)
    first, *others = attempt.all()
    with SigningKey.generate(os.urandom) as key:
        own = sign_body("dealing", opened(first), key)
        stranger = sign_body("dealing", replace(opened(first), signer="stranger"), key)
    await shown(rogue, attempt, [own, *others], "signers-name")
    await shown(rogue, attempt, [stranger, *others], "own-name")


@cheat("malformed-epoch-frames", "Sends requests about new shares that are none: empty, endless, or of the wrong size.")
async def malformed_epoch_frames(rogue: RogueLeader) -> None:
    attempt = await dealt(rogue)
    place, dealings = attempt.place(), [signed_pb(one) for one in attempt.all()]
    frames = {
        "nameless": pb.Deal(**attempt.place(vault="")),
        "long-name": pb.Deal(**attempt.place(vault="v" * 10_000)),
        "hashless": pb.Deal(**attempt.place(order_hash=bytes(31))),
        "no-dealings": pb.Receive(**place, dealings=[]),
        "many-dealings": pb.Receive(**place, dealings=[dealings[0]] * 101),
        "nonces": pb.EpochTrialSign(**place, signers=(0, 1), nonces=[GENERATOR.serialise() * 2]),
        "short-nonces": pb.EpochTrialSign(**place, signers=(0, 1), nonces=[bytes(65)] * 2),
    }
    for step, frame in frames.items():
        for signer in rogue.links:
            if await rogue.ask(signer, frame, step) is not None:
                rogue.report.believed(signer, f"it answered a request that is none: {step}")


# --- with one signer's keys -------------------------------------------------------------------------------------------


def _malformed(dealing: Dealing) -> dict[str, Dealing]:
    """Dealings that everybody sees to be wrong; the last is wrong only for who opens it."""
    more_points, fewer = (*dealing.commitments, GENERATOR.serialise()), dealing.commitments[:-1]
    others = dealing.encrypted_shares[1:]
    return {
        "raised": replace(dealing, commitments=more_points),
        "lowered": replace(dealing, commitments=fewer),
        "no-points": replace(dealing, commitments=(bytes(33),) * len(dealing.commitments)),
        "no-nonce": replace(dealing, pubnonce=bytes(33)),
        "fewer-shares": replace(dealing, encrypted_shares=others),
        "no-numbers": replace(dealing, encrypted_shares=(ORDER.to_bytes(32, "big"), *others)),
        "other-commitments": replace(dealing, commitments=(GENERATOR.serialise(),) * len(dealing.commitments)),
        "other-shares": replace(dealing, encrypted_shares=tuple(_next(one) for one in dealing.encrypted_shares)),
    }


def _next(scalar: bytes) -> bytes:
    return ((int.from_bytes(scalar, "big") + 1) % ORDER).to_bytes(32, "big")


def _of_mole(mole: Mole, terms: RedistributionTerms) -> Dealing:
    """An honest dealing of the signer whose keys were stolen."""
    share = mole.share(terms.vault, terms.epoch - 1)
    made = deal(terms, signer=mole.name, share=share, vote_key=mole.keys.vote, random32=os.urandom(32))
    return opened(made)


@cheat("mole-deals-wrongly", "With one signer's keys, deals shares that fit nothing, genuinely signed.")
async def mole_deals_wrongly(rogue: RogueLeader) -> None:
    mole, attempt = stolen_signer(rogue), await dealt(rogue, OTHER)
    for step, wrong in _malformed(_of_mole(mole, attempt.terms)).items():
        await shown(rogue, attempt, [*attempt.all(), sign_body("dealing", wrong, mole.keys.vote)], step)


@cheat(
    "mole-deals-for-others", "With one signer's keys, deals under an order for other holders, keys or numbers of them."
)
async def mole_deals_for_others(rogue: RogueLeader) -> None:
    mole, attempt = stolen_signer(rogue), await dealt(rogue, OTHER)
    terms = attempt.terms
    own = (GENERATOR * (int.from_bytes(os.urandom(31), "big") + 2)).serialise()
    others: dict[str, Callable[[], RedistributionTerms]] = {
        "other-holders": lambda: replace(terms, signers=(*terms.signers[:-1], "stranger")),
        "other-host-keys": lambda: replace(terms, host_keys=(*terms.host_keys[:-1], own)),
        "other-threshold": lambda: replace(terms, threshold=terms.threshold - 1),
        "other-epoch": lambda: replace(terms, epoch=terms.epoch + 1),
        "other-key": lambda: replace(terms, key_hash=os.urandom(32)),
    }
    share = mole.share(terms.vault, terms.epoch - 1)
    for step, change in others.items():
        dealing = deal(change(), signer=mole.name, share=share, vote_key=mole.keys.vote, random32=os.urandom(32))
        await shown(rogue, attempt, [*attempt.all(), dealing], step)
