"""Cheats with the first entry of a log: other rules than those that people adopted, or adopted by too few of them."""

from __future__ import annotations

import os
from dataclasses import replace

from cheat_report import cheat
from rogue_leader import RogueLeader
from rogue_people import COIN, ordered, people_of, withdrawal
from rogue_plans import forced

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.charter import encode_charter, log_id_of
from strongroom.ledger.entry_messages import Genesis
from strongroom.ledger.signed_messages import Adopt
from strongroom.protocol.signed import sign_body
from strongroom_client.orders import Seen


def _loose(rogue: RogueLeader) -> bytes:
    """The charter with one approval for any amount, and another salt, as its adopters never saw it."""
    charter = rogue.genesis.charter
    rule = charter.rules[0]
    alone = replace(
        rule, approvals=(replace(rule.approvals[0], count=1),), maximum=(replace(rule.maximum[0], amount=1_000 * COIN),)
    )
    return encode_charter(replace(charter, rules=(alone,), salt=os.urandom(32)))


@cheat("stranger-charter", "Begins the log with a charter of its own, really adopted by its administrators' keys.")
async def stranger_charter(rogue: RogueLeader) -> None:
    """Even adoptions of just this charter do not help: each operator compared and pinned the fingerprint of another."""
    charter = _loose(rogue)
    people = people_of(rogue)
    adoptions = tuple(people.key(name).sign_adoption(log_id_of(charter)) for name in ("alice", "bob"))
    await forced(rogue, Genesis(charter=charter, adoptions=adoptions))


@cheat("loosened-genesis", "Begins the log with looser rules under the genuine adoptions.")
async def loosened_genesis(rogue: RogueLeader) -> None:
    await forced(rogue, replace(rogue.genesis.genesis, charter=_loose(rogue)))


@cheat("too-few-adoptions", "Begins the log with the genuine charter before enough administrators adopted it.")
async def too_few_adoptions(rogue: RogueLeader) -> None:
    genuine = rogue.genesis.genesis
    await forced(rogue, replace(genuine, adoptions=genuine.adoptions[:1]))


@cheat("one-adopts-twice", "Counts one administrator's adoption of the charter twice.")
async def one_adopts_twice(rogue: RogueLeader) -> None:
    genuine = rogue.genesis.genesis
    await forced(rogue, replace(genuine, adoptions=(genuine.adoptions[0], genuine.adoptions[0])))


@cheat("forged-adoption", "Forges an administrator's adoption of the charter.")
async def forged_adoption(rogue: RogueLeader) -> None:
    genuine = rogue.genesis.genesis
    public = people_of(rogue).key("carol").public
    with SigningKey.generate(os.urandom) as key:
        forged = sign_body("adopt", Adopt(log_id=rogue.log_id, person="carol", key=public), key).stored()
    await forced(rogue, replace(genuine, adoptions=(genuine.adoptions[0], forged)))


@cheat("server-adopts", "Counts a customer's server among the administrators who adopted the charter.")
async def server_adopts(rogue: RogueLeader) -> None:
    genuine = rogue.genesis.genesis
    adoption = people_of(rogue).key("shop").sign_adoption(rogue.log_id)
    await forced(rogue, replace(genuine, adoptions=(genuine.adoptions[0], adoption)))


@cheat("no-genesis", "Begins the log with an order, before any rules are in force.")
async def no_genesis(rogue: RogueLeader) -> None:
    await forced(rogue, ordered(rogue, withdrawal(rogue), seen=Seen(size=1, root=os.urandom(32))))
