"""The plan of a sweep: found coins become one transaction to the order's address, and whoever signs judges it again.

A plan claims outpoints and amounts; BIP-341 makes a false one an invalid signature. Scripts are never claimed: they
follow from the vault's key. There is one output, so nothing can go anywhere else.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.address import BadAddress, script_of
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.chains.bitcoin.spend import Spend, SpendInput, SpendOutput, SpendRefused, spend_weight
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.crypto import chilldkg, frost
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import PlanInput
from strongroom.ledger.key_material import key_hash, public_shares
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.recovery import (
    GeneratedRecovery,
    decode_recovery,
    key_of_generation,
    key_of_redistribution,
    recovery_hash,
)
from strongroom.ledger.signed_messages import MAX_INPUTS_PER_PLAN, KeyMaterial
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, PlanHash
from strongroom.protocol.recovery_kit_order import JudgedSweep
from strongroom.protocol.recovery_kit_records import MAX_SWEEP_PLAN_BYTES, SweepPlan, sweep_plan_hash

__all__ = [
    "DEFAULT_SEARCH",
    "FoundCoin",
    "OpenedPlan",
    "OwnedCoin",
    "SweepPlanRefused",
    "check_plan",
    "key_in_force",
    "make_plan",
    "open_plan",
    "own_coins",
]

DEFAULT_SEARCH: Final = 10_000
"""Indices of each branch that are looked through for a coin's address."""


class SweepPlanRefused(StrongroomError):
    """The plan of a sweep is not one that may be signed, or none can be made; the message says why. Plan again."""

    reason = "SWEEP_PLAN_REFUSED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCoin:
    """A coin as somebody's node found it: 32-byte txid in internal order, output number, satoshi and output script."""

    txid: bytes
    vout: int
    amount_sat: int
    script: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedCoin:
    """A found coin, and where below the vault's key its script is."""

    coin: FoundCoin
    branch: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPlan:
    """A plan that holds together, with everything that follows from it.

    Attributes:
        plan: The plan.
        data: Its canonical bytes.
        hash: What names it.
        spend: Its transaction.
        context: Who signs.
    """

    plan: SweepPlan
    data: bytes
    hash: PlanHash
    spend: Spend
    context: frost.SignersContext

    @property
    def names(self) -> tuple[str, ...]:
        """Names of those who sign, in participant order."""
        return tuple(self.plan.holders[number] for number in self.plan.signers)

    def host_key(self, name: str) -> bytes:
        """Host key of a holder, 33 bytes. Raises ValueError when there is none of this name; the caller's fault."""
        return self.plan.key.host_keys[self.plan.holders.index(name)]


def own_coins(vault: VaultKey, coins: Iterable[FoundCoin], *, search: int = DEFAULT_SEARCH) -> tuple[OwnedCoin, ...]:
    """Find where below the vault's key each coin's script is.

    Args:
        vault: The vault's key.
        coins: What a node found.
        search: How many indices of each branch are derived at most.

    Raises:
        SweepPlanRefused: a script is none of the vault's within that search, or a coin is named twice.
    """
    found = tuple(coins)
    if len({(coin.txid, coin.vout) for coin in found}) != len(found):
        raise SweepPlanRefused("the coins name an output twice")
    wanted = {coin.script for coin in found}
    places: dict[bytes, tuple[int, int]] = {}
    for index in range(min(search, policy.MAX_INDEX + 1)):
        if len(places) == len(wanted):
            break
        for branch in policy.BRANCHES:
            script = vault.derive(branch, index).script
            if script in wanted:
                places[script] = (branch, index)
    strange = next((coin for coin in found if coin.script not in places), None)
    if strange is not None:
        raise SweepPlanRefused(
            f"the coin {txid_text(strange.txid)}:{strange.vout} lies at no address of this vault below index {search}: "
            "leave it out, or search further"
        )
    return tuple(OwnedCoin(coin=coin, branch=places[coin.script][0], index=places[coin.script][1]) for coin in found)


def make_plan(
    vault: VaultRecord,
    key: KeyMaterial,
    judged: JudgedSweep,
    coins: Sequence[OwnedCoin],
    *,
    log_id: LogId,
    signers: Sequence[str],
    rate_sat_per_vb: int,
) -> tuple[OpenedPlan, tuple[OwnedCoin, ...]]:
    """Plan one transaction that moves the coins, the largest first.

    Args:
        vault: The vault as the log has it.
        key: Its key material in force.
        judged: The order.
        coins: Its coins.
        log_id: The log.
        signers: Names of the holders who are to sign, as many as the threshold.
        rate_sat_per_vb: Fee rate, at least 1.

    Returns:
        The plan, and the coins that it leaves: those that cost more to move than they hold, and what is too much for
        one transaction.

    Raises:
        SweepPlanRefused: there is no coin, nothing is worth moving, the fee is above the order's maximum, or the
            signers do not fit.
    """
    if not coins:
        raise SweepPlanRefused(
            f"no coin of vault {vault.name} is in the list: scan for this vault, search further, or wait until its "
            "coins may be spent"
        )
    unknown = sorted(set(signers) - set(vault.signers))
    if unknown:
        raise SweepPlanRefused(f"no holders of vault {vault.name}: {', '.join(unknown)}")
    script = script_of(judged.action.destination, BY_CAIP2[vault.chain])
    taken, amount = _taken(coins, len(script), rate_sat_per_vb)
    plan = SweepPlan(
        log_id=log_id,
        order_hash=judged.hash,
        vault=vault.name,
        chain=vault.chain,
        epoch=vault.epoch,
        holders=vault.signers,
        key=key,
        signers=tuple(sorted(vault.signers.index(name) for name in set(signers))),
        inputs=tuple(
            PlanInput(
                txid=one.coin.txid,
                vout=one.coin.vout,
                amount_sat=one.coin.amount_sat,
                branch=one.branch,
                index=one.index,
            )
            for one in taken
        ),
        destination=judged.action.destination,
        amount_sat=amount,
    )
    opened = open_plan(codec.encode(plan))
    check_plan(opened, vault, judged, log_id=log_id)
    spent = {(one.coin.txid, one.coin.vout) for one in taken}
    return opened, tuple(one for one in coins if (one.coin.txid, one.coin.vout) not in spent)


def _taken(coins: Sequence[OwnedCoin], script_bytes: int, rate_sat_per_vb: int) -> tuple[list[OwnedCoin], int]:
    """The coins of one transaction, the largest first, and what they pay to a script of this length."""
    base, each = _weights(script_bytes)
    worth = [coin for coin in coins if coin.coin.amount_sat > policy.fee_for(rate_sat_per_vb, each)]
    ordered = sorted(worth, key=lambda one: (-one.coin.amount_sat, one.coin.txid, one.coin.vout))
    # The counts of inputs take a few bytes more from 253 inputs on.
    taken = ordered[: min(MAX_INPUTS_PER_PLAN, (policy.MAX_WEIGHT - base - 16) // each)]
    if not taken:
        raise SweepPlanRefused("no coin is worth the fee of moving it at this rate")
    fee = policy.fee_for(rate_sat_per_vb, spend_weight(len(taken), [script_bytes]))
    amount = sum(one.coin.amount_sat for one in taken) - fee
    if amount < min(policy.DUST_SAT.values()):
        raise SweepPlanRefused(f"after a fee of {fee} sat the coins leave too little to pay")
    return taken, amount


def open_plan(data: bytes) -> OpenedPlan:
    """Decode a plan strictly, and build its transaction and its signing context.

    Raises:
        SweepPlanRefused: it does not hold together; whoever made it is at fault.
    """
    try:
        plan = codec.decode(SweepPlan, data, max_size=MAX_SWEEP_PLAN_BYTES)
        shares = public_shares(plan.key)
        network = BY_CAIP2.get(plan.chain)
        if network is None:
            raise SweepPlanRefused(f"this program knows no chain {plan.chain}")
        _check_parties(plan)
        spend = Spend(
            vault_key=VaultKey(group_key=plan.key.commitments[0], chain_code=plan.key.chain_code),
            inputs=tuple(
                SpendInput(txid=one.txid, vout=one.vout, amount_sat=one.amount_sat, branch=one.branch, index=one.index)
                for one in plan.inputs
            ),
            outputs=(SpendOutput(amount_sat=plan.amount_sat, script=script_of(plan.destination, network)),),
        )
    except (NotCanonical, Refused, BadAddress, SpendRefused) as error:
        raise SweepPlanRefused(f"the plan does not hold together: {error.message}", form=error.reason) from error
    context = frost.SignersContext(
        n=len(plan.holders),
        t=plan.key.threshold,
        ids=plan.signers,
        pubshares=tuple(shares[number] for number in plan.signers),
        thresh_pk=plan.key.commitments[0],
    )
    return OpenedPlan(plan=plan, data=data, hash=sweep_plan_hash(data), spend=spend, context=context)


def check_plan(opened: OpenedPlan, vault: VaultRecord, judged: JudgedSweep, *, log_id: LogId) -> None:
    """Judge a plan by the log and by the order that people signed.

    Raises:
        SweepPlanRefused: the first thing in which it is another than they ask for.
    """
    plan, action = opened.plan, judged.action
    if plan.log_id != log_id or plan.order_hash != judged.hash:
        raise SweepPlanRefused("the plan is for another log or another order: plan again")
    if plan.vault != action.vault or plan.vault != vault.name or plan.chain != vault.chain:
        raise SweepPlanRefused(f"the plan moves coins of vault {plan.vault}, and the order of vault {action.vault}")
    if plan.epoch != vault.epoch:
        raise SweepPlanRefused(
            f"the plan is of epoch {plan.epoch} of vault {plan.vault}, and by this log it is in epoch {vault.epoch}: "
            "all of you take the newest exported log, and plan again"
        )
    if plan.holders != vault.signers or key_hash(plan.key) != vault.key_hash:
        raise SweepPlanRefused(f"the plan has other holders or another key than the log has for vault {plan.vault}")
    if plan.destination != action.destination:
        raise SweepPlanRefused(f"the plan pays {plan.destination}, and the order names {action.destination}")
    if opened.spend.fee_sat > action.max_fee:
        raise SweepPlanRefused(
            f"the plan pays a fee of {opened.spend.fee_sat} sat, and the order allows {action.max_fee} sat",
            fee_sat=str(opened.spend.fee_sat),
        )


def key_in_force(vault: VaultRecord, recovery: bytes) -> KeyMaterial:
    """The key material of the vault's current epoch, from the recovery data beside the log.

    Raises:
        SweepPlanRefused: the data is not that of this epoch, or gives another key.
    """
    if recovery_hash(recovery) != vault.recovery_hash:
        raise SweepPlanRefused(f"vault {vault.name}: the recovery data of epoch {vault.epoch} is not in the file")
    try:
        source = decode_recovery(recovery).source
        if isinstance(source, GeneratedRecovery):
            output, params = chilldkg.recover(None, source.data)
            key = key_of_generation(output, params, source.data)
        else:
            key = key_of_redistribution(source)
    except StrongroomError as error:
        raise SweepPlanRefused(f"vault {vault.name}: the recovery data gives no key ({error.message})") from error
    if key_hash(key) != vault.key_hash:
        raise SweepPlanRefused(f"vault {vault.name}: the recovery data gives another key than the log says")
    return key


def _check_parties(plan: SweepPlan) -> None:
    if len(plan.holders) != len(plan.key.host_keys) or len(set(plan.holders)) != len(plan.holders):
        raise SweepPlanRefused("the plan does not name one holder for each host key")
    if len(plan.signers) != plan.key.threshold:
        raise SweepPlanRefused(
            f"{plan.key.threshold} holders sign for this vault, and the plan names {len(plan.signers)}"
        )
    if list(plan.signers) != sorted(set(plan.signers)) or plan.signers[-1] >= len(plan.holders):
        raise SweepPlanRefused("the plan's signers are not different holders in participant order")


def _weights(script: int) -> tuple[int, int]:
    """Weight of a spend with one output of this script length but for its inputs, and of each input."""
    each = spend_weight(2, [script]) - spend_weight(1, [script])
    return spend_weight(1, [script]) - each, each
