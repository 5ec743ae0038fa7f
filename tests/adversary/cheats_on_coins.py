"""Cheats with the coins that a plan claims to spend: another amount, another vault's, none. No signer has a chain.

What a signer cannot know it need not know: the digest that it signs commits to the amount and the script of every coin
as claimed, so a false claim makes signatures that no node accepts. These cheats collect them, and print the result.
"""

from __future__ import annotations

from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import COIN, HOT, claimed, ordered, pays, withdrawal
from rogue_plans import as_inputs, fresh_coins

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Plan, PlanInput
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.plans import plan_hash, resolve
from strongroom.protocol.commitments import verify_commitments
from strongroom.protocol.release import aggregate, open_set, verify_shares
from strongroom.protocol.signing_task import Group, task_of
from strongroom_client.orders import DraftedOrder


@cheat("lie-about-amount", "Says that a coin is worth a fiftieth of what it is, so that the rest goes to the miners.")
async def lie_about_amount(rogue: RogueLeader) -> None:
    coin = as_inputs(fresh_coins(rogue, HOT))[0]
    await _signed_for(rogue, replace(coin, amount_sat=COIN))


@cheat("borrow-coin", "Pays an order of one vault with a coin of another, and says that it is the first one's.")
async def borrow_coin(rogue: RogueLeader) -> None:
    """Needs a confirmed coin of the vault `petty`."""
    await _signed_for(rogue, as_inputs(fresh_coins(rogue, "petty"))[0])


@cheat("invent-coin", "Pays an order with a coin that nobody has ever seen.")
async def invent_coin(rogue: RogueLeader) -> None:
    await _signed_for(rogue, claimed())


async def _signed_for(rogue: RogueLeader, coin: PlanInput) -> None:
    """Have an approved payment from a falsely claimed coin signed, and print the finished transaction."""
    order = withdrawal(rogue, amount=1_000_000)
    plan = pays(rogue, order, inputs=[coin])
    raw = await _finished(rogue, order, plan)
    action = order.order.action
    if not isinstance(action, Withdraw):
        raise NothingToCheatWith("only a withdrawal is paid")
    where = {"txid": coin.txid[::-1].hex(), "vout": coin.vout, "order": order.hash.hex()}
    rogue.report.say("finished", raw=raw.hex(), payee=action.destination, amount=action.amount, **where)


async def _finished(rogue: RogueLeader, order: DraftedOrder, plan: Plan) -> bytes:
    """The transaction of a plan, signed by as many holders as it takes; all of this an honest coordinator does too."""
    index, given = await rogue.append_honestly(ordered(rogue, order), plan, commit=True)
    state = rogue.state
    resolved = resolve(state, plan)
    vault = resolved.vault
    names = [name for name in vault.signers if name in given][: vault.threshold]
    task = task_of(
        resolved.spend,
        log_id=rogue.log_id,
        term=rogue.term,
        entry_index=index,
        plan_hash=plan_hash(codec.encode(plan)),
        vault_epoch=vault.epoch,
        group=Group(
            signers=vault.signers,
            threshold=vault.threshold,
            public_shares=vault.public_shares,
            group_key=vault.group_key,
        ),
    )
    keys = rogue.electorate.vote_keys
    chosen = open_set(task, [verify_commitments(given[name], task=task, vote_keys=keys) for name in names])
    shares = await rogue.release(
        index, [given[name] for name in names], to=names, certificate=rogue.certificate, honest=True
    )
    verified = [verify_shares(chosen, signed, vote_keys=keys) for signed in shares.values()]
    return resolved.spend.finalise(aggregate(chosen, {item.signer: item for item in verified}))
