"""Cheats with what is paid: other amounts and payees, twice, too early, lost change, coins that do not exist."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import HOT, claimed, drafted, ordered, payee_of, pays, withdrawal
from rogue_plans import (
    acceptable_plan,
    as_inputs,
    forced,
    fresh_coins,
    now_ms,
    open_order,
    order_of,
    paid_order,
    plan_for,
    words_of,
)

from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Change, OrderEntry, Plan, PlanInput, PlanOutput
from strongroom.ledger.order_messages import CancelWithdraw, Withdraw
from strongroom.ledger.plans import plan_hash
from strongroom.protocol.signed import SignedBody
from strongroom_client.orders import DraftedOrder

SMALL_SAT = 20_000


async def _altered_order(rogue: RogueLeader, change: Callable[[Withdraw], Withdraw]) -> None:
    """Log a genuine order's words over other bytes; the id is new, so that only the words can be wrong."""
    record, action = paid_order(rogue)
    forged = codec.encode(replace(order_of(record), id=os.urandom(16), action=change(action)))
    await forced(rogue, OrderEntry(order=forged, endorsements=words_of(rogue, record.hash)))


@cheat("change-amount", "Shows the signers a genuine approval, but over ten times the amount that was approved.")
async def change_amount(rogue: RogueLeader) -> None:
    await _altered_order(rogue, lambda action: replace(action, amount=action.amount * 10))


@cheat("change-destination", "Shows the signers a genuine approval, but with its own address as the payee.")
async def change_destination(rogue: RogueLeader) -> None:
    own = address_of(b"\x00\x14" + os.urandom(20), REGTEST)
    await _altered_order(rogue, lambda action: replace(action, destination=own))


@cheat("pay-twice", "Proposes a second payment of an order that was paid, from other coins of the vault.")
async def pay_twice(rogue: RogueLeader) -> None:
    record, action = paid_order(rogue)
    await forced(rogue, plan_for(rogue, record, as_inputs(fresh_coins(rogue, action.vault))))


@cheat("pay-without-approval", "Proposes to pay an order that was asked for, but that too few people approved.")
async def pay_without_approval(rogue: RogueLeader) -> None:
    record, action = open_order(rogue)
    await forced(rogue, plan_for(rogue, record, as_inputs(fresh_coins(rogue, action.vault))))


@cheat("reuse-approvals", "Submits a paid order once more, word for word with its approvals, to have it paid again.")
async def reuse_approvals(rogue: RogueLeader) -> None:
    record, _ = paid_order(rogue)
    await forced(rogue, OrderEntry(order=record.order, endorsements=words_of(rogue, record.hash)))


@cheat("merge-payments", "Makes a transaction that pays one order with two outputs, and calls both approved.")
async def merge_payments(rogue: RogueLeader) -> None:
    plan = acceptable_plan(rogue)
    twice = (plan.outputs[0], *plan.outputs)
    await forced(rogue, replace(plan, outputs=twice))


@cheat("lose-change", "Sends the change to an address so far out that no wallet of the organisation would find it.")
async def lose_change(rogue: RogueLeader) -> None:
    record, action = paid_order(rogue)
    coins = as_inputs(fresh_coins(rogue, action.vault))
    await forced(rogue, plan_for(rogue, record, coins, change_index=2_000_000_000))


@cheat("burn-fees", "Gives half of a coin to the miners as a network fee.")
async def burn_fees(rogue: RogueLeader) -> None:
    plan = acceptable_plan(rogue)
    change = plan.outputs[1].target
    if not isinstance(change, Change):
        raise NothingToCheatWith("the plan has no change")
    half = PlanOutput(target=replace(change, amount_sat=change.amount_sat // 2))
    await forced(rogue, replace(plan, outputs=(plan.outputs[0], half)))


@cheat("foreign-log", "Replays an order of another organisation's log, with genuine approvals.")
async def foreign_log(rogue: RogueLeader) -> None:
    record, _ = paid_order(rogue)
    foreign = codec.encode(replace(order_of(record), log_id=os.urandom(32), id=os.urandom(16)))
    await forced(rogue, OrderEntry(order=foreign, endorsements=words_of(rogue, record.hash)))


@cheat("poison-input", "Plans an approved payment with a coin that does not exist, to lock all real coins up with it.")
async def poison_input(rogue: RogueLeader) -> None:
    """Signers have no chain, so this is accepted; what counts is that an honest coordinator can go on after it."""
    await rogue.log_words()
    record, action = open_order(rogue)
    real = as_inputs(rogue.coins(action.vault))
    if not real or not isinstance(order_of(record).action, Withdraw):
        raise NothingToCheatWith("no coin to lock up")
    missing = PlanInput(txid=os.urandom(32), vout=0, amount_sat=100_000_000, branch=0, index=0)
    plan: Plan = plan_for(rogue, record, [missing, *real])
    index, _ = await rogue.append_honestly(plan)
    await _settled(rogue)
    name = plan_hash(codec.encode(plan))
    rogue.report.say("poisoned", entry_index=index, coins=len(plan.inputs) - 1, plan=name.hex())


MANY = 500
EXPIRES_MS = 8_000


async def _settled(rogue: RogueLeader) -> None:
    """Make final what was logged: the next term drops what lies under a certificate that no signer was shown."""
    for _ in range(3):
        await rogue.tick()


async def _many_orders(rogue: RogueLeader) -> list[DraftedOrder]:
    """All orders of a batch but the last, approved and logged."""
    orders = [withdrawal(rogue, amount=SMALL_SAT) for _ in range(MANY - 1)]
    for first in range(0, len(orders), 100):
        await rogue.append_honestly(*(ordered(rogue, order) for order in orders[first : first + 100]))
    return orders


async def _poisoned(rogue: RogueLeader, orders: Sequence[DraftedOrder], last: DraftedOrder) -> int:
    """Log the last order, and one plan for all: one coin does not exist, all the others are the vault's; its index."""
    coins = as_inputs(rogue.coins(HOT))
    plan = pays(rogue, *orders, last, inputs=[claimed(), *coins], fee_sat=100_000)
    index, _ = await rogue.append_honestly(ordered(rogue, last), plan)
    await _settled(rogue)
    facts = {"last": payee_of(last), "order": last.hash.hex(), "coins": len(coins)}
    rogue.report.say("planned", payees=[payee_of(order) for order in orders], **facts)
    return index


async def _has_nobody_sign(rogue: RogueLeader, index: int) -> None:
    given = await rogue.commit(index)
    await rogue.release(index, given.values() or [SignedBody(body=b"\x00", signature=bytes(64))])


@cheat("expired-in-batch", "Pays hundreds of orders together with one that is about to expire, to block them all.")
async def expired_in_batch(rogue: RogueLeader) -> None:
    """Accepted while nothing has expired, and poisoned.

    Nobody signs it once the one order has expired. An honest coordinator must get the others paid all the same.
    """
    orders = await _many_orders(rogue)
    last = withdrawal(rogue, amount=SMALL_SAT, expires_in_ms=EXPIRES_MS)
    expires_ms = now_ms() + EXPIRES_MS
    index = await _poisoned(rogue, orders, last)
    await asyncio.sleep(max(expires_ms - now_ms(), 0) / 1000 + 0.2)
    await _has_nobody_sign(rogue, index)


@cheat("cancelled-in-batch", "Pays hundreds of orders together with one that is cancelled, to block them all.")
async def cancelled_in_batch(rogue: RogueLeader) -> None:
    """Whoever ordered it cancels it, and nobody signs the plan any more; all coins of the vault are in that plan."""
    last = withdrawal(rogue, amount=SMALL_SAT)
    index = await _poisoned(rogue, await _many_orders(rogue), last)
    cancel = drafted(rogue, CancelWithdraw(order_hash=last.hash, max_fee=100_000))
    await rogue.append_honestly(ordered(rogue, cancel, approved=()))
    await _settled(rogue)
    await _has_nobody_sign(rogue, index)
