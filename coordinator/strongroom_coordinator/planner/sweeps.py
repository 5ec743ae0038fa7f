"""Plans that break the glass: all coins of a vault to its recovery address, in as many transactions as it takes.

A transaction that is signed already may confirm at any time, so its coins are left to it; coins that only wait for
signatures are taken, because the freeze that the glass is broken under lets nobody sign for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.chains.bitcoin.spend import spend_weight
from strongroom.ledger.entry_messages import Plan, PlanInput, PlanOutput, Recovery
from strongroom.ledger.order_messages import BreakGlass
from strongroom.ledger.plans import payee_script
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom_coordinator.coins import INPUT_WEIGHT, MAX_INPUTS, Coin
from strongroom_coordinator.planner.builder import CannotPlan, FeeTooHigh
from strongroom_coordinator.planner.chain_view import ChainView
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.tracker.plan_book import TrackedPlan

__all__ = ["plan_sweeps"]

MAX_SWEEPS_AT_ONCE: Final = 8


def plan_sweeps(round_: Round, chain: ChainView, record: OrderRecord, action: BreakGlass) -> list[Plan]:
    """Plan what can be moved now, the largest coins first, and again what waits in the mempool for too low a fee.

    Raises:
        CannotPlan: nothing can; the message says why.
    """
    vault = round_.state.vault(action.vault)
    if vault is None:
        raise CannotPlan("the vault is not there")
    script = payee_script(action.destination, BY_CAIP2[vault.chain])
    rate = max(min(chain.fee_rate_sat_per_vb, round_.state.charter.fees.per_vbyte - 1), 1)
    plans = []
    for stuck in _stuck(round_, chain, record, rate):
        plan = _replacement(round_, vault, record, action, stuck, rate=rate, script=script)
        plans += [plan] if plan is not None else []
    dust = policy.fee_for(rate, INPUT_WEIGHT)
    coins = [coin for coin in _movable(round_, chain, record, vault.name) if coin.amount_sat > dust]
    problem = CannotPlan("nothing: the vault has no coin that can be moved now")
    while coins and len(plans) < MAX_SWEEPS_AT_ONCE:
        try:
            plan = _sweep(round_, vault, record, action, coins[:MAX_INPUTS], rate=rate, script=script)
        except CannotPlan as error:
            problem = error
            break
        plans.append(plan)
        coins = coins[len(plan.inputs) :]
    if not plans:
        raise problem
    return plans


def _movable(round_: Round, chain: ChainView, record: OrderRecord, vault: str) -> Iterable[Coin]:
    """Confirmed coins that no signed plan spends, nor one of this very order, largest first."""
    found = {coin.outpoint: coin for coin in chain.coins(vault) if coin.is_confirmed}
    for plan in chain.plans:
        if plan.record.vault == vault and plan.raw_transaction is None:
            for outpoint in plan.outpoints:
                coin = chain.coin(vault, outpoint)
                if coin is not None and coin.is_confirmed:
                    found[outpoint] = coin
    free = [coin for coin in found.values() if coin.outpoint not in round_.spent and not _is_taken(chain, record, coin)]
    return sorted(free, key=lambda coin: (-coin.amount_sat, coin.outpoint))


def _is_taken(chain: ChainView, record: OrderRecord, coin: Coin) -> bool:
    return any(
        not plan.is_dead and (plan.raw_transaction is not None or plan.hash in record.plans)
        for plan in chain.plans.spending(coin.outpoint)
    )


def _sweep(
    round_: Round,
    vault: VaultRecord,
    record: OrderRecord,
    action: BreakGlass,
    coins: Sequence[Coin],
    *,
    rate: int,
    script: bytes,
) -> Plan:
    """Plan the first coins, as many as the maxima of the fee allow.

    Raises:
        CannotPlan: they allow none, or what is left after the fee is too little.
    """
    most_fee, count = _most_fee(round_, vault, action), len(coins)
    while count > 1 and _fee(rate, count, script) > most_fee:
        count -= 1
    while rate > 1 and _fee(rate, count, script) > most_fee:
        rate -= 1
    fee = _fee(rate, count, script)
    if fee > most_fee:
        raise FeeTooHigh(f"fee: {fee} sat for one transaction, {most_fee} sat are allowed now")
    return _plan(round_, vault, record, coins[:count], fee=fee, script=script)


def _fee(rate: int, inputs: int, script: bytes) -> int:
    return policy.fee_for(rate, spend_weight(inputs, [len(script)]))


def _most_fee(round_: Round, vault: VaultRecord, action: BreakGlass) -> int:
    return min(action.max_fee, round_.state.charter.fees.per_plan, round_.fee_room(vault.name))


def _stuck(round_: Round, chain: ChainView, record: OrderRecord, rate: int) -> Iterator[TrackedPlan]:
    for plan in chain.stuck():
        if plan.hash in record.plans and plan.fee_rate_sat_per_vb < rate and plan.outpoints.isdisjoint(round_.spent):
            yield plan


def _replacement(
    round_: Round,
    vault: VaultRecord,
    record: OrderRecord,
    action: BreakGlass,
    stuck: TrackedPlan,
    *,
    rate: int,
    script: bytes,
) -> Plan | None:
    """Plan the same coins at the market's rate; None where the fee breaks a maximum, for then the plan waits on."""
    own = [
        Coin(
            txid=item.txid,
            vout=item.vout,
            amount_sat=item.amount_sat,
            branch=item.branch,
            index=item.index,
            is_confirmed=True,
        )
        for item in stuck.plan.inputs
    ]
    weight = spend_weight(len(own), [len(script)])
    # A replacement pays for what it evicts and for its own relay (BIP-125).
    fee = max(policy.fee_for(rate, weight), stuck.record.fee_sat + policy.fee_for(1, weight))
    over = fee > _most_fee(round_, vault, action)
    if over or policy.fee_rate(fee, weight) > round_.state.charter.fees.per_vbyte:
        return None
    try:
        return _plan(round_, vault, record, own, fee=fee, script=script)
    except CannotPlan:
        return None


def _plan(
    round_: Round, vault: VaultRecord, record: OrderRecord, coins: Sequence[Coin], *, fee: int, script: bytes
) -> Plan:
    amount = sum(coin.amount_sat for coin in coins) - fee
    if amount < (policy.dust_sat(script) or 0):
        raise CannotPlan(f"coins: {amount} sat would be left after the fee, too little for an output")
    round_.spend(vault.name, coins)
    round_.fees[vault.name] = round_.fees.get(vault.name, 0) + fee
    return Plan(
        vault=vault.name,
        order_hashes=(record.hash,),
        inputs=tuple(
            PlanInput(txid=coin.txid, vout=coin.vout, amount_sat=coin.amount_sat, branch=coin.branch, index=coin.index)
            for coin in coins
        ),
        outputs=(PlanOutput(target=Recovery(amount_sat=amount)),),
        bumps=b"",
        locktime=round_.state.foundings,
    )
