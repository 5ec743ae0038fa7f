"""Three real signers, what a hostile coordinator was told by them, and what every share of theirs is held against.

Keys, databases, votes, certificates, nonces and shares are the real ones. A share is judged by what the signers were
asked and shown, kept here, and not by their own account of it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import charter_builder as builder
from electorate_of import certificate_by, electorate
from signer_world import VAULT, Cluster, open_folder, refusal_of, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.plans import plan_hash, resolve
from strongroom.ledger.signed_messages import Commitments
from strongroom.model.errors import StrongroomError
from strongroom.protocol.certificates import verify_vote
from strongroom.protocol.commitments import verify_commitments
from strongroom.protocol.release import SigningSet, VerifiedShares, open_set, shares_are_valid, verify_shares
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom.protocol.signing_task import SigningTask, task_of
from strongroom_signer.frames import signed_to_pb
from strongroom_signer.money_path import MoneyPath, group_of
from strongroom_signer.store import StoreFailed

__all__ = ["MOMENTS", "NAMES", "Broken", "ReleaseWorld"]

NAMES = ("s1", "s2", "s3")
MOST_OPEN_SETS = 2
"""n - t + 1 of the vault, which is 2-of-3."""
NONCE_AGE_MS = 30_000
WITHHELD_SOON_MS = 500_000
"""Ten minutes after a freeze that the log does not take up, a signer votes no more."""
MOMENTS = ("before the mark", "between mark and share", "once the share is made")
"""When a process can die in a release."""


class Broken(AssertionError):
    """A signer did what it must never do."""


class Killed(BaseException):
    """The process is gone; no code of it runs any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Commitments as a signer sent them: for which plan, when by both clocks, and in which life of its nonces."""

    signer: str
    index: int
    life: int
    wall_ms: int
    monotonic_ms: int
    sent: SignedBody
    message: Commitments


class ReleaseWorld:
    """The signers, and all that the coordinator knows."""

    def __init__(self, root: Path, seen: Counter[str]) -> None:
        self.root = root
        self.seen = seen
        self.numbers = count()
        self.cluster = Cluster.started(root)
        self.log, self.clock = self.cluster.world, self.cluster.clock
        self.is_open = True
        self.went_on = False
        self.plans: list[int] = []
        self.made: list[Made] = []
        self.certificates: list[Certificate] = [self.newest]
        self.terms = dict.fromkeys(NAMES, self.cluster.term)
        self.lives = dict.fromkeys(NAMES, 0)
        """Counts what ends nonces: the end of the process, of the link, and of the term."""
        self.covered = dict.fromkeys(NAMES, 0)
        """Entries under certificates of the signer's own term that it was shown."""
        self.frozen: dict[str, dict[bytes, int]] = {name: {} for name in NAMES}
        self.spent: dict[str, set[bytes]] = {name: set() for name in NAMES}
        """Sessions that signed, or were about to when the process died."""
        self.points: dict[str, set[bytes]] = {name: set() for name in NAMES}

    @property
    def newest(self) -> Certificate:
        assert self.cluster.certificate is not None
        return self.cluster.certificate

    # --- asking -------------------------------------------------------------------------------------------------------

    def ask(self, name: str, body: Any) -> Any:
        """Ask a signer; None when it refuses as a whole."""
        if "certificate" in body.DESCRIPTOR.fields_by_name and body.certificate:
            self._note(name, codec.decode(Certificate, body.certificate))
        try:
            return self.cluster.ask(name, body)
        except StoreFailed as error:
            raise Broken(f"{name} cannot use its database: {error.message}") from error
        except StrongroomError as error:
            self.seen[error.reason] += 1
            return None

    def _note(self, name: str, certificate: Certificate) -> None:
        """What it was shown with enough votes, in its own term, a signer may release under."""
        is_whole = len(certificate.votes) >= self.log.charter.witness_quorum
        if is_whole and certificate.head.term == self.terms[name]:
            self.covered[name] = max(self.covered[name], certificate.head.size)

    def enters(self, name: str, term: int) -> None:
        """A signer is in a new term, and has seen no certificate of it."""
        self.terms[name], self.covered[name] = term, 0
        self.lives[name] += 1

    # --- the log ------------------------------------------------------------------------------------------------------

    def can_vote(self) -> bool:
        """Whether clocks, freezes and alarms leave every signer its vote; what keeps it is tested elsewhere."""
        now = self.clock.wall
        self.log.time_ms = max(self.log.time_ms, now)
        for signer in self.cluster.signers.values():
            signer.voting.watch_clocks()
        waits = [now - since for freezes in self.frozen.values() for since in freezes.values()]
        is_near = self.log.time_ms - now <= 60_000 and max(waits, default=0) <= WITHHELD_SOON_MS
        return is_near and not any(signer.alarm()[0] for signer in self.cluster.signers.values())

    def log_plan(self, amount: int, coins: int = 1, *, asks: bool = False) -> int:
        """Have everybody vote for an order and its plan, and be asked for commitments with the vote or not."""
        order = self.log.pay(VAULT, amount)
        self.log.log_plan([order], [self.log.coin(amount + 50_000) for _ in range(coins)])
        index = self.log.replica.size - 1
        self.plans.append(index)
        self._vote([index] if asks else [])
        return index

    def tick(self) -> None:
        """Certify an empty batch, and with it everything before it in the term."""
        self.log.log(Tick())
        self._vote([])
        self.certify()

    def _vote(self, commit_for: list[int]) -> None:
        for preview in self.log.previews[self.cluster.sent :]:
            self.cluster.votes = []
            for name in NAMES:
                wanted = [index for index in commit_for if index < preview.size]
                voted = self.ask(name, self.cluster.append(preview, commit_for=wanted))
                if not isinstance(voted, pb.Voted):
                    raise Broken(f"{name} does not vote for an honest batch: {voted}")
                decides = electorate(self.cluster.vote_keys)
                vote = verify_vote(name, signed(voted.vote), log_id=self.log.log_id, electorate=decides)
                self.cluster.votes.append(vote)
                self.keep(name, voted.commitments)
            self.cluster.sent += 1

    def certify(self, without: int = 0) -> None:
        """Two of the three votes for the newest batch are a certificate."""
        chosen = [vote for place, vote in enumerate(self.cluster.votes) if place != without % 3]
        self.cluster.certificate = certificate_by(chosen, self.log.charter.witness_quorum)
        self.certificates.append(self.newest)

    def begin_term(self, names: Iterable[str]) -> None:
        """Open the next term; batches whose certificate the first two do not hold are lost."""
        self.cluster.open_term(names)
        size = self.newest.head.size
        self.log.replica.truncate(size)
        self.log.previews = [preview for preview in self.log.previews if preview.size <= size]
        self.cluster.sent, self.cluster.votes = len(self.log.previews), []
        self.plans = [index for index in self.plans if index < size]
        self.is_open = True
        for name in NAMES:
            self.enters(name, self.cluster.term)

    def proof(self, kind: str) -> bytes:
        """A certificate as a request carries it; the base of a term is none of the term."""
        if kind == "none" or (kind == "newest" and self.newest.head.term < self.cluster.term):
            return b""
        certificate = self.certificates[0] if kind == "oldest" else self.newest
        if kind == "too few votes":
            if self.cluster.votes:
                certificate = certificate_by(self.cluster.votes[:2], self.log.charter.witness_quorum)
            certificate = replace(certificate, votes=certificate.votes[:1])
        return codec.encode(certificate)

    # --- round 1 ------------------------------------------------------------------------------------------------------

    def commit(self, name: str, index: int, term: int | None = None) -> None:
        body = pb.Commit(term=self.terms[name] if term is None else term, entry_indexes=[index])
        answer = self.ask(name, body)
        self.keep(name, () if answer is None else answer.results)

    def keep(self, name: str, results: Iterable[Any]) -> None:
        for result in results:
            if result.WhichOneof("outcome") == "refusal":
                self.seen[refusal_of(result).reason] += 1
            else:
                self.keep_one(name, result.entry_index, signed(result.commitments))

    def keep_one(self, name: str, index: int, sent: SignedBody) -> None:
        made = Made(
            signer=name,
            index=index,
            life=self.lives[name],
            wall_ms=self.clock.wall,
            monotonic_ms=self.clock.monotonic,
            sent=sent,
            message=codec.decode(Commitments, sent.body, max_size=MAX_BODY_BYTES),
        )
        self.made.append(made)

    def choose(
        self, name: str, index: int, kind: str, pick: int, beside: SignedBody | None = None
    ) -> SignedBody | None:
        """Commitments of a signer of the wanted kind, or new ones when there are none, if it gives any."""

        def is_open(item: Made) -> bool:
            is_unused = item.message.session not in self.spent[name]
            return is_unused and item.index == index and item.life == self.lives[name]

        wanted: dict[str, Callable[[Made], bool]] = {
            "used": lambda item: item.message.session in self.spent[name],
            "another plan": lambda item: item.index != index,
            "an earlier life": lambda item: item.life != self.lives[name],
        }
        found = [item for item in self.made if item.signer == name and wanted.get(kind, is_open)(item)]
        if not found:
            self.commit(name, index)
            own = [item for item in self.made if item.signer == name]
            found = [item for item in own if is_open(item)] or own
        if not found:
            return None
        item = found[pick % len(found)]
        if kind == "altered":
            foreign = self.made[pick % len(self.made)].message.nonces
            return replace(item.sent, body=codec.encode(replace(item.message, nonces=foreign)))
        if kind == "the other's points" and beside is not None:
            points = codec.decode(Commitments, beside.body, max_size=MAX_BODY_BYTES).nonces
            return sign_body("commitments", replace(item.message, nonces=points), builder.signing_key(f"{name} vote"))
        return item.sent

    def signing_set(
        self, name: str, partner: str, index: int, pick: int, own: str, theirs: str, shape: str
    ) -> pb.SigningSet:
        """A set for one plan, of commitments of these kinds."""
        partner = partner if partner != name else NAMES[NAMES.index(name) - 1]
        mine = self.choose(name, index, own, pick)
        other = self.choose(partner, index, theirs, pick, mine)
        both = [item for holder, item in sorted({name: mine, partner: other}.items()) if item is not None]
        shapes = {"reversed": both[::-1], "alone": both[:1], "three": both + both[-1:], "own twice": [mine, mine]}
        bodies = [signed_to_pb(item) for item in shapes.get(shape, both) if item is not None]
        return pb.SigningSet(entry_index=index, commitments=bodies)

    # --- round 2 ------------------------------------------------------------------------------------------------------

    def release(self, name: str, request: pb.Release) -> list[tuple[SigningSet, VerifiedShares]]:
        """Ask for shares, judge each that comes, and give them back with their sets."""
        answer, given = self.ask(name, request), []
        for result in () if answer is None else answer.results:
            if result.WhichOneof("outcome") == "refusal":
                self.seen[refusal_of(result).reason] += 1
            else:
                given.append(self.judge(name, request, result.entry_index, signed(result.shares)))
            if result.HasField("next_commitments"):
                self.keep_one(name, result.entry_index, signed(result.next_commitments))
        return given

    def release_and_die(self, name: str, request: pb.Release, moment: str) -> None:
        """Ask for shares of a signer whose machine loses power at this moment, if it gets so far."""
        snapshot = self.root / f"{name}-{next(self.numbers)}"
        path = self.cluster.signers[name].money_path

        def die() -> NoReturn:
            shutil.copytree(self.cluster.folders[name], snapshot)
            raise Killed

        def mark(ready: list[Any]) -> None:
            if ready:
                die()

        def sign(item: Any) -> NoReturn:
            if moment == "between mark and share":
                self.spent[name].add(item.nonces.session)
                die()
            released = MoneyPath._sign(path, item)
            if released.shares is not None:
                self.judge(name, request, released.entry_index, released.shares)
            die()

        doomed: Any = path
        if moment == "before the mark":
            doomed._mark = mark
        else:
            doomed._sign = sign
        try:
            self.release(name, request)
        except Killed:
            self.seen[f"killed {moment}"] += 1
            self.reopen(name, snapshot)
        else:
            doomed.__dict__.pop("_mark", None)
            doomed.__dict__.pop("_sign", None)

    def kill(self, name: str) -> None:
        """The machine loses power while nothing is asked of it."""
        snapshot = self.root / f"{name}-{next(self.numbers)}"
        shutil.copytree(self.cluster.folders[name], snapshot)
        self.reopen(name, snapshot)

    def reopen(self, name: str, snapshot: Path) -> None:
        """The next process finds what lay on the disk, and nothing else."""
        self.cluster.signers[name].close()
        self.cluster.folders[name] = snapshot
        self.cluster.signers[name] = open_folder(snapshot, self.clock)
        self.lives[name] += 1

    # --- what must hold of every share --------------------------------------------------------------------------------

    def judge(
        self, name: str, request: pb.Release, index: int, shares: SignedBody
    ) -> tuple[SigningSet, VerifiedShares]:
        """Hold a share against everything that was asked and shown before.

        Raises:
            Broken: it must not have been given.
        """
        self.seen["shares"] += 1
        (asked,) = [item for item in request.sets if item.entry_index == index]
        opened, checked = self.verified(name, index, [signed(item) for item in asked.commitments], shares)
        (own,) = [item.message for item in opened.commitments if item.signer == name]
        if own.session in self.spent[name] or self.points[name] & set(own.nonces):
            raise Broken(f"{name} gave two shares for one nonce")
        self.spent[name].add(own.session)
        self.points[name] |= set(own.nonces)
        made = next((item for item in self.made if item.message == own), None)
        if made is None or made.life != self.lives[name]:
            raise Broken(f"{name} signed with nonces of an earlier process, link or term, or with unknown ones")
        wall, monotonic = self.clock.wall - made.wall_ms, self.clock.monotonic - made.monotonic_ms
        if not (0 <= wall <= NONCE_AGE_MS and 0 <= monotonic <= NONCE_AGE_MS):
            raise Broken(f"{name} signed with nonces {wall} and {monotonic} ms old")
        if index >= self.covered[name]:
            raise Broken(f"{name} signed entry {index}, certificates of its term cover {self.covered[name]}")
        if self.frozen[name]:
            raise Broken(f"{name} signed although its operator had frozen the vault")
        return opened, checked

    def verified(
        self, name: str, index: int, commitments: list[SignedBody], shares: SignedBody
    ) -> tuple[SigningSet, VerifiedShares]:
        """Open the list that was asked for, for the plan as the log has it, and check the share under it alone."""
        task, keys = self.task(name, index), self.cluster.vote_keys
        try:
            opened = open_set(task, [verify_commitments(one, task=task, vote_keys=keys) for one in commitments])
            checked = verify_shares(opened, shares, vote_keys=keys)
        except StrongroomError as error:
            raise Broken(f"{name} gave a share for another list or plan: {error.message}") from error
        if not shares_are_valid(opened, checked):
            raise Broken(f"{name} gave a share that does not verify")
        return opened, checked

    def task(self, name: str, index: int) -> SigningTask:
        """What a share of this signer for this entry signs."""
        batch = next(item.batch for item in self.log.previews if item.batch.first_index <= index < item.size)
        plan, vault = codec.decode(Entry, batch.entries[index - batch.first_index]).body, self.log.state.vault(VAULT)
        assert isinstance(plan, Plan)
        assert vault is not None
        return task_of(
            resolve(self.log.state, plan).spend,
            log_id=self.log.log_id,
            term=self.terms[name],
            entry_index=index,
            plan_hash=plan_hash(codec.encode(plan)),
            vault_epoch=vault.epoch,
            group=group_of(vault),
        )

    def look(self) -> None:
        """Look at all signers between two requests.

        Raises:
            Broken: one holds what it must not hold.
        """
        open_sets: Counter[tuple[str, bytes]] = Counter()
        for item in self.made:
            if self.cluster.signers[item.signer].nonces.find(item.message.session) is None:
                continue
            open_sets[item.signer, item.message.plan_hash] += 1
            if item.life != self.lives[item.signer]:
                raise Broken(f"nonces of {item.signer} outlived their process, link or term")
        if max(open_sets.values(), default=0) > MOST_OPEN_SETS:
            raise Broken("more nonce sets are open for a plan than retries need")
        for name, signer in self.cluster.signers.items():
            marked = {session for (session,) in signer.store._db.execute("SELECT session FROM nonce_mark")}
            if self.spent[name] - marked:
                raise Broken(f"{name} signed, or was about to, with nonces that are not marked as used")
            if signer.voting.state.term != self.terms[name]:
                raise Broken(f"{name} is not in term {self.terms[name]}, its newest")
