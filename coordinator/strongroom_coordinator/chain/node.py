"""What the coordinator asks of a Bitcoin node.

The node is not trusted with funds: signatures commit to what they spend, and no rule rests on a confirmation. It can
only hide or invent news, so blocks are parsed strictly and checked against their own hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from strongroom.chains.bitcoin.block import Block
from strongroom.model.errors import Kind, StrongroomError


class NodeUnavailable(StrongroomError):
    """The node cannot be reached, does not answer in time, or refuses the credentials. Nothing is known: ask again."""

    reason = "NODE_UNAVAILABLE"
    kind = Kind.UNAVAILABLE


class NodeReplyInvalid(StrongroomError):
    """The node's reply has not the form that Bitcoin Core's has, or contradicts itself; the node is at fault."""

    reason = "NODE_REPLY_INVALID"
    kind = Kind.UNAVAILABLE


class NodeRefused(StrongroomError):
    """The node understood the call and said no.

    Attributes:
        code: Bitcoin Core's error code: -25 missing inputs, -26 rejected by policy or consensus, -27 already confirmed.
        text: the node's own words, such as `insufficient fee` or `txn-mempool-conflict`.
    """

    reason = "NODE_REFUSED"
    kind = Kind.FAILED_PRECONDITION

    def __init__(self, method: str, code: int, text: str) -> None:
        super().__init__(f"the node refused {method}: {text} ({code})", method=method, code=str(code), text=text)
        self.code = code
        self.text = text

    @property
    def missing_inputs(self) -> bool:
        """True if an input of a sent transaction is spent or unknown."""
        return self.code == -25 and "missingorspent" in self.text

    @property
    def invalid(self) -> bool:
        """True if no block can ever hold a sent transaction whose coins are all spent by signatures alone.

        What the check of scripts or amounts finds is final for such a one: a signature is wrong, or its coins are worth
        less than it pays. Fees, dust, a full mempool,
        missing inputs and immature coins are no reason: these pass.
        """
        return self.code == -26 and ("script-verify-flag" in self.text or "bad-txns-in-belowout" in self.text)

    @property
    def already_confirmed(self) -> bool:
        """True if a sent transaction is in the chain already."""
        return self.code == -27


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The last block of the node's active chain; `block_hash` is 32 bytes in internal order."""

    height: int
    block_hash: bytes
    is_syncing: bool
    """The node says itself that it lacks blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An unspent output of the chain or of the mempool; one that only the mempool spends counts as unspent."""

    amount_sat: int
    script: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolEntry:
    """A transaction waiting in the node's mempool."""

    fee_sat: int
    virtual_size: int
    time_s: int


class BitcoinNode(Protocol):
    """One Bitcoin node. All hashes are 32 bytes in internal order.

    Every method raises NodeUnavailable, NodeReplyInvalid or NodeRefused.
    """

    async def chain_name(self) -> str:
        """The node's network as it calls it: `main`, `testnet4`, `signet` or `regtest`."""
        ...

    async def tip(self) -> Tip:
        """Height and hash of the last block of the active chain."""
        ...

    async def block_hash_at(self, height: int) -> bytes | None:
        """Hash of the active chain's block at a height; None above the tip."""
        ...

    async def block(self, block_hash: bytes) -> Block | None:
        """A block by its hash, on whatever branch; None if the node does not have it."""
        ...

    async def block_at(self, height: int) -> Block | None:
        """The active chain's block at a height; None above the tip."""
        ...

    async def broadcast(self, raw: bytes) -> bytes:
        """Hand over a transaction and give its id. One that is in the mempool already is no error.

        Raises:
            NodeRefused: with Bitcoin Core's code and reason.
        """
        ...

    async def output(self, txid: bytes, vout: int) -> Output | None:
        """What an outpoint holds; None if the node has no such output, or a block spends it."""
        ...

    async def mempool_entry(self, txid: bytes) -> MempoolEntry | None:
        """A waiting transaction; None if the mempool does not hold it."""
        ...

    async def fee_rate(self, target_blocks: int) -> int | None:
        """Estimated rate in satoshi per virtual byte, rounded up, to confirm in `target_blocks`; None if unknown."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
