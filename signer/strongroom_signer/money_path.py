"""From a request to a released signature share: every check, in order, in this file.

`MoneyPath.release` reads top to bottom. Each step is a function of its own that returns what the next one needs or
raises a typed refusal; nothing is released when anything raises. What is not sure is refused.

What a signer believes comes from its own database: the request contributes indexes, a certificate (whose votes are
verified) and other signers' signed commitments, nothing else.

Spec: design, "A share is released only if all of this holds", points 1 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from strongroom.chains.bitcoin.spend import Spend
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Plan
from strongroom.ledger.judge import breaks_glass, judge_release
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.plans import plan_hash, resolve
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import PlanRecord, VaultRecord
from strongroom.ledger.signed_messages import Commitments, Refusal
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import BootId
from strongroom.protocol.commitments import make_commitments, verify_commitments
from strongroom.protocol.release import SigningSet, make_shares, open_set, shares_are_valid, verify_shares
from strongroom.protocol.signed import MAX_BODY_BYTES, BadSignedBody, SignedBody, sign_body
from strongroom.protocol.signing_task import BadContribution, Group, SigningTask, task_of
from strongroom_signer import requests
from strongroom_signer.clock import Clock
from strongroom_signer.config import Limit
from strongroom_signer.inbox import Inbox
from strongroom_signer.keys import SignerKeys
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.nonces import NonceBook, OpenNonces, TooManyNonces
from strongroom_signer.refusals import (
    CommitmentsInvalid,
    DecodingDiffers,
    FrozenByHand,
    FrozenLocally,
    NonceElsewhere,
    NonceStale,
    NonceUnknown,
    NoPlanHere,
    NoShareHere,
    NotCertified,
    OrderNotAllowed,
    OverLocalLimit,
    PlanNotAccepted,
    RejectedByHand,
    ShareDoesNotVerify,
    ShareRefused,
    WrongEpoch,
    printable,
)
from strongroom_signer.shares import Shares
from strongroom_signer.signing_answers import Approved, Committed, Ready, Released
from strongroom_signer.store import Writer
from strongroom_signer.voting import Voting

__all__ = ["RELEASED_COUNTER", "Committed", "MoneyPath", "Released"]

DAY_MS: Final = 86_400_000
RELEASED_COUNTER: Final = "shares_released"
_CACHED_SPENDS: Final = 256
_NO_SUBJECT: Final = bytes(32)


class MoneyPath:
    """Nonce commitments and signature shares of this signer."""

    def __init__(
        self,
        *,
        copy: LogCopy,
        voting: Voting,
        inbox: Inbox,
        shares: Shares,
        nonces: NonceBook,
        keys: SignerKeys,
        name: str,
        boot_id: bytes,
        limits: Mapping[str, Limit],
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self._copy = copy
        self._store = copy.store
        self._voting = voting
        self._inbox = inbox
        self._shares = shares
        self._nonces = nonces
        self._keys = keys
        self._name = name
        self._boot_id = BootId(boot_id)
        self._limits = limits
        self._clock = clock
        self._random = random
        self._spends: dict[tuple[bytes, bytes], Spend] = {}
        self.last_refusal = ""

    # === round 1: nonce commitments ===================================================================================

    def commit(self, entry_index: int) -> Committed:
        """Make nonces for one plan of the own log, or say why not.

        Everything is checked here that can be before the plan is certified, so that a refusal comes before anybody
        waits for this signer. It is all checked again at release.
        """
        try:
            self._voting.require_voting()
            self._voting.require_signing()
            approved = self._approve(entry_index, pending={})
            share = self._current_share(approved)
            return Committed(entry_index=entry_index, commitments=self._fresh_commitments(approved, share))
        except (ShareRefused, TooManyNonces, Refused) as error:
            return Committed(entry_index=entry_index, refusal=self._refusal(entry_index, error))

    def _fresh_commitments(self, approved: Approved, share: SecretScalar) -> SignedBody:
        group = approved.task.group
        nonces = self._nonces.make(
            approved.task,
            lambda: make_commitments(
                approved.task,
                signer=self._name,
                share=share,
                key=self._keys.vote,
                boot_id=self._boot_id,
                random=self._random,
            ),
            most_per_plan=len(group.signers) - group.threshold + 1,
        )
        return nonces.secret.signed

    def forget_nonces(self) -> None:
        """Destroy all open nonces: who asked for them is gone, and counts them as gone too."""
        self._nonces.drop_all()

    # === round 2: signature shares ====================================================================================

    def release(self, request: requests.Release) -> tuple[Released, ...]:
        """Check everything, mark the nonces as spent, and give signature shares.

        The certificate and the marks of all plans that pass are one durable commit, made before the first share is
        computed. A plan that does not pass gets a signed refusal and holds up none of the others.

        Raises:
            EntriesMissing, BadCertificate, VoterRefused, ClockDrift: nothing is released for any plan.
            StoreFailed: nothing could be marked, so nothing is released; the daemon stops.
        """
        self._voting.require_voting()
        self._voting.require_signing()
        ready, results = self._spend(request)
        # From here on certificate and marks are on disk.
        for item in ready:
            results[item.approved.entry_index] = self._sign(item)
        return tuple(results[chosen.entry_index] for chosen in request.sets)

    def _spend(self, request: requests.Release) -> tuple[list[Ready], dict[int, Released]]:
        """Take the certificate, check every plan, and mark the nonces of those that pass: one durable commit.

        Returns:
            What may be signed now, and the signed refusals by entry index.
        """
        refused: dict[int, Released] = {}
        ready: list[Ready] = []
        pending: dict[bytes, Withdraw] = {}
        with self._store.one_commit():
            if request.certificate is not None:
                self._voting.take(request.certificate)
            for chosen in request.sets:
                try:
                    ready.append(self._check(chosen, pending))
                except (ShareRefused, Refused) as error:
                    refusal = self._refusal(chosen.entry_index, error)
                    refused[chosen.entry_index] = Released(entry_index=chosen.entry_index, refusal=refusal)
            self._mark(ready)
        return ready, refused

    def _check(self, chosen: requests.SigningSet, pending: dict[bytes, Withdraw]) -> Ready:
        """Points 1 to 5 for one plan. What passes is taken out of the nonce book, so that nothing can use it twice."""
        self.check_certified(chosen.entry_index)  # 1
        approved = self._approve(chosen.entry_index, pending=pending)  # 2, 3
        own = self.own_commitments(chosen)  # 4
        nonces = self.find_nonces(own)
        self.check_nonces_fresh(nonces)
        self.check_nonces_for(nonces, approved.task)
        opened = self.check_commitments(chosen, approved.task)
        share = self._current_share(approved)  # 5
        self._nonces.take(nonces)
        pending.update(dict(approved.payments))
        return Ready(approved=approved, chosen=opened, nonces=nonces, share=share)

    def _approve(self, entry_index: int, *, pending: Mapping[bytes, Withdraw]) -> Approved:
        """Points 2 and 3: what the plan does, and whether it is allowed now."""
        state = self._copy.newest()
        plan = self.load_plan(entry_index)
        record = self.check_accepted(state, plan, entry_index)
        vault = self.vault_of(state, plan)
        spend = self.decode(state, plan, record, vault)
        self.check_orders_pass(state, record)
        self.check_not_rejected_by_hand(state, record)
        if not breaks_glass(state, record):  # which passes what people froze, but never the operator's own word
            self.check_not_frozen_by_hand(plan.vault)
        self.check_not_frozen_locally(plan.vault)
        payments = self.payments_of(state, record)
        self.check_local_limits(payments, pending)
        task = task_of(
            spend,
            log_id=self._copy.log_id,
            term=self._voting.state.term,
            entry_index=entry_index,
            plan_hash=record.hash,
            vault_epoch=vault.epoch,
            group=group_of(vault),
        )
        return Approved(entry_index=entry_index, plan=record, vault=vault, task=task, payments=payments)

    def _current_share(self, approved: Approved) -> SecretScalar:
        """Point 5: the plan is for the vault's current shares, and this signer has its own."""
        self.check_epoch(approved.vault)
        return self.own_share(approved.vault)

    # --- 1: the plan lies under a certificate of the current term that extends the own log --------------------------

    def check_certified(self, entry_index: int) -> None:
        """The held certificate is of the current term and covers the entry; it was taken only as own log's own head."""
        if not self._voting.releasable(entry_index + 1):
            raise NotCertified(f"entry {entry_index} lies under no certificate of term {self._voting.state.term}")

    # --- 2: the own decoding of the plan ---------------------------------------------------------------------------

    def load_plan(self, entry_index: int) -> Plan:
        """The plan at this index of the own log; nothing of it comes from the request."""
        data = self._store.entry(entry_index)
        body = None if data is None else codec.decode(Entry, data).body
        if not isinstance(body, Plan):
            raise NoPlanHere(f"entry {entry_index} of this signer's log is no plan")
        return body

    def check_accepted(self, state: State, plan: Plan, entry_index: int) -> PlanRecord:
        """The plan passed every rule at its own place: form, rules, windows, fees, conflicts, freezes."""
        record = state.plan(plan_hash(codec.encode(plan)))
        if record is None or record.entry_index != entry_index:
            raise PlanNotAccepted(f"the plan at entry {entry_index} is not recorded as accepted there")
        return record

    def vault_of(self, state: State, plan: Plan) -> VaultRecord:
        """The plan's vault as the own state has it."""
        vault = state.vault(plan.vault)
        if vault is None:
            raise PlanNotAccepted(f"there is no vault {plan.vault}")
        return vault

    def decode(self, state: State, plan: Plan, record: PlanRecord, vault: VaultRecord) -> Spend:
        """The transaction, built from the orders' own amounts and addresses; it is the one that was accepted.

        What was built is kept for the group key it was built with: a plan names its vault, and a term that drops the
        vault's entry can bring another key under that name.
        """
        built_for = (vault.group_key, record.hash)
        spend = self._spends.get(built_for)
        if spend is None:
            spend = resolve(state, plan).spend
            if len(self._spends) >= _CACHED_SPENDS:
                self._spends.pop(next(iter(self._spends)))
            self._spends[built_for] = spend
        if spend.txid != record.txid:
            raise DecodingDiffers(f"plan {record.hash.hex()} decodes to another transaction than the accepted one")
        return spend

    # --- 3: judged now, by the newest state, the own clock, and what was handed in ----------------------------------

    def check_orders_pass(self, state: State, record: PlanRecord) -> None:
        """Rules, endorsements, rejections, freezes and expiry, against the newest state and the own clock."""
        judgement = judge_release(self._inbox.without_revoked(state), record, self._clock.wall_ms())
        if not judgement.allowed:
            raise OrderNotAllowed(f"{judgement.code}: {'; '.join(judgement.missing)}", code=str(judgement.code))

    def check_not_rejected_by_hand(self, state: State, record: PlanRecord) -> None:
        """No named approver's rejection lies in the inbox."""
        for order_hash in record.order_hashes:
            order = state.order(order_hash)
            if order is None:
                raise PlanNotAccepted(f"there is no order {order_hash.hex()}")
            person = self._inbox.rejection_of(order_hash, decode_order(order.order))
            if person is not None:
                raise RejectedByHand(f"{person} rejected order {order_hash.hex()}; it was handed in here")

    def check_not_frozen_by_hand(self, vault: str) -> None:
        """No officer's freeze lies in the inbox."""
        why = self._inbox.handed_freeze_of(vault)
        if why is not None:
            raise FrozenByHand(f"a freeze of {vault} was handed in here: {why}")

    def check_not_frozen_locally(self, vault: str) -> None:
        """The operator has not frozen the vault."""
        why = self._inbox.local_freeze_of(vault)
        if why is not None:
            raise FrozenLocally(f"this signer's operator froze {vault}: {why}")

    def payments_of(self, state: State, record: PlanRecord) -> tuple[tuple[bytes, Withdraw], ...]:
        """What the plan pays; a cancellation pays nobody."""
        actions = [(order_hash, state.order(order_hash)) for order_hash in record.order_hashes]
        decoded = [(order_hash, decode_order(order.order).action) for order_hash, order in actions if order is not None]
        return tuple((order_hash, action) for order_hash, action in decoded if isinstance(action, Withdraw))

    def check_local_limits(
        self, payments: tuple[tuple[bytes, Withdraw], ...], pending: Mapping[bytes, Withdraw]
    ) -> None:
        """The operator's own maximum per order, and over the last 24 hours of shares given, by the own clock."""
        for asset, limit in self._limits.items():
            mine = {order_hash: action.amount for order_hash, action in payments if action.asset == asset}
            if not mine:
                continue
            if limit.per_order is not None and max(mine.values()) > limit.per_order:
                raise OverLocalLimit(
                    f"{max(mine.values())} of {asset} is above this signer's {limit.per_order} an order"
                )
            if limit.per_day is not None:
                together = mine | {one: action.amount for one, action in pending.items() if action.asset == asset}
                since = self._clock.wall_ms() - DAY_MS
                total = sum(together.values()) + self._store.paid_since(asset, since, without=together)
                if total > limit.per_day:
                    raise OverLocalLimit(f"{total} of {asset} is above this signer's {limit.per_day} a day")

    # --- 4: the nonce ------------------------------------------------------------------------------------------------

    def own_commitments(self, chosen: requests.SigningSet) -> Commitments:
        """The own commitments are in the list, once; their signature is checked with the others'."""
        mine = []
        for signed in chosen.commitments:
            try:
                message = codec.decode(Commitments, signed.body, max_size=MAX_BODY_BYTES)
            except codec.NotCanonical as error:
                raise CommitmentsInvalid(f"a commitment is not canonical: {error.message}") from None
            if message.signer == self._name:
                mine.append(message)
        if len(mine) != 1:
            raise CommitmentsInvalid(f"the set holds {len(mine)} commitments of {self._name}, it must hold one")
        return mine[0]

    def find_nonces(self, own: Commitments) -> OpenNonces:
        """The nonces are open here, and no mark says that they were used."""
        nonces = self._nonces.find(own.session)
        if nonces is None or self._store.nonce_is_marked(own.session):
            raise NonceUnknown(f"nonce session {own.session.hex()} is not open here: ask for new commitments")
        return nonces

    def check_nonces_fresh(self, nonces: OpenNonces) -> None:
        """At most 30 seconds old by the wall clock and by the monotonic clock."""
        if not self._nonces.is_fresh(nonces):
            raise NonceStale("the nonces are older than 30 seconds: ask for new commitments")

    def check_nonces_for(self, nonces: OpenNonces, task: SigningTask) -> None:
        """Made in this boot, for this log, term, index, plan, epoch, and these very digests and tweaks."""
        if nonces.boot_id != self._boot_id or nonces.task != task:
            raise NonceElsewhere("the nonces were made for another plan, place, term or boot: ask for new commitments")

    def check_commitments(self, chosen: requests.SigningSet, task: SigningTask) -> SigningSet:
        """Every commitment is signed by its holder for this task; t holders in order; the own ones word for word."""
        try:
            verified = [
                verify_commitments(signed, task=task, vote_keys=self._voting.vote_keys) for signed in chosen.commitments
            ]
            opened = open_set(task, verified)
        except (BadContribution, BadSignedBody) as error:
            raise CommitmentsInvalid(error.message) from error
        return opened

    def _mark(self, ready: list[Ready]) -> None:
        """The durable mark: after this commit the nonces count as used, whatever happens."""
        if not ready:
            return
        now = self._clock.wall_ms()
        with self._store.commit() as write:
            for item in ready:
                self._write_mark(write, item, now)
            write.set_counter(RELEASED_COUNTER, self._store.counter(RELEASED_COUNTER) + len(ready))

    def _write_mark(self, write: Writer, item: Ready, now_ms: int) -> None:
        task = item.approved.task
        write.mark_nonce(
            item.nonces.session,
            boot_id=self._boot_id,
            term=task.term,
            entry_index=task.entry_index,
            plan_hash=task.plan_hash,
            time_ms=now_ms,
        )
        for order_hash, payment in item.approved.payments:
            write.add_payment(order_hash, payment.asset, payment.amount, now_ms)

    # --- 5: the epoch ------------------------------------------------------------------------------------------------

    def check_epoch(self, vault: VaultRecord) -> None:
        """The vault's newest epoch is final: until then some have the old shares and some the new ones."""
        final = self._copy.final().vault(vault.name)
        if final is not None and final.epoch != vault.epoch:
            raise WrongEpoch(f"epoch {vault.epoch} of {vault.name} begins and is not final yet: ask again soon")

    def own_share(self, vault: VaultRecord) -> SecretScalar:
        """The share of the current epoch; it is the one the state has the public half of."""
        share = self._shares.get(vault.name, vault.epoch) if self._name in vault.signers else None
        if share is None:
            raise NoShareHere(f"this signer holds no share of {vault.name}, epoch {vault.epoch}")
        if share.public() != vault.public_shares[vault.signers.index(self._name)]:
            raise NoShareHere(f"the share of {vault.name} stored here is not the one the vault was made with")
        return share

    # --- the share leaves --------------------------------------------------------------------------------------------

    def _sign(self, item: Ready) -> Released:
        """Sign with marked nonces, verify the result, and add commitments for a retry with another set."""
        index = item.approved.entry_index
        held = self._voting.state.held_in_term
        try:
            if held is None:
                raise NotCertified("the certificate was lost while signing")
            shares = make_shares(
                item.chosen,
                item.nonces.secret,
                signer=self._name,
                share=item.share,
                key=self._keys.vote,
                certified_size=held.size,
            )
            verified = verify_shares(item.chosen, shares, vote_keys=self._voting.vote_keys)
            if not shares_are_valid(item.chosen, verified):
                raise ShareDoesNotVerify("a share made here does not verify: check this machine's memory")
        except (ShareRefused, BadContribution) as error:
            return Released(entry_index=index, refusal=self._refusal(index, error))
        finally:
            item.nonces.secret.wipe()
        return Released(entry_index=index, shares=shares, next_commitments=self._next_commitments(item))

    def _next_commitments(self, item: Ready) -> SignedBody | None:
        try:
            return self._fresh_commitments(item.approved, item.share)
        except TooManyNonces:
            # The coordinator can ask again once older ones have gone stale; the share itself is given.
            return None

    def _refusal(self, entry_index: int, error: StrongroomError) -> SignedBody:
        self.last_refusal = f"{error.reason}: {error.message}"
        data = self._store.entry(entry_index)
        body = None if data is None else codec.decode(Entry, data).body
        subject = plan_hash(codec.encode(body)) if isinstance(body, Plan) else _NO_SUBJECT
        refusal = Refusal(
            log_id=self._copy.log_id,
            term=self._voting.state.term,
            entry_index=entry_index,
            subject=subject,
            reason=error.facts.get("code", error.reason),
            detail=printable(error.message),
            signer=self._name,
        )
        return sign_body("refusal", refusal, self._keys.vote)


def group_of(vault: VaultRecord) -> Group:
    """The holders of a vault's key."""
    return Group(
        signers=vault.signers,
        threshold=vault.threshold,
        public_shares=vault.public_shares,
        group_key=vault.group_key,
    )
