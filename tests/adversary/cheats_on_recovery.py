"""Cheats with the address book and break-glass, by a coordinator with a whole quorum's genuine words.

They need the charter of `recovery_deployment`: vault `petty` pays the address book alone, and vault `customer-hot` has
a recovery address, a delay of a second and a box of twenty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cheat_report import AFTERWARDS, NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import HOT, claimed, drafted, more, ordered, payee, pays, withdrawal
from rogue_plans import forced, now_ms

from strongroom.chains.bitcoin.networks import REGTEST, SIGNET
from strongroom.ledger.break_glass import recovery_address
from strongroom.ledger.charter import RecoveryAddress, encode_charter
from strongroom.ledger.entry_messages import Change, Plan, PlanOutput, Recovery
from strongroom.ledger.order_messages import AddDestination, AmendCharter, BreakGlass, Freeze, RemoveDestination, Scope
from strongroom.ledger.signed_messages import Verb
from strongroom_client.orders import DraftedOrder

PETTY = "petty"
COOLING_S, DELAY_S, BOX_S = 5, 1, 20
EVERYBODY = ("bob", "carol", "dave")
ALL_SAT = 1_000_000_000
FEE_SAT = 3_000


def _addition(rogue: RogueLeader, address: str, *, chain: str = REGTEST.caip2) -> DraftedOrder:
    return drafted(rogue, AddDestination(chain=chain, address=address, label="ours", proof=b""))


def _removal(rogue: RogueLeader, address: str) -> DraftedOrder:
    return drafted(rogue, RemoveDestination(chain=REGTEST.caip2, address=address, why="not ours"))


async def _listed(rogue: RogueLeader, address: str) -> None:
    """Add an address with genuine words, and let it cool off."""
    await rogue.append_honestly(ordered(rogue, _addition(rogue, address)))
    await asyncio.sleep(COOLING_S + 1)


def _payment(rogue: RogueLeader, address: str) -> tuple[Any, Plan]:
    """The entry of an order to pay an address from the vault that pays the address book, and its plan."""
    order = withdrawal(rogue, vault=PETTY, amount=100_000, destination=address)
    return ordered(rogue, order), pays(rogue, order)


# --- the address book


@cheat("book-pay-at-once", "Adds an address to the address book and pays it in the same moment.")
async def book_pay_at_once(rogue: RogueLeader) -> None:
    address = payee()
    await forced(rogue, ordered(rogue, _addition(rogue, address)), *_payment(rogue, address))


@cheat("book-pay-unlisted", "Pays an address that the address book never had.")
async def book_pay_unlisted(rogue: RogueLeader) -> None:
    await forced(rogue, *_payment(rogue, payee()))


@cheat("book-one-approval", "Adds an address with one approval where two are needed, and pays it.")
async def book_one_approval(rogue: RogueLeader) -> None:
    address = payee()
    await rogue.append_honestly(ordered(rogue, _addition(rogue, address), approved=("bob",)))
    await forced(rogue, *_payment(rogue, address))


@cheat("book-other-chain", "Adds an address for another chain, where people would look less closely.")
async def book_other_chain(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, _addition(rogue, payee(), chain=SIGNET.caip2)))


@cheat("book-pay-removed", "Pays an address that somebody took out of the address book after it had cooled off.")
async def book_pay_removed(rogue: RogueLeader) -> None:
    address = payee()
    await _listed(rogue, address)
    entry, plan = _payment(rogue, address)
    await rogue.append_honestly(entry)
    await rogue.append_honestly(ordered(rogue, _removal(rogue, address), approved=()))
    await forced(rogue, plan)


@cheat("book-pay-readded", "Adds a removed address again, and pays it as if it had cooled off long ago.")
async def book_pay_readded(rogue: RogueLeader) -> None:
    address = payee()
    await _listed(rogue, address)
    await rogue.append_honestly(ordered(rogue, _removal(rogue, address), approved=()))
    await forced(rogue, ordered(rogue, _addition(rogue, address)), *_payment(rogue, address))


@cheat("book-add-again", "Adds an address that cools off once more under an earlier time, to pay it sooner.")
async def book_add_again(rogue: RogueLeader) -> None:
    address = payee()
    await rogue.append_honestly(ordered(rogue, _addition(rogue, address)))
    await forced(rogue, ordered(rogue, _addition(rogue, address)))


@cheat("book-false-proof", "Adds an address with a proof of ownership that its owner never gave.")
async def book_false_proof(rogue: RogueLeader) -> None:
    action = AddDestination(chain=REGTEST.caip2, address=payee(), label="ours", proof=b"\x01\x40" + bytes(64))
    await forced(rogue, ordered(rogue, drafted(rogue, action)))


# --- break-glass


def _glass(rogue: RogueLeader, *, vault: str = HOT, destination: str = "") -> DraftedOrder:
    address = destination or recovery_address(rogue.state.charter, HOT)
    if not address:
        raise NothingToCheatWith("the charter registers no recovery address")
    return drafted(rogue, BreakGlass(vault=vault, destination=address, max_fee=100_000))


def _sweep(order: DraftedOrder, *, vault: str = HOT, outputs: Sequence[Any] = ()) -> Plan:
    whole = (Recovery(amount_sat=ALL_SAT - FEE_SAT),)
    return Plan(
        vault=vault,
        order_hashes=(order.hash,),
        inputs=(claimed(ALL_SAT),),
        outputs=tuple(PlanOutput(target=target) for target in outputs or whole),
        bumps=b"",
    )


async def _opened(rogue: RogueLeader) -> DraftedOrder:
    """Break the glass with genuine words, and wait until the box is open."""
    order = _glass(rogue)
    await rogue.append_honestly(ordered(rogue, order, approved=EVERYBODY))
    await asyncio.sleep(DELAY_S + 0.5)
    return order


@cheat("glass-two-approvals", "Breaks the glass with two approvals where three are needed.")
async def glass_two_approvals(rogue: RogueLeader) -> None:
    order = _glass(rogue)
    await rogue.append_honestly(ordered(rogue, order, approved=EVERYBODY[:2]))
    await asyncio.sleep(DELAY_S + 0.5)
    await forced(rogue, _sweep(order))


@cheat("glass-too-early", "Breaks the glass and moves the coins before anybody could object.")
async def glass_too_early(rogue: RogueLeader) -> None:
    order = _glass(rogue)
    await forced(rogue, ordered(rogue, order, approved=EVERYBODY), _sweep(order))


@cheat("glass-elsewhere", "Breaks the glass for another address than the one that the charter registers.")
async def glass_elsewhere(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, _glass(rogue, destination=payee()), approved=EVERYBODY))


@cheat("glass-unregistered", "Breaks the glass for a vault without a recovery address.")
async def glass_unregistered(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, _glass(rogue, vault=PETTY), approved=EVERYBODY))


@cheat("glass-other-vault", "Moves the coins of one vault by the order for another.")
async def glass_other_vault(rogue: RogueLeader) -> None:
    await forced(rogue, _sweep(await _opened(rogue), vault=PETTY))


@cheat("glass-keeps-change", "Moves a part to the recovery address and keeps the rest where it can be reached.")
async def glass_keeps_change(rogue: RogueLeader) -> None:
    parts = (Recovery(amount_sat=1_000), Change(amount_sat=ALL_SAT - 1_000 - FEE_SAT, index=0))
    await forced(rogue, _sweep(await _opened(rogue), outputs=parts))


@cheat("glass-burns-fees", "Gives a large part of the vault to a miner under the name of a fee.")
async def glass_burns_fees(rogue: RogueLeader) -> None:
    await forced(rogue, _sweep(await _opened(rogue), outputs=(Recovery(amount_sat=ALL_SAT // 2),)))


@cheat("glass-pays-as-well", "Pays a withdrawal in the transaction that breaks the glass, under a freeze.")
async def glass_pays_as_well(rogue: RogueLeader) -> None:
    order, other = await _opened(rogue), withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, other))
    await forced(rogue, replace(_sweep(order), order_hashes=(order.hash, other.hash)))


@cheat("glass-rejected", "Moves coins after one of the quorum closed the box.")
async def glass_rejected(rogue: RogueLeader) -> None:
    order = await _opened(rogue)
    await rogue.append_honestly(more(rogue, Verb.REJECT, order, "carol"))
    await forced(rogue, _sweep(order))


@cheat("glass-address-in-one-go", "Amends the recovery address and breaks the glass for the new one in one moment.")
async def glass_address_in_one_go(rogue: RogueLeader) -> None:
    charter, address = rogue.state.charter, payee()
    if charter.break_glass is None:
        raise NothingToCheatWith("the charter registers no recovery address")
    moved = replace(charter.break_glass, addresses=(RecoveryAddress(vault="*", address=address),))
    amended = replace(charter, version=charter.version + 1, break_glass=moved)
    amendment = drafted(rogue, AmendCharter(charter=encode_charter(amended), handover_expires_ms=0))
    glass = ordered(rogue, _glass(rogue, destination=address), approved=EVERYBODY)
    await forced(rogue, ordered(rogue, amendment), glass)


@cheat("glass-frozen-time", "Lets log time stand still so that the box seems open, and asks for shares later.")
async def glass_frozen_time(rogue: RogueLeader) -> None:
    order = await _opened(rogue)
    stamp = max(now_ms(), rogue.state.time_ms)
    await asyncio.sleep(BOX_S + 1)
    index = len(rogue.entries)
    await rogue.append([rogue.entry(_sweep(order), time_ms=stamp)], step="append")
    await rogue.commit(index, step="commit")


@cheat("glass-for-a-payment", "Lets a freeze be passed by calling a withdrawal's plan a recovery.")
async def glass_for_a_payment(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, order))
    freeze = drafted(rogue, Freeze(scope=Scope.VAULT, vault=HOT, why="looks wrong"))
    await rogue.append_honestly(ordered(rogue, freeze, approved=()))
    await forced(rogue, _sweep(order), step="as-recovery")
    await forced(rogue, pays(rogue, order), step=AFTERWARDS)
