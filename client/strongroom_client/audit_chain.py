"""The chain beside the log: every transaction that spends a vault's coins must be a plan of the log.

The auditor's own Bitcoin node gives the blocks; their form, Merkle roots and order are checked here. Coins count as a
vault's when they were paid to an address derived here from the vault's proven key: deposits up to a gap of unused
indices, change up to the same gap, and whatever plans name. An address beyond the gap is not seen.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from strongroom.chains.bitcoin.block import parse_block
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.chains.bitcoin.transaction import Transaction, txid_text
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom_client.audit import AuditFailed, PlannedSpend
from strongroom_client.files import read_text

__all__ = ["BitcoinRpc", "BlockSource", "ChainSummary", "NodeProblem", "verify_chain"]

DEFAULT_GAP: Final = 1_000
_TIMEOUT_S: Final = 60.0
_MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
"""A block of 4 MB in hex, and room to spare."""


class NodeProblem(StrongroomError):
    """The Bitcoin node cannot be asked, or its chain moved meanwhile: check it, and audit again."""

    reason = "NODE_PROBLEM"
    kind = Kind.UNAVAILABLE
    remedy = "see that the node runs, is in step and takes the cookie, then audit again"


class BlockSource(Protocol):
    """Where blocks come from."""

    def height(self) -> int:
        """Height of the newest block."""
        ...

    def block(self, height: int) -> bytes:
        """The serialised block at a height."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BitcoinRpc:
    """A Bitcoin Core node, or one that speaks its JSON-RPC.

    Attributes:
        url: `http://HOST:PORT`.
        cookie_file: its cookie (`user:password`).
    """

    url: str
    cookie_file: Path

    def height(self) -> int:
        """Height of the newest block.

        Raises:
            NodeProblem: the node did not answer with one.
        """
        height = self._call("getblockcount")
        if type(height) is not int or height < 0:
            raise NodeProblem(f"the node at {self.url} answered getblockcount with something else than a height")
        return height

    def block(self, height: int) -> bytes:
        """The serialised block at a height.

        Raises:
            NodeProblem: the node did not answer.
        """
        try:
            return bytes.fromhex(self._call("getblock", self._call("getblockhash", height), 0))
        except (ValueError, TypeError) as error:
            raise NodeProblem(f"the node at {self.url} answered getblock with something else than hex") from error

    def _call(self, method: str, *parameters: Any) -> Any:
        if urllib.parse.urlsplit(self.url).scheme not in {"http", "https"}:
            raise NodeProblem(f"{self.url} is no http address of a node")
        login = b64encode(read_text(self.cookie_file, max_bytes=4_096).strip().encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        body = json.dumps({"jsonrpc": "1.0", "id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self.url, body, headers)  # noqa: S310 - the scheme was checked
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - the same
                content = response.read(_MAX_REPLY_BYTES + 1)
            if len(content) > _MAX_REPLY_BYTES:
                raise NodeProblem(f"the node at {self.url} answered {method} with more than {_MAX_REPLY_BYTES} bytes")
            answer = json.loads(content)
            if answer["error"] is not None:
                raise NodeProblem(f"the node at {self.url} refused {method}: {answer['error']}")
            return answer["result"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NodeProblem(f"the node at {self.url} cannot be asked for {method}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSummary:
    """What the chain shows of the vaults."""

    height: int
    spends: int
    """Confirmed transactions that spend vault coins; each is a plan of the log."""
    paid_orders: int
    cancelled_plans: int
    """Confirmed plans of cancellations."""
    deposits: int
    balance_sat: Mapping[str, int]
    """Confirmed coins of each vault."""


@dataclass(frozen=True, slots=True)
class _Coin:
    vault: str
    amount_sat: int


@dataclass(slots=True)
class _Watch:
    """The addresses of one vault, derived as far as its coins go plus the gap."""

    name: str
    key: VaultKey
    gap: int
    ends: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})

    def extend(self, scripts: dict[bytes, tuple[str, int, int]], branch: int, used: int) -> None:
        """Derive up to `gap` addresses beyond a used index."""
        end = max(self.ends[branch], used + 1 + self.gap)
        for index in range(self.ends[branch], end):
            scripts[self.key.derive(branch, index).script] = (self.name, branch, index)
        self.ends[branch] = end


def verify_chain(
    vaults: Iterable[VaultRecord],
    spends: Mapping[bytes, PlannedSpend],
    source: BlockSource,
    *,
    gap: int = DEFAULT_GAP,
    progress: Callable[[int, int], None] | None = None,
) -> ChainSummary:
    """Walk the chain, and hold every spend of a vault's coins against the log.

    Args:
        vaults: All vaults of the replayed state.
        spends: Every plan of the log by txid (internal byte order).
        source: The auditor's own node.
        gap: Unused indices looked at beyond the last used one.
        progress: Called with height and last height.

    Raises:
        AuditFailed: a transaction that spends vault coins has no plan, other amounts than its plan says, or pays an
            order that another transaction paid.
        NodeProblem: the node does not answer, serves malformed blocks, or another chain than the vaults are on.
    """
    walk = _Walk(list(vaults), spends, gap)
    last, previous = source.height(), bytes(32)
    for height in range(last + 1):
        try:
            block = parse_block(source.block(height))
        except NodeProblem:
            raise
        except StrongroomError as error:
            raise NodeProblem(f"the node's block {height} is malformed: {error.message}") from error
        if block.header.previous != previous:
            raise NodeProblem(f"block {height} does not follow block {height - 1}: the chain moved, audit again")
        previous = block.header.hash
        if height == 0:
            walk.check_network(previous)
        for transaction in block.transactions:
            walk.take(transaction, height)
        if progress is not None:
            progress(height, last)
    return walk.summary(last)


class _Walk:
    """The vaults' coins while the chain is walked."""

    def __init__(self, vaults: list[VaultRecord], spends: Mapping[bytes, PlannedSpend], gap: int) -> None:
        self._vaults = vaults
        self._spends = spends
        self._scripts: dict[bytes, tuple[str, int, int]] = {}
        self._watches = {vault.name: _Watch(vault.name, vault_key_of(vault), gap) for vault in vaults}
        self._coins: dict[tuple[bytes, int], _Coin] = {}
        self._paid: dict[bytes, bytes] = {}
        self._confirmed = self._cancelled = self._deposits = 0
        for watch in self._watches.values():
            watch.extend(self._scripts, 0, -1)
            watch.extend(self._scripts, 1, -1)
        for planned in spends.values():
            for _, _, _, branch, index in planned.inputs:
                self._scripts[self._watches[planned.vault].key.derive(branch, index).script] = (
                    planned.vault,
                    branch,
                    index,
                )

    def check_network(self, genesis_hash: bytes) -> None:
        """Check that the node's chain is the one the vaults are on."""
        for vault in self._vaults:
            network = BY_CAIP2.get(vault.chain)
            if network is None or network.genesis_hash != txid_text(genesis_hash):
                raise NodeProblem(f"vault {vault.name} is on {vault.chain}, and the node on another chain")

    def take(self, transaction: Transaction, height: int) -> None:
        """Hold one confirmed transaction against the log, and learn the vaults' new coins."""
        spent = [
            ((item.txid, item.vout), self._coins.pop((item.txid, item.vout)))
            for item in transaction.inputs
            if (item.txid, item.vout) in self._coins
        ]
        if spent:
            self._check_spend(transaction, dict(spent), height)
        for vout, output in enumerate(transaction.outputs):
            found = self._scripts.get(output.script)
            if found is None:
                continue
            name, branch, index = found
            self._coins[(transaction.txid, vout)] = _Coin(name, output.amount_sat)
            self._deposits += branch == 0
            if index + 1 + self._watches[name].gap > self._watches[name].ends[branch]:
                self._watches[name].extend(self._scripts, branch, index)

    def _check_spend(self, transaction: Transaction, spent: dict[tuple[bytes, int], _Coin], height: int) -> None:
        txid = txid_text(transaction.txid)
        planned = self._spends.get(transaction.txid)
        if planned is None:
            vault = next(iter(spent.values())).vault
            raise AuditFailed(
                f"transaction {txid} in block {height} spends coins of vault {vault}, and no plan of the log is that "
                "transaction",
                txid=txid,
            )
        for previous, vout, claimed, _, _ in planned.inputs:
            coin = spent.get((previous, vout))
            if coin is None or (coin.vault, coin.amount_sat) != (planned.vault, claimed):
                has = "no coin of the vault" if coin is None else f"{coin.amount_sat} sat of vault {coin.vault}"
                raise AuditFailed(
                    f"transaction {txid} in block {height}: the plan at entry {planned.entry_index} says that input "
                    f"{txid_text(previous)}:{vout} is {claimed} sat of vault {planned.vault}, and the chain has {has}",
                    txid=txid,
                )
        self._confirmed += 1
        self._cancelled += planned.is_cancel
        for order in () if planned.is_cancel or planned.is_recovery else planned.order_hashes:
            other = self._paid.setdefault(order, transaction.txid)
            if other != transaction.txid:
                raise AuditFailed(
                    f"order {order.hex()} was paid twice: by {txid_text(other)} and by {txid}", order=order.hex()
                )

    def summary(self, height: int) -> ChainSummary:
        """What was found."""
        balance = dict.fromkeys(self._watches, 0)
        for coin in self._coins.values():
            balance[coin.vault] += coin.amount_sat
        return ChainSummary(
            height=height,
            spends=self._confirmed,
            paid_orders=len(self._paid),
            cancelled_plans=self._cancelled,
            deposits=self._deposits,
            balance_sat=balance,
        )
