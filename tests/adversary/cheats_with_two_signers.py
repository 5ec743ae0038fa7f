"""Cheats of a coordinator that has two of five signers: one share less than a signature takes, and two votes.

Their names are in the file named `stolen`, their folders beside the cheater's; their daemons do not run. Two words are
missing for whatever no honest signer votes for, and one share for whatever no honest signer signs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import AMOUNT, COIN, DAY_MS, HOT, claimed, ordered, payee_of, pays, withdrawal
from rogue_plans import as_inputs, fresh_coins, now_ms
from rogue_shares import finished, in_vault_order
from stolen_signers import Mole, stolen_signers

from electorate_of import certificate_by, electorate
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger import codec, merkle
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import OrderEntry, Plan
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.signed_messages import Commitments
from strongroom.protocol.certificates import verify_vote
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body

LIMIT_SAT, LARGEST_SAT = 40 * COIN, 5 * COIN // 2
"""Most of the proposed charter's rule in 24 hours, and in one order."""


@dataclass(frozen=True)
class Spare:
    """A payment that every rule allows, and what honest signers gave for it; not used yet."""

    plan: Plan
    index: int
    commitments: dict[str, SignedBody]


async def _spare(rogue: RogueLeader) -> Spare:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    index, commitments = await rogue.append_honestly(ordered(rogue, order), plan, commit=True)
    return Spare(plan, index, commitments)


def _certificates(rogue: RogueLeader, head: Head) -> dict[str, Certificate]:
    """What two stolen vote keys can say of a head: two votes, and the same with made-up ones of honest signers."""
    moles, honest = stolen_signers(rogue), list(rogue.links)
    known = electorate(rogue.electorate.vote_keys)
    votes = [verify_vote(mole.name, mole.vote(head), log_id=rogue.log_id, electorate=known) for mole in moles]
    few = certificate_by(votes, len(votes))
    absent = honest[: rogue.electorate.witness_quorum - len(moles)]
    made_up = [replace(few.votes[0], signer=name) for name in absent]
    forged = replace(few, votes=tuple(sorted((*few.votes, *made_up), key=lambda vote: vote.signer)))
    return {"too-few": few, "forged": forged}


def _moved(mole: Mole, spare: Spare, plan: Plan, index: int) -> SignedBody:
    """Good nonces of a stolen share, said to be for another payment."""
    genuine = codec.decode(Commitments, mole.commitments(spare.plan, spare.index).body, max_size=MAX_BODY_BYTES)
    moved = replace(genuine, entry_index=index, plan_hash=plan_hash(codec.encode(plan)))
    return sign_body("commitments", moved, mole.keys.vote)


async def _overruled(rogue: RogueLeader, spare: Spare, *bodies: OrderEntry | Plan) -> None:
    """Do all that two votes and two shares can do for a batch whose last entry is a payment that no rule allows."""
    moles, plan = stolen_signers(rogue), bodies[-1]
    if len(moles) != 2 or not isinstance(plan, Plan):
        raise NothingToCheatWith(f"{len(moles)} signers were stolen, not two")
    entries = rogue.entries_of(bodies)
    index = len(rogue.entries) + len(entries) - 1
    await rogue.append(entries, commit_for=[index])
    await rogue.commit(index)
    root = merkle.root_of([merkle.leaf_hash(entry) for entry in (*rogue.entries, *entries)])
    head = Head(log_id=rogue.log_id, term=rogue.term, size=index + 1, root=root, state_digest=os.urandom(32))
    shown = _certificates(rogue, head)
    theirs = {mole.name: _moved(mole, spare, plan, index) for mole in moles}
    for victim in rogue.links:
        chosen = in_vault_order(rogue, plan, {**theirs, victim: spare.commitments[victim]})
        for step, certificate in shown.items():
            await rogue.release(index, chosen, to=[victim], certificate=certificate, step=step)
        await rogue.release(index, chosen, to=[victim], certificate=rogue.certificate)
        await rogue.release(spare.index, chosen, to=[victim], step="under-an-allowed-one")


@cheat("moles-need-one-more", "With two of five signers' keys, has an approved payment signed by one honest signer.")
async def moles_need_one_more(rogue: RogueLeader) -> None:
    """No attack, and the measure of all others: two stolen shares are good, and one honest share is all they lack."""
    order = withdrawal(rogue)
    plan = pays(rogue, order, inputs=as_inputs(fresh_coins(rogue, HOT)))
    index, commitments = await rogue.append_honestly(ordered(rogue, order), plan, commit=True)
    if rogue.certificate is None:
        raise NothingToCheatWith("there is no certificate")
    name = min(commitments)
    moles = stolen_signers(rogue)
    raw = await finished(rogue, plan, index, {name: commitments[name]}, rogue.certificate, stolen=moles)
    rogue.report.say("finished", signer=name, raw=raw.hex(), payee=payee_of(order))


@cheat("moles-pay-unapproved", "With two of five signers' keys, pays an order that lacks one approval.")
async def moles_pay_unapproved(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, order, approved=("bob",)))
    await _overruled(rogue, await _spare(rogue), pays(rogue, order))


@cheat("moles-change-amount", "With two of five signers' keys, pays ten times the amount that was approved.")
async def moles_change_amount(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    forged = withdrawal(rogue, amount=10 * AMOUNT, destination=payee_of(order))
    words = ordered(rogue, order).endorsements
    entry = OrderEntry(order=forged.data, endorsements=words)
    await _overruled(rogue, await _spare(rogue), entry, pays(rogue, forged))


@cheat("moles-pay-over-limit", "With two of five signers' keys, pays more in a day than the rules allow.")
async def moles_pay_over_limit(rogue: RogueLeader) -> None:
    """The limit is used up before, with orders that everybody approved."""
    spare, now = await _spare(rogue), max(now_ms(), rogue.state.time_ms)
    room = LIMIT_SAT - rogue.state.window_total(("*",), REGTEST.asset_id, now - DAY_MS, now)
    amounts = [LARGEST_SAT] * (room // LARGEST_SAT) + ([room % LARGEST_SAT] if room % LARGEST_SAT else [])
    orders = [withdrawal(rogue, amount=amount) for amount in amounts]
    full = pays(rogue, *orders, inputs=[claimed(LIMIT_SAT + COIN)])
    await rogue.append_honestly(*(ordered(rogue, order) for order in orders), full)
    further = withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, further))
    await _overruled(rogue, spare, pays(rogue, further))
