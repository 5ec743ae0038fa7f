"""What a dishonest coordinator has at hand: orders of the log, their genuine words, and plans made of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from cheat_report import AFTERWARDS, NothingToCheatWith
from rogue_leader import Coin, RogueLeader

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import (
    Change,
    Endorse,
    Entry,
    OrderEntry,
    OrderPayment,
    Plan,
    PlanInput,
    PlanOutput,
)
from strongroom.ledger.order_messages import Order, Withdraw
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import decode_order

FEE_SAT = 3_000


async def forced(
    rogue: RogueLeader,
    *bodies: Any,
    to: Collection[str] | None = None,
    time_ms: int | None = None,
    step: str = "append",
) -> None:
    """Append one batch, and ask for nonces for its last entry whatever the answers were.

    Args:
        rogue: the cheater.
        bodies: bodies of entries, or the bytes of whole entries.
        to: whom to ask; everybody by default.
        time_ms: log time of the batch; now by default.
        step: what the report calls the first of both.
    """
    index = len(rogue.entries) + len(bodies) - 1
    stamp = max(now_ms(), rogue.state.time_ms) if time_ms is None else time_ms
    entries = [body if isinstance(body, bytes) else rogue.entry(body, time_ms=stamp) for body in bodies]
    await rogue.append(entries, to=to, commit_for=[index], step=step)
    await rogue.commit(index, to=to, step=AFTERWARDS)


def now_ms() -> int:
    """The machine's time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def withdrawals(rogue: RogueLeader) -> list[tuple[OrderRecord, Withdraw]]:
    """Every withdrawal of the log, newest first."""
    state = rogue.state
    found = []
    for sequence in reversed(range(state.orders_count)):
        record = state.order_at(sequence)
        action = decode_order(record.order).action
        if isinstance(action, Withdraw):
            found.append((record, action))
    return found


def paid_order(rogue: RogueLeader) -> tuple[OrderRecord, Withdraw]:
    """The newest withdrawal that has a plan."""
    for record, action in withdrawals(rogue):
        if record.state is OrderState.PLANNED and not record.cancelled_by:
            return record, action
    raise NothingToCheatWith("the log holds no paid withdrawal")


def open_order(rogue: RogueLeader) -> tuple[OrderRecord, Withdraw]:
    """The newest withdrawal that still waits."""
    for record, action in withdrawals(rogue):
        if record.state is OrderState.OPEN:
            return record, action
    raise NothingToCheatWith("the log holds no withdrawal that waits for approval")


def words_of(rogue: RogueLeader, order_hash: bytes) -> tuple[Signed, ...]:
    """The genuine signed words of people for an order, as the log holds them."""
    words: list[Signed] = []
    for data in rogue.entries:
        body = codec.decode(Entry, data).body
        said = body.endorsements if isinstance(body, OrderEntry) else ()
        said = (body.endorsement,) if isinstance(body, Endorse) else said
        words += [word for word in said if codec.decode(Endorsement, word.body).order_hash == order_hash]
    if not any(codec.decode(Endorsement, word.body).verb is Verb.INITIATE for word in words):
        raise NothingToCheatWith("nobody initiated the order")
    return tuple(words)


def order_of(record: OrderRecord) -> Order:
    """The order in a record."""
    return decode_order(record.order)


def fresh_coins(rogue: RogueLeader, vault: str, count: int = 1) -> list[Coin]:
    """Coins that no plan spends."""
    coins = rogue.coins(vault)[:count]
    if len(coins) < count:
        raise NothingToCheatWith(f"vault {vault} has fewer than {count} unspent coins")
    return coins


def plan_for(
    rogue: RogueLeader,
    record: OrderRecord,
    inputs: Sequence[PlanInput],
    *,
    fee_sat: int = FEE_SAT,
    change_index: int | None = None,
) -> Plan:
    """A plan that pays one order from these inputs and sends the rest back."""
    action = order_of(record).action
    if not isinstance(action, Withdraw):
        raise NothingToCheatWith("only a withdrawal is paid")
    vault = rogue.state.vault(action.vault)
    if vault is None:
        raise NothingToCheatWith(f"the log has no vault {action.vault}")
    index = vault.highest_change if change_index is None else change_index
    rest = sum(item.amount_sat for item in inputs) - action.amount - fee_sat
    if rest <= 0:
        raise NothingToCheatWith("the coins do not cover the payment")
    outputs = (
        PlanOutput(target=OrderPayment(position=0)),
        PlanOutput(target=Change(amount_sat=rest, index=index)),
    )
    return Plan(vault=action.vault, order_hashes=(record.hash,), inputs=tuple(inputs), outputs=outputs, bumps=b"")


def as_inputs(coins: Sequence[Coin]) -> list[PlanInput]:
    """Coins as a plan claims them."""
    return [
        PlanInput(txid=coin.txid, vout=coin.vout, amount_sat=coin.amount_sat, branch=coin.branch, index=coin.index)
        for coin in coins
    ]


def inputs_of(rogue: RogueLeader, plan_hash: bytes) -> tuple[PlanInput, ...]:
    """The inputs of a logged plan."""
    entry_index = rogue.state.known_plan(plan_hash).entry_index
    body = codec.decode(Entry, rogue.entries[entry_index]).body
    if not isinstance(body, Plan):
        raise NothingToCheatWith("the log contradicts itself")
    return body.inputs


def acceptable_plan(rogue: RogueLeader, *, extra: int = 0) -> Plan:
    """A plan that every rule allows, so that only what follows is a cheat.

    It pays an approved order that has no plan, from a fresh coin; where there is none it pays a planned order again
    from the same coins, which excludes the earlier plan. `extra` makes it differ from others of its kind.
    """
    for record, action in withdrawals(rogue):
        if record.state is OrderState.OPEN and len(words_of(rogue, record.hash)) > 2:
            coin = fresh_coins(rogue, action.vault, extra + 1)[extra]
            return plan_for(rogue, record, as_inputs([coin]))
    record, _ = paid_order(rogue)
    used = inputs_of(rogue, record.plans[0])
    return plan_for(rogue, record, used, fee_sat=FEE_SAT + 500 * (len(record.plans) + extra))
