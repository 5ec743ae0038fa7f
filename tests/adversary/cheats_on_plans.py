"""Cheats with a transaction plan under genuine orders: its outputs, its coins, its fee, and what it comes after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from cheat_report import cheat
from rogue_leader import RogueLeader
from rogue_people import (
    AMOUNT,
    COIN,
    claimed,
    drafted,
    field,
    more,
    ordered,
    payee,
    pays,
    raw_entry,
    raw_plan,
    with_change,
    withdrawal,
)
from rogue_plans import forced, now_ms

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import OrderPayment, Plan, PlanInput, PlanOutput
from strongroom.ledger.order_messages import CancelWithdraw, Freeze, Scope
from strongroom.ledger.plans import plan_hash, resolve
from strongroom.ledger.signed_messages import Verb
from strongroom_client.orders import DraftedOrder

PLAN = 15
"""Number of a plan among the bodies of an entry."""


async def _under(rogue: RogueLeader, orders: Sequence[DraftedOrder], *plans: Plan) -> None:
    """Log genuine orders with all their approvals, and the plans, as one batch."""
    await forced(rogue, *(ordered(rogue, order) for order in orders), *plans)


def name_of(plan: Plan) -> bytes:
    """The hash that names a plan."""
    return plan_hash(codec.encode(plan))


def txid_of(rogue: RogueLeader, orders: Sequence[DraftedOrder], plan: Plan) -> bytes:
    """Id of the transaction of a plan for orders that are not logged yet."""
    draft = rogue.replica.draft()
    for entry in rogue.entries_of([ordered(rogue, order) for order in orders]):
        draft.add(entry)
    return resolve(draft.state, plan).spend.txid


# --- outputs --------------------------------------------------------------------------------------------------------


@cheat("merge-orders", "Pays two customers, who are owed the same amount to one address, with a single output.")
async def merge_orders(rogue: RogueLeader) -> None:
    where = payee()
    orders = [withdrawal(rogue, destination=where) for _ in range(2)]
    plan = pays(rogue, *orders)
    await _under(rogue, orders, replace(plan, outputs=(plan.outputs[0], plan.outputs[2])))


@cheat("leave-out-payment", "Keeps the money of an approved payment in the vault, and calls the order paid.")
async def leave_out_payment(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], replace(pays(rogue, order), outputs=pays(rogue, order).outputs[1:]))


@cheat("extra-output", "Adds an output for a payment that no order of the transaction asks for.")
async def extra_output(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    await _under(rogue, [order], replace(plan, outputs=(PlanOutput(target=OrderPayment(position=1)), *plan.outputs)))


async def _raw(rogue: RogueLeader, order: DraftedOrder, plan: bytes) -> None:
    """Log an order with a plan whose bytes hold more than a plan can."""
    now = max(now_ms(), rogue.state.time_ms)
    await forced(rogue, rogue.entry(ordered(rogue, order), time_ms=now), raw_entry(PLAN, plan, now))


@cheat("stranger-change", "Sends the change of an approved payment to a stranger's address.")
async def stranger_change(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    change = codec.encode(plan.outputs[1].target) + field(3, b"\x00\x14" + os.urandom(20))
    await _raw(rogue, order, raw_plan(plan, [codec.encode(plan.outputs[0]), field(2, change)]))


@cheat("deposit-change", "Sends the change to a customer's deposit address, so that it is credited as a deposit.")
async def deposit_change(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    change = codec.encode(plan.outputs[1].target) + field(3, 0)
    await _raw(rogue, order, raw_plan(plan, [codec.encode(plan.outputs[0]), field(2, change)]))


@cheat("stated-amount", "States another amount in the transaction than the order that it pays.")
async def stated_amount(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    payment = field(1, field(1, 1) + field(2, AMOUNT * 10))
    second = withdrawal(rogue)
    await _raw(rogue, second, raw_plan(pays(rogue, second), [payment, codec.encode(plan.outputs[1])]))


@cheat("dust-change", "Splits off an output too small for any node to relay, so that the payment never arrives.")
async def dust_change(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], with_change(pays(rogue, order, fee_sat=COIN), amount_sat=300))


@cheat("dust-order", "Logs an approved order of one satoshi, which no node relays, to block a batch with it.")
async def dust_order(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=1)
    await forced(rogue, ordered(rogue, order))


@cheat("overspend", "Pays out more than the coins that the transaction spends.")
async def overspend(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], with_change(pays(rogue, order), amount_sat=11 * COIN))


@cheat("scatter-change", "Splits the change into more outputs than the rules allow, to make the vault's coins costly.")
async def scatter_change(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = with_change(pays(rogue, order), amount_sat=COIN // 10)
    await _under(rogue, [order], replace(plan, outputs=(plan.outputs[0], *[plan.outputs[1]] * 33)))


# --- coins and orders -----------------------------------------------------------------------------------------------


async def _with_input(rogue: RogueLeader, coin: PlanInput) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], pays(rogue, order, inputs=[coin]))


@cheat("absurd-input", "Spends a coin of an address so far out that the vault's key has none there.")
async def absurd_input(rogue: RogueLeader) -> None:
    await _with_input(rogue, claimed(index=2**31))


@cheat("third-branch", "Spends a coin of a kind of address that the vault does not use.")
async def third_branch(rogue: RogueLeader) -> None:
    await _with_input(rogue, claimed(branch=2))


@cheat("same-coin-twice", "Lists one coin twice, so that the transaction seems to have more to spend.")
async def same_coin_twice(rogue: RogueLeader) -> None:
    order, coin = withdrawal(rogue), claimed()
    await _under(rogue, [order], pays(rogue, order, inputs=[coin, coin]))


@cheat("foreign-input", "Names another vault's coin among the coins of a payment.")
async def foreign_input(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    coin = codec.encode(plan.inputs[0]) + field(6, b"treasury-main")
    outputs = [codec.encode(output) for output in plan.outputs]
    await _raw(rogue, order, raw_plan(plan, outputs, inputs=[coin]))


@cheat("unknown-vault", "Plans a payment from a vault that nobody made.")
async def unknown_vault(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], pays(rogue, order, vault="treasury-main"))


@cheat("unknown-order", "Plans the payment of an order that nobody gave.")
async def unknown_order(rogue: RogueLeader) -> None:
    await forced(rogue, pays(rogue, withdrawal(rogue)))


@cheat("order-named-twice", "Names one order twice in a transaction, to pay it with two outputs.")
async def order_named_twice(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], pays(rogue, order, order))


@cheat("pay-a-freeze", "Plans a transaction for an officer's freeze, as if that were an order to pay.")
async def pay_a_freeze(rogue: RogueLeader) -> None:
    freeze = drafted(rogue, Freeze(scope=Scope.VAULT, vault="customer-hot", why="the payee looks wrong"))
    plan = pays(rogue, withdrawal(rogue))
    change = replace(plan, order_hashes=(freeze.hash,), outputs=plan.outputs[1:])
    await forced(rogue, ordered(rogue, freeze, approved=()), change)


# --- fees -----------------------------------------------------------------------------------------------------------


@cheat("fee-rate", "Pays the miners hundreds of times the usual fee for every byte, within the order's own maximum.")
async def fee_rate(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], pays(rogue, order, fee_sat=90_000))


@cheat("fee-per-plan", "Burns as a fee what an order generously allows, above what the charter allows for one payment.")
async def fee_per_plan(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, max_fee=2 * COIN)
    await _under(rogue, [order], pays(rogue, order, fee_sat=COIN))


@cheat(
    "fee-window", "Plans the same payment again and again, each time at the highest fee, to drain the vault by fees."
)
async def fee_window(rogue: RogueLeader) -> None:
    """Each plan spends the same coin, so that only the fees can be wrong; together they pass the vault's window."""
    orders = [withdrawal(rogue, amount=1_000, max_fee=COIN // 2) for _ in range(12)]
    coins = [claimed(COIN) for _ in range(90)]
    plans = [pays(rogue, order, inputs=[*coins, claimed(COIN)], fee_sat=980_000) for order in orders]
    await _under(rogue, orders, *plans)


# --- at most once ---------------------------------------------------------------------------------------------------


@cheat("spend-own-payment", "Pays an order again from the change of its own first payment, so that both count.")
async def spend_own_payment(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    first = pays(rogue, order)
    rest = first.inputs[0].amount_sat - AMOUNT - 3_000
    coin = PlanInput(txid=txid_of(rogue, [order], first), vout=1, amount_sat=rest, branch=1, index=0)
    await _under(rogue, [order], first, pays(rogue, order, inputs=[coin]))


@cheat("hide-behind-chain", "Hides a second payment two transactions behind the first, where it might be overlooked.")
async def hide_behind_chain(rogue: RogueLeader) -> None:
    """The third plan spends an output of a plan that spends an output of a plan that excludes the first."""
    order, other, third = (withdrawal(rogue) for _ in range(3))
    first, rival = pays(rogue, order), pays(rogue, other)
    rival = replace(rival, inputs=first.inputs)
    rest = first.inputs[0].amount_sat - AMOUNT - 3_000
    link = PlanInput(txid=txid_of(rogue, [other], rival), vout=1, amount_sat=rest, branch=1, index=0)
    between = pays(rogue, third, inputs=[link])
    end = PlanInput(txid=txid_of(rogue, [third], between), vout=1, amount_sat=rest - AMOUNT - 3_000, branch=1, index=0)
    await _under(rogue, [order, other, third], first, rival, between, pays(rogue, order, inputs=[end]))


@cheat("one-transaction-two-orders", "Has one transaction logged twice, each time as the payment of another order.")
async def one_transaction_two_orders(rogue: RogueLeader) -> None:
    where, coin = payee(), claimed()
    orders = [withdrawal(rogue, destination=where) for _ in range(2)]
    await _under(rogue, orders, *(pays(rogue, order, inputs=[coin]) for order in orders))


@cheat("mixed-batch", "Puts an order that was paid into a payment of new orders, from other coins.")
async def mixed_batch(rogue: RogueLeader) -> None:
    first, second = withdrawal(rogue), withdrawal(rogue)
    await _under(rogue, [first, second], pays(rogue, first), pays(rogue, first, second))


# --- bumps and cancellations ----------------------------------------------------------------------------------------


@cheat("bump-adds-payee", "Raises the fee of a payment, and slips one more payee into it.")
async def bump_adds_payee(rogue: RogueLeader) -> None:
    first, second = withdrawal(rogue), withdrawal(rogue)
    plan = pays(rogue, first)
    bump = pays(rogue, first, second, inputs=plan.inputs, fee_sat=5_000, bumps=name_of(plan))
    await _under(rogue, [first, second], plan, bump)


@cheat("bump-drops-payee", "Raises the fee of a payment, and drops one of its payees.")
async def bump_drops_payee(rogue: RogueLeader) -> None:
    first, second = withdrawal(rogue), withdrawal(rogue)
    plan = pays(rogue, first, second)
    bump = pays(rogue, first, inputs=plan.inputs, fee_sat=5_000, bumps=name_of(plan))
    await _under(rogue, [first, second], plan, bump)


@cheat("bump-changes-amount", "Raises the fee of a payment, and states another amount for its payee.")
async def bump_changes_amount(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    bump = pays(rogue, order, inputs=plan.inputs, fee_sat=5_000, bumps=name_of(plan))
    payment = field(1, field(2, AMOUNT * 10))
    altered = raw_plan(bump, [payment, codec.encode(bump.outputs[1])]) + field(5, bump.bumps)
    now = max(now_ms(), rogue.state.time_ms)
    entries = rogue.entries_of([ordered(rogue, order), plan], time_ms=now)
    await forced(rogue, *entries, raw_entry(PLAN, altered, now))


@cheat("bump-other-coins", "Calls a second payment from other coins a raised fee, which is judged less strictly.")
async def bump_other_coins(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    await _under(rogue, [order], plan, pays(rogue, order, fee_sat=5_000, bumps=name_of(plan)))


@cheat("bump-not-higher", "Calls a payment a raised fee though its fee is lower, to escape the stricter judgement.")
async def bump_not_higher(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    await _under(rogue, [order], plan, pays(rogue, order, inputs=plan.inputs, fee_sat=2_000, bumps=name_of(plan)))


@cheat("bump-unknown", "Calls a payment the raised fee of another one that nobody knows.")
async def bump_unknown(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _under(rogue, [order], pays(rogue, order, bumps=os.urandom(32)))


@cheat("bump-chain", "Raises the fee of one payment step by step, until the payee's money is drained into fees.")
async def bump_chain(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, max_fee=20_000)
    plans = [pays(rogue, order)]
    for fee_sat in range(5_000, 25_000, 2_000):
        plans.append(pays(rogue, order, inputs=plans[0].inputs, fee_sat=fee_sat, bumps=name_of(plans[-1])))
    await _under(rogue, [order], *plans)


@cheat("bump-rejected", "Raises the fee of a payment that was rejected in the meantime, to have it signed after all.")
async def bump_rejected(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    plan = pays(rogue, order)
    bump = pays(rogue, order, inputs=plan.inputs, fee_sat=5_000, bumps=name_of(plan))
    rejection = more(rogue, Verb.REJECT, order, "carol")
    entry = ordered(rogue, order, approved=("bob",))
    second = more(rogue, Verb.APPROVE, order, "carol")
    await forced(rogue, entry, second, plan, rejection, bump)


def _cancelled(rogue: RogueLeader) -> tuple[DraftedOrder, Plan, DraftedOrder]:
    """A planned order, its plan, and the order that cancels it."""
    order = withdrawal(rogue)
    cancel = drafted(rogue, CancelWithdraw(order_hash=order.hash, max_fee=50_000))
    return order, pays(rogue, order), cancel


@cheat("cancel-pays-out", "Executes the cancellation of a payment by a transaction that pays somebody all the same.")
async def cancel_pays_out(rogue: RogueLeader) -> None:
    order, plan, cancel = _cancelled(rogue)
    payment = replace(plan, order_hashes=(cancel.hash,), outputs=pays(rogue, order, fee_sat=6_000).outputs)
    await forced(rogue, ordered(rogue, order), plan, ordered(rogue, cancel, approved=()), payment)


@cheat("cancel-with-payment", "Executes a cancellation and pays the cancelled order in the same transaction.")
async def cancel_with_payment(rogue: RogueLeader) -> None:
    order, plan, cancel = _cancelled(rogue)
    both = replace(plan, order_hashes=(order.hash, cancel.hash), outputs=pays(rogue, order, fee_sat=6_000).outputs)
    await forced(rogue, ordered(rogue, order), plan, ordered(rogue, cancel, approved=()), both)


@cheat("cancel-beside", "Executes a cancellation from other coins, so that the cancelled payment still goes through.")
async def cancel_beside(rogue: RogueLeader) -> None:
    order, plan, cancel = _cancelled(rogue)
    beside = pays(rogue, order)
    only_change = with_change(replace(beside, order_hashes=(cancel.hash,), outputs=beside.outputs[1:]), amount_sat=COIN)
    harmless = replace(only_change, inputs=(claimed(COIN + 3_000),))
    await forced(rogue, ordered(rogue, order), plan, ordered(rogue, cancel, approved=()), harmless)


@cheat("pay-after-cancel", "Pays an order that was cancelled before anything was planned for it.")
async def pay_after_cancel(rogue: RogueLeader) -> None:
    order, plan, cancel = _cancelled(rogue)
    await forced(rogue, ordered(rogue, order), ordered(rogue, cancel, approved=()), plan)
