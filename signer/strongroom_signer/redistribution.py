"""This signer's part in handing a vault's key on to its next epoch.

What a dealing or a new share is for comes from the own final log, never from a request. Nothing is stored: a dealing
leaves no state, and a new share stays in memory for its trials. Once the epoch's entry is final, `sealing` makes the
share again from the recovery data. So a kill at any step loses nothing.

An order that lets others sign, or fewer of them together, or fewer be lost, or gives a share to another host key than
before, needs this signer's operator too: whoever commands the admin quorum could otherwise collect the key at signers
of its own. One with so many absent holders that a single bad one could end the vault needs the operators of all who
are there, to deal and to state. The word is for the very host keys, threshold and absent holders that were shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from strongroom.ledger.judge import judge_by_both
from strongroom.ledger.key_changes import vaults_of
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol import redistribution as protocol
from strongroom.protocol.redistribution import Holding, RedistributionRefused, RedistributionTerms, Stated
from strongroom.protocol.redistribution_orders import key_change_of, redistribution_terms
from strongroom.protocol.signed import SignedBody
from strongroom_signer import requests
from strongroom_signer.acceptance import dealt_of
from strongroom_signer.clock import Clock
from strongroom_signer.inbox import Inbox
from strongroom_signer.keys import SignerKeys
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log
from strongroom_signer.shares import Shares
from strongroom_signer.voting import Voting

__all__ = ["NewSharesNotAccepted", "NewSharesNotOrdered", "Redistribution"]

MAX_HOLDINGS: Final = 100


class NewSharesNotOrdered(StrongroomError):
    """No final and approved order of the own log asks for these new shares."""

    reason = "NEW_SHARES_NOT_ORDERED"
    kind = Kind.PERMISSION_DENIED


class NewSharesNotAccepted(StrongroomError):
    """The order lets other keys sign, or fewer together, or fewer be lost, or trusts every holder that is present.

    The operator must run `accept` with its hash; again when host keys changed since.
    """

    reason = "NEW_SHARES_NOT_ACCEPTED"
    kind = Kind.PERMISSION_DENIED


class Redistribution:
    """Dealings out of the own shares, and new shares in memory."""

    def __init__(
        self,
        *,
        copy: LogCopy,
        voting: Voting,
        shares: Shares,
        inbox: Inbox,
        keys: SignerKeys,
        name: str,
        clock: Clock,
        random: Callable[[int], bytes],
        log: Log,
    ) -> None:
        self._copy = copy
        self._voting = voting
        self._shares = shares
        self._inbox = inbox
        self._keys = keys
        self._name = name
        self._clock = clock
        self._random = random
        self._log = log
        self._holdings: dict[tuple[bytes, str], Holding] = {}

    # --- what the operator says --------------------------------------------------------------------------------------

    def accept(self, order_hash: bytes) -> str:
        """Keep the operator's word that this signer may deal for an order; returns what the order does.

        Raises:
            NewSharesNotOrdered: the own log has no such order for new shares.
        """
        state = self._copy.newest()
        record = state.order(order_hash)
        action = None if record is None else key_change_of(record)
        if record is None or action is None:
            raise NewSharesNotOrdered(f"order {order_hash.hex()} is no order for new shares in this signer's log")
        vaults = [vault for name in vaults_of(action) if (vault := state.vault(name)) is not None]
        found = [dealt for vault in vaults if (dealt := dealt_of(state, record, action, vault)) is not None]
        if not found:
            raise NewSharesNotOrdered(f"the charter no longer has all holders that order {order_hash.hex()} names")
        with self._copy.store.commit() as write:
            for dealt in found:
                write.add_accepted(dealt.hash, order_hash, self._clock.wall_ms())
        return "this signer deals and takes new shares of\n" + "\n".join(dealt.text for dealt in found)

    # --- answers -----------------------------------------------------------------------------------------------------

    def deal(self, request: requests.Deal) -> SignedBody:
        """Share the own share among the new holders."""
        self._voting.require_voting()
        terms, record = self._terms(request)
        self._require_accepted(record, terms, is_dealer=True)
        share = self._shares.get(terms.vault, terms.epoch - 1)
        if share is None:
            raise RedistributionRefused(f"this signer holds no share of {terms.vault}, epoch {terms.epoch - 1}")
        dealing = protocol.deal(
            terms, signer=self._name, share=share, vote_key=self._keys.vote, random32=self._random(32)
        )
        self._log.info("epoch.dealt", order=record.hash, vault=terms.vault, epoch=terms.epoch, attempt=terms.attempt)
        return dealing

    def receive(self, request: requests.Receive) -> Stated:
        """Check what was dealt, keep the new share in memory, and state so."""
        self._voting.require_voting()
        terms, record = self._terms(request)
        self._require_accepted(record, terms, is_dealer=False)
        self.drop_stale()
        place = (record.hash, terms.vault)
        if place not in self._holdings and len(self._holdings) >= MAX_HOLDINGS:
            raise RedistributionRefused(f"{MAX_HOLDINGS} new shares are in memory: they go after 30 s of silence")
        holding, stated = protocol.receive(
            terms,
            request.dealings,
            signer=self._name,
            host_key=self._keys.host_among(terms.host_keys),
            vote_key=self._keys.vote,
            vote_keys=self._vote_keys(),
            now_ms=self._clock.monotonic_ms(),
        )
        self._drop(place)
        self._holdings[place] = holding
        self._log.info("epoch.stated", order=record.hash, vault=terms.vault, epoch=terms.epoch, attempt=terms.attempt)
        return stated

    def trial_commit(self, request: requests.EpochTrialCommit) -> bytes:
        """A nonce for the trial of one subset."""
        place, holding = self._holding(request)
        self._holdings[place], nonce = protocol.trial_commit(
            holding, request.signers, random32=self._random(32), now_ms=self._clock.monotonic_ms()
        )
        return nonce

    def trial_sign(self, request: requests.EpochTrialSign) -> bytes:
        """A trial signature share: over a message computed here from the recovery data and the subset."""
        self._voting.require_voting()
        place, holding = self._holding(request)
        self._holdings[place], share = protocol.trial_sign(
            holding, request.signers, request.nonces, now_ms=self._clock.monotonic_ms()
        )
        return share

    # --- what it rests on --------------------------------------------------------------------------------------------

    def _terms(self, request: requests.OfEpoch) -> tuple[RedistributionTerms, OrderRecord]:
        """What the order asks for, if it is final here, passes now, and has not acted."""
        state = self._copy.final()
        record = state.order(request.order_hash)
        if record is None:
            raise NewSharesNotOrdered(f"order {request.order_hash.hex()} is not final in this signer's log")
        self._require_passes(state, record)
        return redistribution_terms(state, record, request.vault, request.attempt), record

    def _require_passes(self, state: State, record: OrderRecord) -> None:
        # The final state says that its time has come for good, the newest one whether anybody objected since.
        now_ms = self._clock.wall_ms()
        judgement = judge_by_both(self._inbox.without_revoked(state), record, now_ms)
        newest = self._copy.newest()
        seen = newest.order(record.hash)
        if judgement.allowed and seen is not None:
            judgement = judge_by_both(self._inbox.without_revoked(newest), seen, now_ms)
        if not judgement.allowed:
            missing = "; ".join(judgement.missing)
            raise NewSharesNotOrdered(f"order {record.hash.hex()}: {judgement.code}: {missing}")
        person = self._inbox.rejection_of(record.hash, decode_order(record.order))
        if person is not None:
            raise NewSharesNotOrdered(f"{person} rejected order {record.hash.hex()}; it was handed in here")

    def _require_accepted(self, record: OrderRecord, terms: RedistributionTerms, *, is_dealer: bool) -> None:
        state = self._copy.final()
        action, vault = key_change_of(record), state.vault(terms.vault)
        dealt = None if action is None or vault is None else dealt_of(state, record, action, vault)
        if dealt is None:
            # The terms came from this very order, vault and charter; refuse rather than guess.
            raise NewSharesNotOrdered(f"order {record.hash.hex()} is no order for new shares of {terms.vault} any more")
        why = (is_dealer and dealt.to_others) or dealt.to_absent
        if why and not self._copy.store.is_accepted(dealt.hash):
            raise NewSharesNotAccepted(
                f"order {record.hash.hex()} {why}: compare it with who asks for it, then run: "
                f"strongroom-signer accept {record.hash.hex()}"
            )

    def _vote_keys(self) -> Mapping[str, bytes]:
        return {signer.name: signer.vote_key for signer in self._copy.final().charter.signers}

    def _holding(self, request: requests.OfEpoch) -> tuple[tuple[bytes, str], Holding]:
        place = (request.order_hash, request.vault)
        holding = self._holdings.get(place)
        if holding is None or holding.terms.attempt != request.attempt:
            raise RedistributionRefused("this new share is not in memory here: send the dealings again")
        return place, holding

    # --- the end -----------------------------------------------------------------------------------------------------

    def became_final(self, _before: int, _after: int) -> None:
        """Destroy new shares of epochs that have begun, or of orders that ended."""
        state = self._copy.final()
        for order_hash, vault in tuple(self._holdings):
            record = state.vault(vault)
            if record is None or record.changing != order_hash:
                self._drop((order_hash, vault))

    def drop_stale(self) -> None:
        """Destroy new shares for which nobody has asked for too long."""
        now = self._clock.monotonic_ms()
        for place, holding in tuple(self._holdings.items()):
            if protocol.has_expired(holding, now):
                self._drop(place)

    def forget(self) -> None:
        """Destroy all new shares in memory."""
        for place in tuple(self._holdings):
            self._drop(place)

    def _drop(self, place: tuple[bytes, str]) -> None:
        holding = self._holdings.pop(place, None)
        if holding is not None:
            protocol.wipe(holding)
