"""Cheats with words that stop a payment: they come between the rounds, or the coordinator keeps them to itself.

Each of these words is handed to the operators of two of three signers, which is enough to stop a vault that two sign
for; the third is told nothing. The cheats with `between-rounds` in their name wait where every signer has given its
nonces for a plan that may be paid, until that was done, and ask for the shares after it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cheat_report import NothingToCheatWith, cheat
from cheats_on_charters import amendment, without
from rogue_leader import RogueLeader
from rogue_people import HOT, drafted, more, ordered, pays, said, withdrawal
from rogue_plans import now_ms

from strongroom.ledger.entry_messages import OrderEntry
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.signed_messages import Signed, Verb
from strongroom.protocol.signed import SignedBody
from strongroom_client.orders import DraftedOrder

STAYING = ("bob", "dave")
"""Approvers whose keys no cheat here has revoked."""
AHEAD_MS = 601_000
"""How far the clocks of the signers of `withhold-past-grace` are ahead: a little more than they wait for a word."""


def _hands_out(rogue: RogueLeader, words: Sequence[Signed], order: bytes = b"") -> None:
    """Write the file that people give to operators; who helps this cheat hands it in."""
    said_here = [{"body": word.body.hex(), "signature": word.signature.hex()} for word in words]
    content: dict[str, Any] = {"v": 1, "endorsements": said_here}
    (rogue.folder / "handed.json").write_text(json.dumps(content | ({"order": order.hex()} if order else {})))


async def _committed(rogue: RogueLeader, order: DraftedOrder, entry: OrderEntry) -> tuple[int, dict[str, SignedBody]]:
    """Log an approved order and its plan, for which every signer gives its nonces."""
    index, given = await rogue.append_honestly(entry, pays(rogue, order), commit=True)
    if given.keys() != rogue.links.keys():
        raise NothingToCheatWith(f"nonces came from {sorted(given)} only")
    return index, given


async def _released(rogue: RogueLeader, index: int, given: dict[str, SignedBody]) -> None:
    """Ask both signers that were told for a share, and the third as well: its share alone signs nothing."""
    first, second, third = sorted(given)
    certificate = rogue.certificate
    await rogue.release(index, [given[first], given[second]], to=[first, second], certificate=certificate)
    await rogue.release(index, [given[second], given[third]], to=[third], certificate=certificate, honest=True)


async def _told_between(rogue: RogueLeader, index: int, given: dict[str, SignedBody]) -> None:
    """Wait until both were told, and ask for the shares then."""
    await rogue.pause(rogue.report.cheat)
    await _released(rogue, index, given)


# --- between the rounds


@cheat("operator-freeze-between-rounds", "Asks for shares after two operators froze the vault, with nonces of before.")
async def operator_freeze_between_rounds(rogue: RogueLeader) -> None:
    """When they have thawed it, the very plan is signed: nothing else was wrong with it."""
    order = withdrawal(rogue)
    index, given = await _committed(rogue, order, ordered(rogue, order, approved=STAYING))
    await _told_between(rogue, index, given)
    await rogue.pause("thaw")
    told = sorted(given)[:2]
    fresh = await rogue.commit(index, to=told, step="thawed")
    await rogue.release(index, [fresh[name] for name in told], to=told, honest=True, step="thawed")


@cheat("officer-freeze-between-rounds", "Asks for shares after an officer froze the vault, with nonces of before.")
async def officer_freeze_between_rounds(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    index, given = await _committed(rogue, order, ordered(rogue, order, approved=STAYING))
    freeze = drafted(rogue, Freeze(scope=Scope.VAULT, vault=HOT, why="the coordinator looks hostile"))
    _hands_out(rogue, [said(rogue, Verb.INITIATE, freeze.hash, "dave")], freeze.data)
    await _told_between(rogue, index, given)


@cheat("rejection-between-rounds", "Asks for shares after the order was rejected, with nonces of before.")
async def rejection_between_rounds(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    index, given = await _committed(rogue, order, ordered(rogue, order))
    _hands_out(rogue, [said(rogue, Verb.REJECT, order.hash, "dave")])
    await _told_between(rogue, index, given)


@cheat("revocation-between-rounds", "Asks for shares after an approver's key was revoked, with nonces of before.")
async def revocation_between_rounds(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    index, given = await _committed(rogue, order, ordered(rogue, order, approved=("bob", "carol")))
    # Those who stay are too few to break the glass.
    revoking = amendment(rogue, break_glass=None, **without(rogue, "carol"))
    words = ordered(rogue, revoking, by="carol", approved=("alice", "bob")).endorsements
    _hands_out(rogue, words, revoking.data)
    await _told_between(rogue, index, given)


@cheat("uncertified-rejection", "Logs a rejection without ever certifying it, and asks for shares by what came before.")
async def uncertified_rejection(rogue: RogueLeader) -> None:
    """Two signers store it; the certificate that they are shown ends before it."""
    order = withdrawal(rogue)
    index, given = await _committed(rogue, order, ordered(rogue, order))
    rejection = rogue.entries_of([more(rogue, Verb.REJECT, order, "dave")])
    await rogue.append(rejection, to=sorted(given)[:2], step="rejection")
    await _released(rogue, index, given)


# --- kept back


@cheat("withhold-revocation", "Keeps a revocation to itself, and asks for signatures on what the key approved.")
async def withhold_revocation(rogue: RogueLeader) -> None:
    """Needs the revocation of carol's key handed in at the operator sockets of n - t + 1 signers."""
    order = withdrawal(rogue)
    entry = ordered(rogue, order, approved=("bob", "carol"))
    index, given = await rogue.append_honestly(entry, pays(rogue, order), commit=True)
    rogue.report.say("committed", signers=sorted(given))
    await rogue.release(index, [*given.values(), *given.values()][:2], certificate=rogue.certificate)


@cheat("withhold-past-grace", "Keeps a freeze to itself for longer than the ten minutes that signers wait for it.")
async def withhold_past_grace(rogue: RogueLeader) -> None:
    """Needs the freeze handed in at two signers, and clocks of all signers that are ahead."""
    order = withdrawal(rogue)
    entries = rogue.entries_of([ordered(rogue, order, approved=STAYING)], time_ms=now_ms() + AHEAD_MS)
    answers = await rogue.append(entries)
    rogue.report.say("voted", signers=sorted(name for name, answer in answers.items() if answer.vote is not None))
