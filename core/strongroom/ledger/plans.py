"""What a plan does: its transaction, resolved from the orders themselves and from the vault's key.

Amounts and destinations come from the orders that people signed, never from the plan, so a plan cannot pay anything
else. The outpoints and amounts of inputs are claims; BIP-341 makes a false one an invalid signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.address import BadAddress, script_of
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.networks import BY_CAIP2, Network
from strongroom.chains.bitcoin.spend import Spend, SpendInput, SpendOutput, SpendRefused
from strongroom.ledger.entry_messages import Change, OrderPayment, Plan, Recovery
from strongroom.ledger.order_messages import BreakGlass, CancelWithdraw, Withdraw
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.ledger.state import State, decode_order
from strongroom.model.ids import PlanHash

__all__ = [
    "ResolvedPlan",
    "fee_shares",
    "payee_script",
    "plan_hash",
    "resolve",
    "spend_of",
    "transaction_of",
    "vault_key_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPlan:
    """A plan with what it refers to.

    Attributes:
        vault: the vault whose coins it spends.
        records: its orders, in plan order.
        payments: what each order asks for, in plan order; empty unless it pays withdrawals.
        max_fees: the most each order may bear of the fee, in satoshi, in plan order.
        target: the order that a cancellation's plan excludes; None for any other plan.
        recovery: the order to break the glass that it executes; None for any other plan.
        spend: the transaction.
    """

    vault: VaultRecord
    records: tuple[OrderRecord, ...]
    payments: tuple[Withdraw, ...]
    max_fees: tuple[int, ...]
    target: OrderRecord | None
    recovery: BreakGlass | None
    spend: Spend


def plan_hash(plan_bytes: bytes) -> PlanHash:
    """Return the hash that names a plan: SHA-256 of its canonical bytes (32 bytes)."""
    return PlanHash(sha256(plan_bytes).digest())


def fee_shares(fee_sat: int, count: int) -> tuple[int, ...]:
    """Split a fee equally; the remainder falls on the first orders, one satoshi each."""
    share, remainder = divmod(fee_sat, count)
    return tuple(share + 1 if position < remainder else share for position in range(count))


def vault_key_of(vault: VaultRecord) -> VaultKey:
    """Return what derives the vault's addresses."""
    return VaultKey(group_key=vault.group_key, chain_code=vault.chain_code)


def spend_of(state: State, plan: Plan) -> Spend:
    """Return the transaction of a plan.

    Raises:
        Refused: the plan's form is wrong, or it names what the ledger does not know; whoever made it is at fault.
    """
    return resolve(state, plan).spend


def resolve(state: State, plan: Plan) -> ResolvedPlan:
    """Look up what the plan refers to and check its form: everything that needs neither rules nor other plans.

    Raises:
        Refused: the first rule of form it breaks; whoever made the plan is at fault.
    """
    vault = state.vault(plan.vault)
    if vault is None:
        raise refused("VAULT_UNKNOWN", f"there is no vault {plan.vault}", vault=plan.vault)
    if len(set(plan.order_hashes)) != len(plan.order_hashes):
        raise refused("PLAN_ORDERS", "the plan names an order twice")
    records = tuple(_order(state, order_hash) for order_hash in plan.order_hashes)
    recovery = _recovery_of(plan, records)
    if recovery is None:
        payments, max_fees, target = _orders_of_one_vault(state, plan, records)
    else:
        payments, max_fees, target = (), (recovery.max_fee,), None
    _check_change(plan, vault)
    spend = transaction_of(plan, vault, payments, recovery=recovery)
    return ResolvedPlan(
        vault=vault,
        records=records,
        payments=payments,
        max_fees=max_fees,
        target=target,
        recovery=recovery,
        spend=spend,
    )


def transaction_of(
    plan: Plan, vault: VaultRecord, payments: Sequence[Withdraw], *, recovery: BreakGlass | None = None
) -> Spend:
    """Return the transaction of a plan from the records themselves; no state is asked, so its rules are not judged.

    Args:
        plan: the plan.
        vault: the record of the vault that it names.
        payments: what its orders ask for, in plan order; empty unless it pays withdrawals.
        recovery: the one order of a plan that breaks the glass; None for any other plan.

    Raises:
        Refused: the plan's form is wrong; whoever made it is at fault.
    """
    outputs = _outputs(plan, vault, payments) if recovery is None else _recovery_outputs(plan, vault, recovery)
    inputs = tuple(
        SpendInput(txid=item.txid, vout=item.vout, amount_sat=item.amount_sat, branch=item.branch, index=item.index)
        for item in plan.inputs
    )
    try:
        return Spend(vault_key=vault_key_of(vault), inputs=inputs, outputs=outputs, locktime=plan.locktime)
    except SpendRefused as error:
        raise refused("PLAN_FORM", error.message, form=error.reason) from error


def _order(state: State, order_hash: bytes) -> OrderRecord:
    record = state.order(order_hash)
    if record is None:
        raise refused("ORDER_UNKNOWN", f"the ledger has no order {order_hash.hex()}", order=order_hash.hex())
    return record


def _recovery_of(plan: Plan, records: Sequence[OrderRecord]) -> BreakGlass | None:
    """Return the order to break the glass that the plan executes, alone and never as a bump; None if it has none."""
    orders = [action for record in records if isinstance(action := decode_order(record.order).action, BreakGlass)]
    if not orders:
        return None
    if len(records) != 1 or plan.bumps:
        raise refused("PLAN_ORDERS", "a plan executes one order to break the glass, alone, and bumps nothing")
    if orders[0].vault != plan.vault:
        raise refused("PLAN_VAULT", f"the plan is of vault {plan.vault} and moves coins of vault {orders[0].vault}")
    return orders[0]


def _recovery_outputs(plan: Plan, vault: VaultRecord, recovery: BreakGlass) -> tuple[SpendOutput, ...]:
    """Return the one output: everything to the recovery address, and nothing back to the vault."""
    if len(plan.outputs) != 1 or not isinstance(target := plan.outputs[0].target, Recovery):
        raise refused("PLAN_OUTPUTS", "a plan that breaks the glass has one output, to the recovery address")
    script = payee_script(recovery.destination, BY_CAIP2[vault.chain])
    return (SpendOutput(amount_sat=target.amount_sat, script=script),)


def _orders_of_one_vault(
    state: State, plan: Plan, records: Sequence[OrderRecord]
) -> tuple[tuple[Withdraw, ...], tuple[int, ...], OrderRecord | None]:
    """Return payments, fee maxima and target: all orders are withdrawals, or the one order is a cancellation."""
    actions = [decode_order(record.order).action for record in records]
    if len(actions) == 1 and isinstance(actions[0], CancelWithdraw):
        target = _order(state, actions[0].order_hash)
        paid = decode_order(target.order).action
        if not isinstance(paid, Withdraw) or paid.vault != plan.vault:
            raise refused("PLAN_VAULT", f"the cancelled order is not of vault {plan.vault}")
        return (), (actions[0].max_fee,), target
    payments = tuple(action for action in actions if isinstance(action, Withdraw))
    if len(payments) != len(actions):
        raise refused("PLAN_ORDERS", "a plan pays withdrawals, or executes one cancellation alone")
    other = next((payment.vault for payment in payments if payment.vault != plan.vault), None)
    if other is not None:
        raise refused("PLAN_VAULT", f"the plan is of vault {plan.vault} and pays an order of vault {other}")
    return payments, tuple(payment.max_fee for payment in payments), None


def _check_change(plan: Plan, vault: VaultRecord) -> None:
    change = [output.target for output in plan.outputs if isinstance(output.target, Change)]
    if len(change) > policy.MAX_CHANGE_OUTPUTS:
        raise refused("PLAN_CHANGE", f"{len(change)} change outputs are more than {policy.MAX_CHANGE_OUTPUTS}")
    # `highest_change` is one more than the highest index used, hence the 1; before any, index 0 counts as next.
    most = min(vault.highest_change - 1 + policy.CHANGE_INDEX_GAP, policy.MAX_INDEX)
    for target in change:
        if target.index > most:
            raise refused("PLAN_CHANGE", f"change index {target.index} is above {most}", most=str(most))


def _outputs(plan: Plan, vault: VaultRecord, payments: Sequence[Withdraw]) -> tuple[SpendOutput, ...]:
    """Return the outputs; each order is paid by exactly one, so equal payments cannot be merged into one."""
    network = BY_CAIP2[vault.chain]
    key = vault_key_of(vault)
    paid: set[int] = set()
    outputs: list[SpendOutput] = []
    for output in plan.outputs:
        match output.target:
            case OrderPayment(position=position):
                if position >= len(payments) or position in paid:
                    raise refused("PLAN_OUTPUTS", f"an output pays order {position}, which is none or paid already")
                paid.add(position)
                payment = payments[position]
                outputs.append(
                    SpendOutput(amount_sat=payment.amount, script=payee_script(payment.destination, network))
                )
            case Change(amount_sat=amount_sat, index=index):
                outputs.append(
                    SpendOutput(amount_sat=amount_sat, script=key.derive(policy.CHANGE_BRANCH, index).script)
                )
            case Recovery():
                raise refused("PLAN_OUTPUTS", "only a plan that breaks the glass pays the recovery address")
    if len(paid) != len(payments):
        raise refused("PLAN_OUTPUTS", f"{len(payments) - len(paid)} orders of the plan are not paid by it")
    return tuple(outputs)


@lru_cache(maxsize=16_384)
def payee_script(destination: str, network: Network) -> bytes:
    """Return the output script of a destination; every order's is asked for when it comes and when it is paid.

    Raises:
        Refused: DESTINATION_INVALID, it is no canonical address of the network.
    """
    try:
        return script_of(destination, network)
    except BadAddress as error:
        raise refused("DESTINATION_INVALID", error.message) from error
