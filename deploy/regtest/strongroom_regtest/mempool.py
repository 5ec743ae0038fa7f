"""The mempool: transactions that the next block could hold, each script run by the kernel before it enters.

Rules and reject reasons follow Bitcoin Core's; README.md lists what is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.chains.bitcoin.transaction import Transaction, TxOutput, txid_text
from strongroom_regtest.coins import ChainIndex, Coin, Outpoint
from strongroom_regtest.errors import Rejected
from strongroom_regtest.finality import check_finality
from strongroom_regtest.mining import COINBASE_MATURITY
from strongroom_regtest.standardness import (
    INCREMENTAL_RELAY_SAT_PER_KVB,
    MIN_RELAY_SAT_PER_KVB,
    check_standard,
    check_structure,
    fee_at,
)

MAX_RELATIVES: Final = 25
"""Most unconfirmed ancestors, or descendants, of a transaction, itself included."""

MAX_REPLACED: Final = 100
"""Most transactions that one replacement may evict."""

FINAL_SEQUENCES_FROM: Final = 0xFFFF_FFFE
"""Inputs with a sequence below this signal that the transaction may be replaced (BIP-125)."""

ScriptCheck = Callable[[Transaction, Sequence[TxOutput]], None]
"""Runs every input's script against the outputs it spends; raises Rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One transaction of the mempool."""

    transaction: Transaction
    fee_sat: int
    time_s: int
    height: int

    @property
    def virtual_size(self) -> int:
        """Virtual bytes."""
        return self.transaction.virtual_size

    @property
    def signals_replacement(self) -> bool:
        """True if an input signals replaceability itself."""
        return any(item.sequence < FINAL_SEQUENCES_FROM for item in self.transaction.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A transaction that passed every check, and what it would evict."""

    entry: Entry
    replaces: frozenset[bytes]


class Mempool:
    """Transactions by id, in the order they came, and which of them spends which outpoint."""

    def __init__(self, chain: ChainIndex, check_scripts: ScriptCheck) -> None:
        self._chain = chain
        self._check_scripts = check_scripts
        self._entries: dict[bytes, Entry] = {}
        self._spenders: dict[Outpoint, bytes] = {}

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, txid: bytes) -> Entry | None:
        """The entry of a transaction id; None if it is not here."""
        return self._entries.get(txid)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, parents before children."""
        return tuple(self._entries.values())

    def spender_of(self, outpoint: Outpoint) -> bytes | None:
        """Id of the mempool transaction that spends an outpoint."""
        return self._spenders.get(outpoint)

    def parents(self, transaction: Transaction) -> set[bytes]:
        """Ids of the mempool transactions whose outputs it spends."""
        return {item.txid for item in transaction.inputs if item.txid in self._entries}

    def children(self, txid: bytes) -> set[bytes]:
        """Ids of the mempool transactions that spend outputs of it."""
        outputs = self._entries[txid].transaction.outputs
        spenders = (self._spenders.get((txid, vout)) for vout in range(len(outputs)))
        return {spender for spender in spenders if spender is not None}

    def ancestors(self, transaction: Transaction) -> set[bytes]:
        """Ids of all unconfirmed ancestors, itself not included."""
        return self._closure(self.parents(transaction), lambda txid: self.parents(self._entries[txid].transaction))

    def descendants(self, txids: Iterable[bytes]) -> set[bytes]:
        """Ids of the given mempool transactions and all that build on them."""
        return self._closure(set(txids), self.children)

    @staticmethod
    def _closure(start: set[bytes], step: Callable[[bytes], set[bytes]]) -> set[bytes]:
        found, todo = set(start), list(start)
        while todo:
            for txid in step(todo.pop()) - found:
                found.add(txid)
                todo.append(txid)
        return found

    def examine(self, transaction: Transaction, *, time_s: int) -> Candidate:
        """Check everything without changing the mempool.

        Raises:
            Rejected: with Bitcoin Core's reject reason.
        """
        check_structure(transaction)
        check_standard(transaction)
        if transaction.txid in self._entries:
            raise Rejected("txn-already-in-mempool")
        if self._chain.has_unspent_output_of(transaction):
            raise Rejected("txn-already-known")
        coins = self._coins_of(transaction)
        check_finality(transaction, coins, self._chain)
        fee_sat = sum(coin.amount_sat for coin in coins) - sum(item.amount_sat for item in transaction.outputs)
        if fee_sat < 0:
            raise Rejected("bad-txns-in-belowout")
        entry = Entry(transaction=transaction, fee_sat=fee_sat, time_s=time_s, height=self._chain.height)
        least = fee_at(MIN_RELAY_SAT_PER_KVB, entry.virtual_size)
        if fee_sat < least:
            raise Rejected("min relay fee not met", f"{fee_sat} < {least}")
        replaces = self._check_replacement(entry)
        self._check_chain_limits(entry, replaces)
        self._check_scripts(transaction, [TxOutput(amount_sat=coin.amount_sat, script=coin.script) for coin in coins])
        return Candidate(entry=entry, replaces=frozenset(replaces))

    def add(self, candidate: Candidate) -> None:
        """Take in an examined transaction and evict what it replaces."""
        self.remove(candidate.replaces)
        entry = candidate.entry
        self._entries[entry.transaction.txid] = entry
        for item in entry.transaction.inputs:
            self._spenders[(item.txid, item.vout)] = entry.transaction.txid

    def remove(self, txids: Iterable[bytes]) -> None:
        """Drop transactions; those that build on them must be among them or stay spendable otherwise."""
        for txid in txids:
            entry = self._entries.pop(txid, None)
            for item in entry.transaction.inputs if entry else ():
                self._spenders.pop((item.txid, item.vout), None)

    def confirm(self, transactions: Iterable[Transaction]) -> None:
        """Drop what a new block confirmed, and everything that now conflicts with the block."""
        for transaction in transactions:
            self.remove([transaction.txid])
            rivals = {self._spenders.get((item.txid, item.vout)) for item in transaction.inputs}
            self.remove(self.descendants(rival for rival in rivals if rival is not None))

    def rebuild(self, returned: Iterable[Transaction]) -> None:
        """After a reorganisation: judge again what left the chain, then all that was here; keep what still passes."""
        before = self.entries()
        self._entries.clear()
        self._spenders.clear()
        times = {entry.transaction.txid: entry.time_s for entry in before}
        for transaction in (*returned, *(entry.transaction for entry in before)):
            try:
                self.add(self.examine(transaction, time_s=times.get(transaction.txid, 0)))
            except Rejected:
                continue

    def _coins_of(self, transaction: Transaction) -> list[Coin]:
        coins = []
        for item in transaction.inputs:
            coin = self.coin((item.txid, item.vout))
            if coin is None:
                raise Rejected("bad-txns-inputs-missingorspent")
            if coin.is_coinbase and self._chain.height + 1 - coin.height < COINBASE_MATURITY:
                depth = self._chain.height + 1 - coin.height
                raise Rejected("bad-txns-premature-spend-of-coinbase", f"tried to spend coinbase at depth {depth}")
            coins.append(coin)
        return coins

    def coin(self, outpoint: Outpoint) -> Coin | None:
        """The coin at an outpoint of the chain or of a mempool transaction, spent in the mempool or not."""
        entry = self._entries.get(outpoint[0])
        if entry is None:
            return self._chain.coin(outpoint)
        if outpoint[1] >= len(entry.transaction.outputs):
            return None
        output = entry.transaction.outputs[outpoint[1]]
        next_height = self._chain.height + 1
        return Coin(amount_sat=output.amount_sat, script=output.script, height=next_height, is_coinbase=False)

    def _check_replacement(self, entry: Entry) -> set[bytes]:
        transaction = entry.transaction
        rivals = {self._spenders.get((item.txid, item.vout)) for item in transaction.inputs} - {None}
        direct = {rival for rival in rivals if rival is not None}
        if not direct:
            return set()
        if not all(self._entries[txid].signals_replacement for txid in direct):
            raise Rejected("txn-mempool-conflict")
        name = txid_text(transaction.txid)
        replaced = self.descendants(direct)
        if replaced & self.parents(transaction):
            raise Rejected("bad-txns-spends-conflicting-tx", f"{name} spends a transaction it replaces")
        if len(replaced) > MAX_REPLACED:
            raise Rejected("too many potential replacements", f"{len(replaced)} > {MAX_REPLACED}")
        self._check_no_new_unconfirmed(transaction, direct)
        self._check_replacement_fee(entry, direct, replaced)
        return replaced

    def _check_no_new_unconfirmed(self, transaction: Transaction, direct: set[bytes]) -> None:
        known = set().union(*(self.parents(self._entries[txid].transaction) for txid in direct))
        if self.parents(transaction) - known:
            raise Rejected("replacement-adds-unconfirmed", "the replacement spends new unconfirmed outputs")

    def _check_replacement_fee(self, entry: Entry, direct: set[bytes], replaced: set[bytes]) -> None:
        for txid in direct:
            rival = self._entries[txid]
            if entry.fee_sat * rival.virtual_size <= rival.fee_sat * entry.virtual_size:
                raise Rejected("insufficient fee", f"new feerate is not above that of {txid_text(txid)}")
        evicted_sat = sum(self._entries[txid].fee_sat for txid in replaced)
        if entry.fee_sat < evicted_sat:
            raise Rejected("insufficient fee", f"less fees than conflicting txs; {entry.fee_sat} < {evicted_sat}")
        own_relay = fee_at(INCREMENTAL_RELAY_SAT_PER_KVB, entry.virtual_size)
        if entry.fee_sat - evicted_sat < own_relay:
            extra = entry.fee_sat - evicted_sat
            raise Rejected("insufficient fee", f"not enough additional fees to relay; {extra} < {own_relay}")

    def _check_chain_limits(self, entry: Entry, replaces: set[bytes]) -> None:
        ancestors = self.ancestors(entry.transaction)
        if len(ancestors) + 1 > MAX_RELATIVES:
            raise Rejected("too-long-mempool-chain", f"{len(ancestors) + 1} ancestors, limit {MAX_RELATIVES}")
        for txid in ancestors:
            descendants = self.descendants([txid]) - replaces
            if len(descendants) + 1 > MAX_RELATIVES:
                raise Rejected("too-long-mempool-chain", f"too many descendants of {txid_text(txid)}")
