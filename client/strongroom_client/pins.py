"""The newest witness set that this machine has proven, as it is remembered beside the profile.

A client that begins with the genesis charter alone would believe a branch on which nobody ever took over, if the keys
of an old witness set leaked. One that remembers a handover never listens to the signers before it again.
"""

from __future__ import annotations

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import WitnessSet
from strongroom.ledger.codec import message
from strongroom.ledger.electorate import Electorate
from strongroom.protocol.electorates import KnownSet, Reign

__all__ = ["MAX_PIN_BYTES", "pinned_set", "witnesses_pin"]

MAX_PIN_BYTES = 24_000


@message
class PinnedReign:
    """Who may certify heads of which size."""

    sets: tuple[WitnessSet, ...] = codec.repeated(1, WitnessSet, minimum=1, maximum=2)
    first: int = codec.u64(2)
    end: int = codec.u64(3)
    """0 for no end."""


@message
class PinnedWitnesses:
    """A witness set, and what still counts of the handover to it."""

    number: int = codec.u64(1)
    witnesses: WitnessSet = codec.embedded(2, WitnessSet)
    reigns: tuple[PinnedReign, ...] = codec.repeated(3, PinnedReign, minimum=1, maximum=64)


def witnesses_pin(known: KnownSet, *, final_size: int) -> bytes:
    """What to remember of a proven witness set; empty while another one takes over, for that may come to nothing.

    Args:
        known: What was proven.
        final_size: A size proven final: who certified only smaller heads is forgotten.
    """
    if known.number == 1 or known.reigns[-1].electorate != known.electorate:
        return b""
    reigns = tuple(
        PinnedReign(sets=one.electorate.sets, first=one.first, end=one.end)
        for one in known.reigns
        if not one.end or one.end > final_size
    )
    pin = PinnedWitnesses(number=known.number, witnesses=known.witnesses, reigns=reigns)
    return codec.encode(pin)


def pinned_set(data: bytes) -> KnownSet:
    """What was remembered.

    Raises:
        NotCanonical: the bytes are no pin.
    """
    pin = codec.decode(PinnedWitnesses, data, max_size=MAX_PIN_BYTES)
    reigns = tuple(Reign(electorate=Electorate(*one.sets), first=one.first, end=one.end) for one in pin.reigns)
    joint = next((one.electorate for one in reversed(reigns) if len(one.electorate.sets) > 1), None)
    return KnownSet(number=pin.number, witnesses=pin.witnesses, joint=joint, reigns=reigns)
