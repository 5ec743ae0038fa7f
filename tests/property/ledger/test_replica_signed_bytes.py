"""Every byte of every signed word matters: flip a bit anywhere and the entry is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_world import Body, World
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Endorse, Genesis, OrderEntry, SignerFreeze, Vault
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Signed, Verb

Flip = Callable[[bytes], bytes]


def _signed(signed: Signed, flip: Flip) -> Signed:
    both = flip(signed.body + signed.signature)
    return Signed(body=both[:-64], signature=both[-64:])


@cache
def _cases() -> dict[str, tuple[World, Callable[[Flip], Body]]]:
    """For each signed word a world that would take it, and how to bring it in with some bit flipped."""
    empty, world = World(), World.started()
    genesis = empty.genesis()
    world.make_vault("customer-1")
    open_order = world.submit(world.withdrawal("customer-1", 100_000), "shop")
    order = world.order_entry(world.order(world.withdrawal("customer-1", 50_000)), "shop", "bob")
    creation = world.submit(world.creation("customer-2"), "carol", "alice", "bob")
    vault = world.vault_entry(creation)
    endorse = world.endorse("alice", Verb.APPROVE, open_order)
    freeze = world.signer_freeze()

    def flip_order(flip: Flip) -> OrderEntry:
        return replace(order, order=flip(order.order))

    def flip_statement(flip: Flip) -> Vault:
        last = vault.statements[-1]
        return replace(vault, statements=(*vault.statements[:-1], replace(last, signature=flip(last.signature))))

    def flip_host_key(flip: Flip) -> Vault:
        host_keys = (*vault.key.host_keys[:-1], flip(vault.key.host_keys[-1]))
        return replace(vault, key=replace(vault.key, host_keys=host_keys))

    def flip_commitment(flip: Flip) -> Vault:
        commitments = (*vault.key.commitments[:-1], flip(vault.key.commitments[-1]))
        return replace(vault, key=replace(vault.key, commitments=commitments))

    def flip_trial(flip: Flip) -> Vault:
        last = vault.trials[-1]
        return replace(vault, trials=(*vault.trials[:-1], replace(last, signature=flip(last.signature))))

    return {
        "charter": (empty, lambda flip: replace(genesis, charter=flip(genesis.charter))),
        "adoption": (
            empty,
            lambda flip: Genesis(
                charter=genesis.charter, adoptions=(genesis.adoptions[0], _signed(genesis.adoptions[1], flip))
            ),
        ),
        "order": (world, flip_order),
        "initiation": (
            world,
            lambda flip: replace(order, endorsements=(_signed(order.endorsements[0], flip), order.endorsements[1])),
        ),
        "approval": (world, lambda flip: Endorse(endorsement=_signed(endorse.endorsement, flip))),
        "freeze": (world, lambda flip: SignerFreeze(statement=_signed(freeze.statement, flip))),
        "recovery hash": (world, lambda flip: replace(vault, recovery_hash=flip(vault.recovery_hash))),
        "chain code": (
            world,
            lambda flip: replace(vault, key=replace(vault.key, chain_code=flip(vault.key.chain_code))),
        ),
        "host key": (world, flip_host_key),
        "commitment": (world, flip_commitment),
        "statement": (world, flip_statement),
        "trial": (world, flip_trial),
    }


def _taken(world: World, body: Body) -> bool:
    batch = Batch(first_index=world.replica.size, entries=(world.entry(body),))
    try:
        world.replica.preview(batch)
    except (Refused, NotCanonical):
        return False
    return True


@pytest.mark.attack(
    line="coordinator", title="any bit of a signed message flipped", origin="mpcium: a field outside the signature"
)
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(_cases())), st.integers(0, 2**32), st.integers(0, 7))
def test_a_flipped_bit_refuses_the_entry(name: str, position: int, bit: int) -> None:
    world, make = _cases()[name]

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position % len(data)] ^= 1 << bit
        return bytes(changed)

    assert not _taken(world, make(flip))


def test_unflipped_every_one_of_them_is_taken() -> None:
    for name, (world, make) in _cases().items():
        assert _taken(world, make(lambda data: data)), name
