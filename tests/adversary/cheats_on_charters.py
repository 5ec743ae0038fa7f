"""Cheats with amendments: an admin quorum in a hurry, the coordinator that helps it, and keys that were revoked.

They follow one another in one log: the first leave the charter alone, `tightened` puts the next version in force, and
`revoked-*` take carol out of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import COIN, drafted, more, ordered, pays, people_of, said, withdrawal
from rogue_plans import forced, now_ms

import charter_builder
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.charter import AssetAmount, Person, encode_charter
from strongroom.ledger.entry_messages import OrderEntry, SignerFreeze, Tick
from strongroom.ledger.order_messages import AmendCharter, Unfreeze
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.signed import SignedBody
from strongroom_client.orders import DraftedOrder
from strongroom_coordinator.link_frames import signed_of

HOUR_MS = 3_600_000
OVER = 3 * COIN
"""More than the charter's rule pays in one order, less than the loosened one."""
THIEF = "mallory"
AHEAD_MS = 48 * HOUR_MS + 60_000
"""How far the clocks of the signers of `spend-the-loosened` are ahead: over the delay of the proposed charter."""
RAISED_WITHIN_S = 30.0


def amendment(rogue: RogueLeader, *, version: int | None = None, **parts: Any) -> DraftedOrder:
    """An order that puts the next version in force, with these parts replaced."""
    now = rogue.state.charter
    proposed = replace(now, **{"version": now.version + 1 if version is None else version, **parts})
    return drafted(rogue, AmendCharter(charter=encode_charter(proposed), handover_expires_ms=0))


def looser(rogue: RogueLeader, **parts: Any) -> DraftedOrder:
    """An amendment after which a rule pays ten coins in one order."""
    most = (AssetAmount(asset=REGTEST.asset_id, amount=10 * COIN),)
    rules = tuple(replace(rule, maximum=most) for rule in rogue.state.charter.rules)
    return amendment(rogue, rules=rules, **parts)


def tighter(rogue: RogueLeader, **parts: Any) -> DraftedOrder:
    """An amendment that only tightens: freezes by one last longer."""
    return amendment(rogue, freeze_lapse_ms=rogue.state.charter.freeze_lapse_ms + HOUR_MS, **parts)


def without(rogue: RogueLeader, name: str, *added: Person) -> dict[str, Any]:
    """The parts of an amendment that takes a person out, and puts others into the same groups."""
    now = rogue.state.charter
    names = tuple(person.name for person in added)
    groups = tuple(
        replace(
            group, members=(*(one for one in group.members if one != name), *(names if name in group.members else ()))
        )
        for group in now.groups
    )
    return {"people": (*(one for one in now.people if one.name != name), *added), "groups": groups}


async def _spends(rogue: RogueLeader, *before: Any) -> None:
    """A payment that only the loosened charter lets pass, behind these entries in one batch."""
    order = withdrawal(rogue, amount=OVER)
    await forced(rogue, *before, ordered(rogue, order), pays(rogue, order))


# --- sooner than the delay


@cheat("loosen-and-pay", "Has the whole admin quorum loosen the rules, and pays by them in the same batch.")
async def loosen_and_pay(rogue: RogueLeader) -> None:
    await _spends(rogue, ordered(rogue, looser(rogue)))


@cheat("loosen-then-pay", "Has the whole admin quorum loosen the rules, and pays by them in the next batch.")
async def loosen_then_pay(rogue: RogueLeader) -> None:
    await rogue.append_honestly(ordered(rogue, looser(rogue)))
    await _spends(rogue)


@cheat("loosen-under-tightening", "Hides a loosening in an amendment that tightens as well, and pays by it at once.")
async def loosen_under_tightening(rogue: RogueLeader) -> None:
    both = looser(rogue, freeze_lapse_ms=rogue.state.charter.freeze_lapse_ms + HOUR_MS)
    await _spends(rogue, ordered(rogue, both))


@cheat("shorten-the-delay", "First shortens the very delay that loosening waits out, then loosens and pays.")
async def shorten_the_delay(rogue: RogueLeader) -> None:
    shorter = amendment(rogue, loosening_delay_ms=1)
    await _spends(rogue, ordered(rogue, shorter), ordered(rogue, looser(rogue)))


@cheat("jump-over-amendment-delay", "Pushes log time over the delay of an approved amendment, and pays by it.")
async def jump_over_amendment_delay(rogue: RogueLeader) -> None:
    approved = looser(rogue)
    await rogue.append_honestly(ordered(rogue, approved))
    due_ms = rogue.state.next_due_ms
    if due_ms is None:
        raise NothingToCheatWith("no amendment is scheduled")
    order = withdrawal(rogue, amount=OVER)
    await forced(rogue, ordered(rogue, order), pays(rogue, order), time_ms=due_ms + 1)


# --- after the delay


@cheat("loosen-and-thaw", "Has the whole admin quorum loosen the rules, and lift what operators freeze meanwhile.")
async def loosen_and_thaw(rogue: RogueLeader) -> None:
    """Two operators freeze everything while the delay runs; the log says afterwards that nothing is frozen."""
    await rogue.append_honestly(ordered(rogue, looser(rogue)))
    if rogue.state.next_due_ms is None:
        raise NothingToCheatWith("no amendment is scheduled")
    await rogue.pause("freeze")
    freezes = await _raised_freezes(rogue, 2)
    lifts = [drafted(rogue, Unfreeze(freeze=sha256(freeze.body).digest())) for freeze in freezes]
    logged = [SignerFreeze(statement=freeze.stored()) for freeze in freezes]
    await rogue.append_honestly(*logged, *(ordered(rogue, lift) for lift in lifts))
    # Signers keep what is certified through a change of terms, and hear of it with the next batch.
    await rogue.tick()
    standing = list(rogue.state.standing_freezes(rogue.state.time_ms))
    if standing:
        raise NothingToCheatWith(f"{len(standing)} freezes still stand in the log")


async def _raised_freezes(rogue: RogueLeader, count: int) -> list[SignedBody]:
    """The operators' freezes, once so many signers have asked for them to be logged."""
    async with asyncio.timeout(RAISED_WITHIN_S):
        while True:
            found = [signed_of(freeze) for raised in rogue.raised.values() for freeze in raised.freezes]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def _spends_the_loosened(rogue: RogueLeader, *, honest: bool) -> None:
    """Two days later: pay what only the charter pays that came into force since."""
    await rogue.append_honestly(Tick(), time_ms=now_ms() + AHEAD_MS)
    order = withdrawal(rogue, amount=OVER)
    index, given = await rogue.append_honestly(ordered(rogue, order), pays(rogue, order), commit=True)
    rogue.report.say("committed", signers=sorted(given))
    chosen = [given[name] for name in sorted(given)]
    to = sorted(given)[:2] if honest else None
    await rogue.release(index, [*chosen, *chosen][:2], to=to, certificate=rogue.certificate, honest=honest)


@cheat("spend-the-loosened", "Pays by the loosened rules after their delay, though operators froze their signers.")
async def spend_the_loosened(rogue: RogueLeader) -> None:
    """Needs what `loosen-and-thaw` left behind, and clocks of all signers that are ahead."""
    await _spends_the_loosened(rogue, honest=False)


@cheat("spend-what-nobody-froze", "Pays by the loosened rules after their delay, which nobody used to object.")
async def spend_what_nobody_froze(rogue: RogueLeader) -> None:
    """The same once the operators have thawed what they froze: the promise ends here."""
    await _spends_the_loosened(rogue, honest=True)


# --- by too few, or by nobody


@cheat("amend-below-quorum", "Puts an amendment in force that one administrator approved, and pays by it.")
async def amend_below_quorum(rogue: RogueLeader) -> None:
    await _spends(rogue, ordered(rogue, looser(rogue), approved=("bob",)))


@cheat("amend-by-machine", "Counts a server's word for an amendment.")
async def amend_by_machine(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, tighter(rogue), approved=("bob", "shop")))


@cheat("amend-by-initiator", "Counts the word of who proposed an amendment as an approval of it.")
async def amend_by_initiator(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, tighter(rogue), by="alice", approved=("bob", "alice")))


# --- another version


@cheat("skip-a-version", "Leaves a version of the charter out.")
async def skip_a_version(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, tighter(rogue, version=rogue.state.charter.version + 2)))


@cheat("roll-the-charter-back", "Brings the charter back that was in force before it was tightened.")
async def roll_the_charter_back(rogue: RogueLeader) -> None:
    """First tightens it, by an honest amendment that stays in force."""
    before = rogue.state.charter
    await rogue.append_honestly(ordered(rogue, tighter(rogue)))
    if rogue.state.charter.version != before.version + 1:
        raise NothingToCheatWith("the tightening is not in force")
    old = drafted(rogue, AmendCharter(charter=encode_charter(before), handover_expires_ms=0))
    await forced(rogue, ordered(rogue, old))


@cheat("amend-once-more", "Logs an amendment again that another one overtook.")
async def amend_once_more(rogue: RogueLeader) -> None:
    overtaken = tighter(rogue)
    await rogue.append_honestly(ordered(rogue, overtaken, approved=("bob",)), ordered(rogue, tighter(rogue)))
    await forced(rogue, more(rogue, Verb.APPROVE, overtaken, "carol"))


@cheat("other-organisation", "Amends the charter into that of another organisation.")
async def other_organisation(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, tighter(rogue, organisation="another")))


# --- signers


@cheat("amend-freezers-out", "Puts own signers into the charter in place of those whose operators froze them.")
async def amend_freezers_out(rogue: RogueLeader) -> None:
    own = [charter_builder.signer(f"{THIEF}-{number}") for number in (1, 2)]
    await forced(rogue, ordered(rogue, amendment(rogue, signers=(*own, rogue.state.charter.signers[-1]))))


# --- keys


@cheat("key-of-another", "Gives a new person the key of an administrator who leaves with the same amendment.")
async def key_of_another(rogue: RogueLeader) -> None:
    carol = next(person for person in rogue.state.charter.people if person.name == "carol")
    await forced(rogue, ordered(rogue, amendment(rogue, **without(rogue, "carol", replace(carol, name=THIEF)))))


@cheat("veto-own-revocation", "Rejects, with a stolen key, the amendment that takes it.")
async def veto_own_revocation(rogue: RogueLeader) -> None:
    revoking = amendment(rogue, **without(rogue, "carol"))
    await rogue.append_honestly(ordered(rogue, revoking, approved=("bob",)))
    await forced(rogue, more(rogue, Verb.REJECT, revoking, "carol"))


def _revoke_carol(rogue: RogueLeader) -> Sequence[OrderEntry]:
    """What takes carol out of the charter, where she is in it."""
    people = {person.name for person in rogue.state.charter.people}
    if "carol" not in people:
        return ()
    # Two administrators approve what the third asks for, whose key it takes.
    return (ordered(rogue, amendment(rogue, **without(rogue, "carol")), by="carol", approved=("alice", "bob")),)


@cheat("revoked-approval", "Pays by the approval that an administrator gave before her key was revoked.")
async def revoked_approval(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=1_000_000)
    await rogue.append_honestly(ordered(rogue, order), *_revoke_carol(rogue))
    await forced(rogue, pays(rogue, order))


@cheat("revoked-key-speaks", "Has a revoked key approve.")
async def revoked_key_speaks(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=1_000_000)
    words = [said(rogue, Verb.INITIATE, order.hash, "alice"), said(rogue, Verb.APPROVE, order.hash, "carol")]
    await forced(rogue, *_revoke_carol(rogue), OrderEntry(order=order.data, endorsements=tuple(words)))


@cheat("revoked-key-returns", "Puts a revoked key back into the charter, for its old owner.")
async def revoked_key_returns(rogue: RogueLeader) -> None:
    revoking = _revoke_carol(rogue)
    if revoking:
        await rogue.append_honestly(*revoking)
    known = next(person for person in rogue.state.charter.people if person.name == "bob")
    key = replace(known.keys[0], public=people_of(rogue).key("carol").public)
    carol = replace(known, name="carol", keys=(key,))
    back = amendment(rogue, people=(*rogue.state.charter.people, carol))
    await forced(rogue, ordered(rogue, back, approved=("bob",)))
