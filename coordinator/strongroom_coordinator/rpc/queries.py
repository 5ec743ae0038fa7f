"""Reading: orders, vaults, balances, deposits, explanations. Each proven where it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from strongroom.api.signer.v1 import signer_link_service_pb2 as link_pb
from strongroom.api.types.v1 import types_pb2
from strongroom.chains.bitcoin.policy import DEPOSIT_BRANCH
from strongroom.ledger.judge import judge_order, vault_of
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.ledger.signed_messages import View
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import StrongroomError
from strongroom.protocol.signed import open_body
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import signed_of
from strongroom_coordinator.reading import Reading
from strongroom_coordinator.rpc.answers import record_pb
from strongroom_coordinator.rpc.errors import NoSuchThing
from strongroom_coordinator.rpc.live_orders import LIVE, LiveOrders
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.requests import Page
from strongroom_coordinator.storage import chain as chain_rows
from strongroom_coordinator.storage.chain import DepositRow
from strongroom_coordinator.tracker.coin_book import coin_of
from strongroom_coordinator.views import OrderOverview, Status

__all__ = ["Queries"]

EXPLAIN_TIMEOUT_S: Final = 2.0
MAX_SCANNED: Final = 2_000
"""Orders looked at for one page of a filtered list; a page may come out short or empty, its token goes on.

Each takes some milliseconds, and a client waits for half a minute.
"""
CHUNK: Final = 100


class Queries:
    """Answers what is asked about orders, vaults and coins."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live = LiveOrders(parts)

    # --- orders ----------------------------------------------------------------------------------------------------

    async def order(self, order_hash: bytes | None, order_id: bytes | None) -> OrderOverview:
        """One order.

        Raises:
            NoSuchThing: no certified order has this hash or id.
        """
        state = self._parts.reader.certified().state
        record = state.order_by_id(order_id) if order_id is not None else state.order(order_hash or b"")
        found = [] if record is None else await self._parts.views.orders([record.hash], with_transactions=True)
        if not found:
            name = (order_id or order_hash or b"").hex()
            raise NoSuchThing(f"no certified order is known by {name}", order=name)
        return found[0]

    async def orders(
        self, page: Page, *, vault: str, statuses: frozenset[Status], withdrawals_only: bool = False
    ) -> tuple[list[OrderOverview], int | None]:
        """One page of orders, newest first, and where the next one begins."""
        state = self._parts.reader.certified().state
        below = min(page.start, state.orders_count) if page.start is not None else state.orders_count
        numbers: Sequence[int] = range(below - 1, -1, -1)
        if statuses and statuses <= LIVE:
            numbers = await self._live.numbers(state, below)
        end, looked_at = min(len(numbers), MAX_SCANNED), 0
        found: list[OrderOverview] = []
        while looked_at < end and len(found) < page.size:
            take: list[bytes] = []
            while looked_at < end and len(take) < min(CHUNK, page.size - len(found)):
                record = state.order_at(numbers[looked_at])
                looked_at += 1
                order = decode_order(record.order)
                if withdrawals_only and not isinstance(order.action, Withdraw):
                    continue
                if not vault or vault_of(state, order) == vault:
                    take.append(record.hash)
            views = await self._parts.views.orders(take)
            found += [view for view in views if not statuses or view.status in statuses]
        return found, numbers[looked_at - 1] if looked_at < len(numbers) else None

    async def explain(self, order_hash: bytes) -> types_pb2.Explanation:
        """Our judgement of an order now, and each signer's own signed view.

        Raises:
            NoSuchThing: no certified order has this hash.
        """
        state = self._parts.reader.certified().state
        record = state.order(order_hash)
        if record is None:
            raise NoSuchThing(f"no certified order is known by {order_hash.hex()}", order=order_hash.hex())
        now_ms = max(self._parts.clock.wall_ms(), state.time_ms)
        judgement = judge_order(state, record, now_ms)
        links = dict(self._parts.links.links)
        views = await asyncio.gather(*(self._view(link, order_hash) for link in links.values()))
        answered = {name: view for name, view in zip(links, views, strict=True) if view is not None}
        return types_pb2.Explanation(
            allowed=judgement.allowed,
            rule=judgement.rule or "",
            missing=[*judgement.missing, *self._why_not_planned(state, record, judgement.allowed)],
            tried=judgement.tried,
            views=answered.values(),
            silent=sorted({signer.name for signer in self._parts.charter.signers} - set(answered)),
        )

    def _why_not_planned(self, state: State, record: OrderRecord, allowed: bool) -> list[str]:
        reason = self._parts.planner.reason(record.hash)
        return [reason] if allowed and reason and not record.plans else []

    async def _view(self, link: SignerLink, order_hash: bytes) -> types_pb2.SignedBody | None:
        """One signer's view, checked so that one liar does not spoil the others' answers."""
        key = next((one.vote_key for one in self._parts.charter.signers if one.name == link.signer), b"")
        try:
            reply = await link.request(link_pb.Explain(order_hash=order_hash), timeout_s=EXPLAIN_TIMEOUT_S)
            signed = reply.explain.view
            view = open_body("view", View, signed_of(signed), log_id=self._parts.log_id, public_key=key)
        except StrongroomError:
            return None
        return signed if view.signer == link.signer and view.order_hash == order_hash else None

    # --- vaults ----------------------------------------------------------------------------------------------------

    async def vaults(self, page: Page) -> tuple[list[types_pb2.VaultView], int | None]:
        """One page of vaults in order of birth, and where the next one begins.

        A vault stands under the newest final head as soon as it can: its addresses are not used before.
        """
        final, certified = await self._parts.reader.final(), self._parts.reader.certified()
        names = [vault.name for vault in certified.state.vaults()]
        start = page.start or 0
        chosen = names[start : start + page.size]
        end = start + len(chosen)
        return [self._vault_view(name, final, certified) for name in chosen], end if end < len(names) else None

    def _vault_view(self, name: str, final: Reading, certified: Reading) -> types_pb2.VaultView:
        reading = final if final.state.vault(name) is not None else certified
        proof = reading.state.record_proof(b"vaults", name.encode("ascii"))
        return types_pb2.VaultView(record=record_pb(proof, reading))

    async def address(self, vault: str, index: int) -> tuple[str, types_pb2.VaultView]:
        """The deposit address at an index, watched from now on, and the vault's record.

        Raises:
            NoSuchThing: no certified vault has this name.
            AddressIndexTooFar: the index is far beyond every index in use.
        """
        record = self._vault(vault)
        await self._parts.tracker.watch_index(vault, index)
        address = vault_key_of(record).derive(DEPOSIT_BRANCH, index).address(self._parts.tracker.network)
        final, certified = await self._parts.reader.final(), self._parts.reader.certified()
        return address, self._vault_view(vault, final, certified)

    def balance(self, vault: str) -> types_pb2.Balance:
        """Coins of a vault as the chain node shows them.

        Raises:
            NoSuchThing: no certified vault has this name.
        """
        self._vault(vault)
        tracker = self._parts.tracker
        coins = [coin_of(row) for row in tracker.coins_known.of_vault(vault)]
        coming = going = 0
        for plan in tracker.plans:
            if plan.record.vault == vault and plan.raw_transaction is not None and not plan.is_dead:
                coming += sum(coin.amount_sat for coin in plan.change if not tracker.plans.is_reserved(coin.outpoint))
                going += sum(coin.amount_sat for coin in coins if coin.outpoint in plan.outpoints)
        return types_pb2.Balance(
            vault=vault,
            asset=tracker.network.asset_id,
            confirmed=str(sum(coin.amount_sat for coin in coins)),
            pending_in=str(coming),
            pending_out=str(going),
            coins=len(coins),
        )

    def _vault(self, name: str) -> VaultRecord:
        record = self._parts.reader.certified().state.vault(name)
        if record is None:
            raise NoSuchThing(f"there is no vault {name}", vault=name)
        return record

    async def deposits(self, page: Page, *, vault: str) -> tuple[list[DepositRow], int | None]:
        """One page of deposits, each as it stands now, and where the next page begins."""
        start, size = page.start or 0, page.size
        read = partial(chain_rows.deposits_after, cursor=start, vault=vault, limit=size + 1, newest_only=True)
        found: Sequence[DepositRow] = await self._parts.storage.run(read)
        return list(found[:size]), found[size - 1].cursor if len(found) > size else None
