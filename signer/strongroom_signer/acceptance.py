"""What an operator accepts of an order for new shares: to which keys and with which threshold it may deal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from strongroom.ledger import codec
from strongroom.ledger.codec import message
from strongroom.ledger.key_changes import KeyChange, NewHolders, loosens, new_holders, trusts_all_present
from strongroom.ledger.order_messages import MAX_HOLDERS
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.ledger.state import State

__all__ = ["Accepted", "Dealt", "dealt_of"]


@message
class Accepted:
    """What the operator's word is about. Only its hash is kept, so that the word is worth nothing for anything else."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    signers: tuple[str, ...] = codec.repeated_name(4, minimum=1, maximum=MAX_HOLDERS)
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(5, 33, minimum=1, maximum=MAX_HOLDERS)
    threshold: int = codec.u64(6)
    absent: tuple[str, ...] = codec.repeated_name(7, minimum=0, maximum=MAX_HOLDERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """What an order does to one vault, by the charter of one state.

    Attributes:
        accepted: what the operator's word has to be about.
        to_others: why dealing takes that word; empty when it does not.
        to_absent: why stating takes it as well; empty when it does not.
    """

    accepted: Accepted
    to_others: str
    to_absent: str

    @property
    def hash(self) -> bytes:
        """The 32 bytes that are kept of the operator's word."""
        return hashlib.sha256(codec.encode(self.accepted)).digest()

    @property
    def text(self) -> str:
        """What is accepted, for the operator."""
        about = self.accepted
        holders = ", ".join(about.signers)
        lines = [f"{about.vault}: {about.threshold} of {holders}"]
        lines += [f"  {name}: host key {key.hex()}" for name, key in zip(about.signers, about.host_keys, strict=True)]
        if self.to_absent:
            lines.append(f"  it {self.to_absent}")
        return "\n".join(lines)


def dealt_of(state: State, record: OrderRecord, action: KeyChange, vault: VaultRecord) -> Dealt | None:
    """Return what an order does to a vault; None if the charter has not all holders that it names."""
    wanted, keys = new_holders(action, vault), {one.name: one.host_key for one in state.charter.signers}
    if not keys.keys() >= set(wanted.signers):
        return None
    accepted = Accepted(
        log_id=state.log_id,
        order_hash=record.hash,
        vault=vault.name,
        signers=wanted.signers,
        host_keys=tuple(keys[name] for name in wanted.signers),
        threshold=wanted.threshold,
        absent=wanted.absent,
    )
    return Dealt(accepted=accepted, to_others=_to_others(action, vault, accepted), to_absent=_to_absent(vault, wanted))


def _to_others(action: KeyChange, vault: VaultRecord, accepted: Accepted) -> str:
    if loosens(action, vault):
        return f"lets others sign for {vault.name}, or fewer together, or fewer be lost"
    # Whoever has the new key gets a share.
    known = dict(zip(vault.signers, vault.host_keys, strict=True))
    renewed = [name for name, key in zip(accepted.signers, accepted.host_keys, strict=True) if known[name] != key]
    return f"gives shares of {vault.name} to the new host keys of {', '.join(renewed)}" if renewed else ""


def _to_absent(vault: VaultRecord, wanted: NewHolders) -> str:
    if not trusts_all_present(wanted):
        return ""
    absent = ", ".join(name for name in wanted.signers if name in wanted.absent)
    return (
        f"erases the old shares of {vault.name} before {absent} can check a new one: a single bad holder among "
        f"{', '.join(wanted.required)} could end the vault"
    )
