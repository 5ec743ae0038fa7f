"""Rows of what the chain node showed: blocks followed, coins of the vaults, deposits, and which block settled a plan.

Everything here can be rebuilt from a node. Transaction and block hashes are 32 bytes in internal order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select, update

from strongroom_coordinator.storage.engine import upsert
from strongroom_coordinator.storage.ledger import read_meta, write_meta
from strongroom_coordinator.storage.plans import LOGGED, SIGNED
from strongroom_coordinator.storage.schema import (
    chain_block,
    chain_coin,
    deposit_feed,
    plan_outcome,
    plan_progress,
    watched_index,
)

__all__ = [
    "CoinRow",
    "DepositRow",
    "OutcomeRow",
    "SpendRow",
    "add_block",
    "add_coins",
    "add_deposits",
    "add_outcomes",
    "block_hash",
    "coins_from",
    "deposits_after",
    "latest_deposit",
    "mark_spent",
    "newest_deposit",
    "outcomes",
    "outcomes_of",
    "rescan_begun",
    "rescan_is_wanted",
    "set_watched",
    "settled_from",
    "spenders_of",
    "tip",
    "unburied_plans",
    "undo_from",
    "unsettled_plans",
    "unspent",
    "watched",
]

CONFIRMED, CONFLICTED = "confirmed", "conflicted"
_RESCAN = "rescan_wanted"
_NO, _YES = b"\x00", b"\x01"
_VALUES_AT_ONCE = 10_000
"""A statement of SQLite takes at most 32,766 values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinRow:
    """A coin of a vault in the chain."""

    txid: bytes
    vout: int
    vault: str
    branch: int
    index: int
    amount_sat: int
    height: int
    coinbase: bool

    @property
    def outpoint(self) -> tuple[bytes, int]:
        """What names the coin."""
        return self.txid, self.vout


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRow:
    """A coin of a vault is spent in a block."""

    outpoint: tuple[bytes, int]
    by_txid: bytes
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRow:
    """One event of the deposit feed; `cursor` is 0 before it is stored."""

    vault: str
    index: int
    address: str
    amount_sat: int
    txid: bytes
    vout: int
    height: int | None
    removed: bool
    cursor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """The block height that settled a plan, and the transaction: the plan's own, or one that excludes it."""

    plan_hash: bytes
    height: int
    txid: bytes


# --- blocks ---------------------------------------------------------------------------------------------------------


def tip(connection: Connection) -> tuple[int, bytes] | None:
    """Height and hash of the last block followed."""
    query = select(chain_block.c.height, chain_block.c.hash).order_by(chain_block.c.height.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def block_hash(connection: Connection, height: int) -> bytes | None:
    """Hash of the followed block at a height."""
    return connection.execute(select(chain_block.c.hash).where(chain_block.c.height == height)).scalar_one_or_none()


def add_block(connection: Connection, height: int, hash_: bytes) -> None:
    """Follow one more block."""
    upsert(connection, chain_block, [{"height": height, "hash": hash_}])


def undo_from(connection: Connection, height: int) -> None:
    """Take back everything that blocks at or above `height` said."""
    connection.execute(delete(chain_block).where(chain_block.c.height >= height))
    connection.execute(delete(chain_coin).where(chain_coin.c.height >= height))
    spent = update(chain_coin).where(chain_coin.c.spent_height >= height).values(spent_by=None, spent_height=None)
    connection.execute(spent)
    settled = select(plan_outcome.c.plan_hash).where(plan_outcome.c.height >= height)
    unsettle = update(plan_progress).where(plan_progress.c.plan_hash.in_(settled))
    connection.execute(unsettle.where(plan_progress.c.raw_transaction.is_(None)).values(stage=LOGGED))
    connection.execute(unsettle.where(plan_progress.c.raw_transaction.is_not(None)).values(stage=SIGNED))
    connection.execute(delete(plan_outcome).where(plan_outcome.c.height >= height))


# --- coins ----------------------------------------------------------------------------------------------------------


def add_coins(connection: Connection, coins: Iterable[CoinRow]) -> None:
    """Store coins that a block created."""
    upsert(
        connection,
        chain_coin,
        [
            {
                "txid": coin.txid,
                "vout": coin.vout,
                "vault": coin.vault,
                "branch": coin.branch,
                "address_index": coin.index,
                "amount_sat": coin.amount_sat,
                "height": coin.height,
                "coinbase": coin.coinbase,
                "spent_by": None,
                "spent_height": None,
            }
            for coin in coins
        ],
    )


def mark_spent(connection: Connection, spends: Sequence[SpendRow]) -> None:
    """Store that coins are spent in a block."""
    if not spends:
        return
    statement = (
        update(chain_coin)
        .where(chain_coin.c.txid == bindparam("coin_txid"), chain_coin.c.vout == bindparam("coin_vout"))
        .values(spent_by=bindparam("by"), spent_height=bindparam("at"))
    )
    values = [
        {"coin_txid": spend.outpoint[0], "coin_vout": spend.outpoint[1], "by": spend.by_txid, "at": spend.height}
        for spend in spends
    ]
    connection.execute(statement, values)


_COIN_COLUMNS = (
    chain_coin.c.txid,
    chain_coin.c.vout,
    chain_coin.c.vault,
    chain_coin.c.branch,
    chain_coin.c.address_index,
    chain_coin.c.amount_sat,
    chain_coin.c.height,
    chain_coin.c.coinbase,
)
_COIN_FIELDS = ("txid", "vout", "vault", "branch", "index", "amount_sat", "height", "coinbase")


def unspent(connection: Connection) -> list[CoinRow]:
    """Every coin that no followed block spends."""
    query = select(*_COIN_COLUMNS).where(chain_coin.c.spent_height.is_(None))
    return [CoinRow(**dict(zip(_COIN_FIELDS, row, strict=True))) for row in connection.execute(query)]


def coins_from(connection: Connection, height: int) -> list[CoinRow]:
    """Coins that blocks at or above `height` created, spent or not."""
    query = select(*_COIN_COLUMNS).where(chain_coin.c.height >= height)
    return [CoinRow(**dict(zip(_COIN_FIELDS, row, strict=True))) for row in connection.execute(query)]


# --- plans ----------------------------------------------------------------------------------------------------------


def add_outcomes(connection: Connection, found: Sequence[OutcomeRow], *, own: set[bytes], now_ms: int) -> None:
    """Store which block settled which plans; `own` are the plans whose own transaction it holds."""
    for row in found:
        upsert(connection, plan_outcome, [{"plan_hash": row.plan_hash, "height": row.height, "txid": row.txid}])
        stage = CONFIRMED if row.plan_hash in own else CONFLICTED
        where = plan_progress.c.plan_hash == row.plan_hash
        connection.execute(update(plan_progress).where(where).values(stage=stage, updated_ms=now_ms))


def outcomes(connection: Connection) -> list[OutcomeRow]:
    """Every settled plan whose own transaction is not the one that settled it."""
    query = (
        select(plan_outcome.c.plan_hash, plan_outcome.c.height, plan_outcome.c.txid)
        .join(plan_progress, plan_progress.c.plan_hash == plan_outcome.c.plan_hash)
        .where(plan_progress.c.txid != plan_outcome.c.txid)
    )
    return [OutcomeRow(plan_hash=row[0], height=row[1], txid=row[2]) for row in connection.execute(query)]


def outcomes_of(connection: Connection, plan_hashes: Iterable[bytes]) -> dict[bytes, OutcomeRow]:
    """What settled these plans, as far as anything did."""
    query = select(plan_outcome.c.plan_hash, plan_outcome.c.height, plan_outcome.c.txid).where(
        plan_outcome.c.plan_hash.in_(list(plan_hashes))
    )
    return {row[0]: OutcomeRow(plan_hash=row[0], height=row[1], txid=row[2]) for row in connection.execute(query)}


def unsettled_plans(connection: Connection) -> dict[bytes, int]:
    """Plans that no block has settled, with their entry's index."""
    query = (
        select(plan_progress.c.plan_hash, plan_progress.c.entry_index)
        .outerjoin(plan_outcome, plan_outcome.c.plan_hash == plan_progress.c.plan_hash)
        .where(plan_outcome.c.plan_hash.is_(None))
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def unburied_plans(connection: Connection, height: int) -> list[tuple[bytes, bytes | None]]:
    """Plans whose own transaction no block at or below `height` holds, each with the plan that won instead.

    That is the one whose transaction excludes it in a block at or below `height`; None when there is no such block, or
    when a stranger's transaction did.
    """
    winner = plan_progress.alias()
    buried = (plan_outcome.c.height <= height) & (plan_outcome.c.txid == plan_progress.c.txid)
    won = (plan_outcome.c.height <= height) & (plan_outcome.c.txid == winner.c.txid)
    query = (
        select(plan_progress.c.plan_hash, winner.c.plan_hash)
        .outerjoin(plan_outcome, plan_outcome.c.plan_hash == plan_progress.c.plan_hash)
        .outerjoin(winner, won)
        .where(plan_outcome.c.plan_hash.is_(None) | ~buried)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def settled_from(connection: Connection, height: int) -> list[OutcomeRow]:
    """Plans that blocks at or above `height` settled, for or against."""
    query = select(plan_outcome.c.plan_hash, plan_outcome.c.height, plan_outcome.c.txid).where(
        plan_outcome.c.height >= height
    )
    return [OutcomeRow(plan_hash=row[0], height=row[1], txid=row[2]) for row in connection.execute(query)]


def spenders_of(connection: Connection, outpoints: Iterable[tuple[bytes, int]]) -> list[SpendRow]:
    """Which of these coins are spent in a followed block, and by what."""
    wanted = set(outpoints)
    txids = sorted({txid for txid, _ in wanted})
    columns = (chain_coin.c.txid, chain_coin.c.vout, chain_coin.c.spent_by, chain_coin.c.spent_height)
    found = []
    for start in range(0, len(txids), _VALUES_AT_ONCE):
        query = select(*columns).where(
            chain_coin.c.txid.in_(txids[start : start + _VALUES_AT_ONCE]), chain_coin.c.spent_height.is_not(None)
        )
        found += [
            SpendRow(outpoint=(row[0], row[1]), by_txid=row[2], height=row[3])
            for row in connection.execute(query)
            if (row[0], row[1]) in wanted
        ]
    return found


# --- addresses and deposits -----------------------------------------------------------------------------------------


def watched(connection: Connection) -> dict[tuple[str, int], int]:
    """Highest index asked for or seen, by vault and branch."""
    query = select(watched_index.c.vault, watched_index.c.branch, watched_index.c.highest)
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def set_watched(connection: Connection, highest: dict[tuple[str, int], int], *, rescan: bool = False) -> None:
    """Remember the highest index asked for or seen, and whether blocks were read without its script.

    Both are one commit: an index that is known here is never taken as a reason for a rescan again.
    """
    upsert(
        connection,
        watched_index,
        [{"vault": vault, "branch": branch, "highest": index} for (vault, branch), index in highest.items()],
    )
    if rescan:
        write_meta(connection, _RESCAN, _YES)


def rescan_is_wanted(connection: Connection) -> bool:
    """Whether all blocks are to be read again."""
    return read_meta(connection, _RESCAN) == _YES


def rescan_begun(connection: Connection) -> None:
    """Say that every block is taken back: reading them again goes on from there after a restart, too."""
    write_meta(connection, _RESCAN, _NO)


def add_deposits(connection: Connection, events: Iterable[DepositRow]) -> None:
    """Append to the deposit feed."""
    rows = [
        {
            "vault": event.vault,
            "address_index": event.index,
            "address": event.address,
            "amount_sat": event.amount_sat,
            "txid": event.txid,
            "vout": event.vout,
            "height": event.height,
            "removed": event.removed,
        }
        for event in events
    ]
    if rows:
        connection.execute(deposit_feed.insert(), rows)


_DEPOSIT_COLUMNS = (
    deposit_feed.c.vault,
    deposit_feed.c.address_index,
    deposit_feed.c.address,
    deposit_feed.c.amount_sat,
    deposit_feed.c.txid,
    deposit_feed.c.vout,
    deposit_feed.c.height,
    deposit_feed.c.removed,
    deposit_feed.c.cursor,
)
_DEPOSIT_FIELDS = ("vault", "index", "address", "amount_sat", "txid", "vout", "height", "removed", "cursor")


def deposits_after(
    connection: Connection, cursor: int, *, vault: str, limit: int, newest_only: bool = False
) -> list[DepositRow]:
    """The deposit feed beyond a cursor, of one vault or (empty) of all.

    Args:
        connection: The transaction.
        cursor: Last one seen.
        vault: A vault's name, or empty.
        limit: Most rows.
        newest_only: Only the newest event of each deposit.
    """
    query = select(*_DEPOSIT_COLUMNS).where(deposit_feed.c.cursor > cursor)
    if vault:
        query = query.where(deposit_feed.c.vault == vault)
    if newest_only:
        newest = select(func.max(deposit_feed.c.cursor)).group_by(deposit_feed.c.txid, deposit_feed.c.vout)
        query = query.where(deposit_feed.c.cursor.in_(newest))
    query = query.order_by(deposit_feed.c.cursor).limit(limit)
    return [DepositRow(**dict(zip(_DEPOSIT_FIELDS, row, strict=True))) for row in connection.execute(query)]


def newest_deposit(connection: Connection, txid: bytes, vout: int) -> tuple[int | None, bool] | None:
    """Height and `removed` of the newest event of one deposit."""
    query = (
        select(deposit_feed.c.height, deposit_feed.c.removed)
        .where(deposit_feed.c.txid == txid, deposit_feed.c.vout == vout)
        .order_by(deposit_feed.c.cursor.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def latest_deposit(connection: Connection) -> int:
    """The newest cursor of the deposit feed; 0 before the first."""
    return connection.execute(select(func.max(deposit_feed.c.cursor))).scalar_one() or 0
