"""Cheats with signing and key generation: nonces twice, exchanged commitments, other epochs, a raised threshold."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_plans import acceptable_plan

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto import chilldkg
from strongroom.crypto.curve import GENERATOR
from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.messages import Commitments, CreateVault
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.state import decode_order
from strongroom.protocol.signed import SignedBody


async def _certified(rogue: RogueLeader) -> tuple[int, dict[str, SignedBody]]:
    """An acceptable plan under a certificate, with everybody's commitments."""
    index, commitments = await rogue.append_honestly(acceptable_plan(rogue), commit=True)
    if len(commitments) < 2:
        raise NothingToCheatWith("too few signers committed")
    return index, commitments


def _altered(signed: SignedBody, change: Callable[[Commitments], Commitments]) -> SignedBody:
    """Other commitments under the same signature."""
    message = codec.decode(Commitments, signed.body, max_size=1 << 17)
    return SignedBody(body=codec.encode(change(message)), signature=signed.signature)


@cheat("replay-release", "Asks twice for signatures under the same one-time numbers, which would give the key away.")
async def replay_release(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    pairs = sorted(commitments.items())
    for first, second in zip(pairs, pairs[1:] + pairs[:1], strict=True):
        await _replay(rogue, index, dict(sorted([first, second])), victim=first[0])


async def _replay(rogue: RogueLeader, index: int, chosen: dict[str, SignedBody], *, victim: str) -> None:
    await rogue.release(index, chosen.values(), to=[victim], certificate=rogue.certificate, honest=True)
    await rogue.release(index, chosen.values(), to=[victim], step="release-again")


@cheat("other-set", "Asks again under used one-time numbers, with another partner, which would give the key away.")
async def other_set(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    names = sorted(commitments)
    victim, partner, other = names[0], names[1], names[-1]
    first = [commitments[victim], commitments[partner]]
    await rogue.release(index, first, to=[victim], certificate=rogue.certificate, honest=True)
    await rogue.release(index, [commitments[victim], commitments[other]], to=[victim], step="release-again")


@cheat("swapped-commitments", "Exchanges a signer's one-time numbers for its own before the others see them.")
async def swapped_commitments(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    names = sorted(commitments)
    point = GENERATOR.serialise()

    def own(message: Commitments) -> Commitments:
        return replace(message, nonces=tuple(point + point for _ in message.nonces))

    for position, victim in enumerate(names):
        partner = names[(position + 1) % len(names)]
        chosen = {victim: commitments[victim], partner: _altered(commitments[partner], own)}
        ordered = [chosen[name] for name in sorted(chosen)]
        await rogue.release(index, ordered, to=[victim], certificate=rogue.certificate)


@cheat("left-out", "Asks a signer to sign in a set that does not hold the signer's own one-time numbers.")
async def left_out(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    for victim in sorted(commitments):
        others = [item for name, item in sorted(commitments.items()) if name != victim]
        await rogue.release(index, others[:2], to=[victim], certificate=rogue.certificate)


@cheat("reordered-set", "Lists the partners of a signature in another order than the vault's.")
async def reordered_set(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    names = sorted(commitments)
    await rogue.release(
        index, [commitments[names[1]], commitments[names[0]]], to=names[:2], certificate=rogue.certificate
    )


@cheat("other-epoch", "Asks for signatures with a generation of key shares that is not the current one.")
async def other_epoch(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)

    def next_epoch(message: Commitments) -> Commitments:
        return replace(message, vault_epoch=message.vault_epoch + 1)

    chosen = [_altered(commitments[name], next_epoch) for name in sorted(commitments)[:2]]
    await rogue.release(index, chosen, to=sorted(commitments)[:2], certificate=rogue.certificate)


@cheat("other-plan", "Uses one-time numbers that were made for one payment to have another one signed.")
async def other_plan(rogue: RogueLeader) -> None:
    _, commitments = await _certified(rogue)
    other, _ = await rogue.append_honestly(acceptable_plan(rogue, extra=1), commit=True)
    chosen = [commitments[name] for name in sorted(commitments)[:2]]
    await rogue.release(other, chosen, to=sorted(commitments)[:2], certificate=rogue.certificate)


@cheat("many-sessions", "Opens hundreds of signing sessions at once, as known forgeries of joint signatures need.")
async def many_sessions(rogue: RogueLeader) -> None:
    index, _ = await _certified(rogue)
    for _ in range(4):
        await rogue.commit(index)


@cheat("no-order-keygen", "Starts a key generation that nobody ordered.")
async def no_order_keygen(rogue: RogueLeader) -> None:
    for signer in rogue.links:
        await rogue.ask(signer, pb.KeygenRound1(order_hash=os.urandom(32), attempt=1), "keygen")


@cheat("raise-threshold", "Smuggles one more term into a key generation, so that the coins could never be spent.")
async def raise_threshold(rogue: RogueLeader) -> None:
    """Needs an approved vault order whose key was not generated yet."""
    record, wanted = _wanted_vault(rogue)
    # The order is final at the signers once they hold a certificate whose votes name one of this very term.
    for _ in range(3):
        await rogue.tick()
    hosts = {signer.name: signer.host_key for signer in decode_charter(rogue.genesis.genesis.charter).signers}
    params = chilldkg.SessionParams(hostpubkeys=tuple(hosts[name] for name in wanted.signers), t=wanted.threshold)
    firsts = []
    for signer in wanted.signers:
        reply = await rogue.ask(signer, pb.KeygenRound1(order_hash=record.hash, attempt=1), "keygen")
        if reply is None:
            raise NothingToCheatWith("a signer began no key generation")
        firsts.append(reply.keygen_round1.message)
    _, message = chilldkg.coordinator_step1(firsts, params)
    at = 33 * (params.n + params.t - 1)
    raised = message[:at] + GENERATOR.serialise() + message[at:]
    for signer in wanted.signers:
        frame = pb.KeygenRound2(order_hash=record.hash, attempt=1, message=raised)
        reply = await rogue.ask(signer, frame, "raised-threshold")
        if reply is not None:
            rogue.report.released += 1


def _wanted_vault(rogue: RogueLeader) -> tuple[OrderRecord, CreateVault]:
    for record in rogue.state.open_orders():
        action = decode_order(record.order).action
        if isinstance(action, CreateVault) and record.state is OrderState.OPEN:
            return record, action
    raise NothingToCheatWith("no vault is waiting for its key")
