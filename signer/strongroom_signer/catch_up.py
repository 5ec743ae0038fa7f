"""Fetching what the own log lacks below a certified head.

Bytes from the coordinator prove nothing until a certificate covers them, and what was asked for may no longer be wanted
when it comes: requests are answered while entries are fetched. Entries that simply follow the own log are
stored as certificates for them come by, and folded as soon as one shows them to be final. Where the own log may have
gone another way beyond what is final, a copy in memory is built, and it replaces the stored one only when its root is
the certified one.

Spec: design, "Terms"; the three ways to begin are `protocol.voter_state.Keep`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.reasons import Refused
from strongroom.ledger.recovery import recovery_hash
from strongroom.ledger.replica import MAX_UNCERTIFIED_BYTES, Batch, Preview, Replica, bytes_kept
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol import voter
from strongroom.protocol.certificates import BadCertificate, verify_certificate
from strongroom.protocol.voter_state import Keep, VoterState
from strongroom_signer.frames import MAX_CERTIFICATE_BYTES, BadFrame
from strongroom_signer.log_copy import CannotJudge, LogCopy, judged, rebuild
from strongroom_signer.recovery import RecoveryMissing
from strongroom_signer.requests import LogBatch
from strongroom_signer.store import Writer
from strongroom_signer.voting import Voting

__all__ = ["BranchTooLong", "CannotCatchUp", "CatchUp", "Source"]

MAX_ASKED: Final = 100
"""Recovery data asked for at once."""


class Source(Protocol):
    """The coordinator, asked for what is missing here; it may answer with a part."""

    async def batches(self, first: int, end: int) -> tuple[LogBatch, ...]:
        """Return the batches of entries `first` to `end - 1`, or the first ones of them."""

    async def recovery(self, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return recovery data by its SHA-256, or some of it."""


class CannotCatchUp(StrongroomError):
    """The coordinator did not give the entries below a certified head."""

    reason = "CATCH_UP_FAILED"
    kind = Kind.ABORTED


class BranchTooLong(StrongroomError):
    """The certified log went another way than the own one, and more of it than fits cannot take its place."""

    reason = "CATCH_UP_TOO_LONG"
    kind = Kind.RESOURCE_EXHAUSTED


class _Branch:
    """Another way that the log went, in memory."""

    def __init__(self, replica: Replica, keep: int) -> None:
        self.replica = replica
        self.keep = keep
        self.batches: list[LogBatch] = []
        self.previews: list[Preview] = []
        self.certificates: list[Certificate] = []
        """On the way, by those whom the entries name."""
        self.kept_bytes = 0
        self.uncertified_bytes = 0

    def add(self, batch: LogBatch, preview: Preview) -> None:
        self.replica.push(preview)
        self.batches.append(batch)
        self.previews.append(preview)

    def truncate(self, size: int) -> None:
        self.replica.truncate(size)
        self.batches = [one for one in self.batches if one.size <= size]
        self.previews = [one for one in self.previews if one.size <= size]
        self.certificates = [one for one in self.certificates if one.head.size <= size]


class CatchUp:
    """Brings the own log up to a certified head."""

    def __init__(self, copy: LogCopy, voting: Voting, source: Source) -> None:
        self._copy = copy
        self._voting = voting
        self._source = source

    async def run(self, certificate: Certificate) -> None:
        """Fetch and store every entry below the head of a certificate that was verified.

        Raises:
            BranchTooLong: the log went another way, and what it went does not fit in memory.
            CannotCatchUp: no way of beginning led to the certified root, or the signer has gone on from where it asked.
        """
        begun, target = self._voting.state, certificate.head
        if not _is_wanted(begun, target):
            raise CannotCatchUp(f"the head at {target.size} of term {target.term} is no longer what this signer lacks")
        for keep in Keep:
            missing = voter.missing(self._voting.state, target, self._copy.view(), keep=keep)
            if missing is None:
                self._voting.add_recovery(await self._lacking(self._copy.newest()))
                return
            try:
                if missing.keep == self._copy.size:
                    await self._extend(certificate, begun)
                else:
                    await self._replace(certificate, missing.keep, begun)
            except (CannotCatchUp, BranchTooLong, CannotJudge, RecoveryMissing, Refused, BadFrame):
                if keep is Keep.FINAL or self._voting.state is not begun:
                    raise

    # --- the own log is a beginning of the certified one --------------------------------------------------------------

    async def _extend(self, wanted: Certificate, begun: VoterState) -> None:
        """Store what follows, up to each certificate that comes with it, and up to the wanted one."""
        waiting: list[LogBatch] = []
        uncertified = 0
        target = wanted.head.size
        size = self._copy.size
        while size < target:
            for batch in await self._next(size, target, begun):
                waiting.append(batch)
                uncertified += bytes_kept(batch.entries)
                size = batch.size
                certificate = _certificate_of(batch)
                if certificate is not None or size == target:
                    self._store(waiting, certificate, wanted)
                    begun = self._voting.state
                    waiting, uncertified = [], 0
                elif uncertified > MAX_UNCERTIFIED_BYTES:
                    raise CannotCatchUp("the coordinator sends entries without any certificate for them")

    def _store(self, waiting: list[LogBatch], certificate: Certificate | None, wanted: Certificate) -> None:
        """Replay batches on a copy of the newest state; store them when their last head is certified.

        By the certificate that came with them, or else by the wanted one: by those whom the replayed entries name.
        """
        replica = self._copy.replica
        before = replica.size
        previews: list[Preview] = []
        proof = wanted if certificate is None else certificate
        head = proof.head
        try:
            for batch in waiting:
                preview = judged(replica, Batch(first_index=batch.first_index, entries=batch.entries))
                replica.push(preview)
                previews.append(preview)
            if (replica.size, previews[-1].root) != (head.size, head.root):
                raise CannotCatchUp(f"the entries up to {replica.size} do not give the certified root")
            # Those who may decide elsewhere cover nothing here.
            electorate = Electorate.of(replica.state().witnesses)
            verify_certificate(proof, log_id=self._copy.log_id, electorate=electorate)
        finally:
            replica.truncate(before)

        def write_all(write: Writer) -> None:
            _write_all(write, waiting, previews)
            if certificate is not None:
                write.put_certificate(head.size, head.term, codec.encode(certificate))

        self._voting.extend_copy(previews, write_all)
        if certificate is not None and previews[-1].state_digest == certificate.head.state_digest:
            self._voting.settle(certificate)

    # --- the own log went another way --------------------------------------------------------------------------------

    async def _replace(self, wanted: Certificate, keep: int, begun: VoterState) -> None:
        """Build another copy from `keep` entries on; put it in place when its root is the certified one.

        A branch of more than fits in memory takes its place before, at a certificate on its way under which the voter
        may drop what is stored (`voter.on_branch`); from there on it is the own log that goes on.
        """
        target = wanted.head
        branch = _Branch(rebuild(self._copy.store, self._copy.store, self._copy.log_id, keep), keep)
        while branch.replica.size < target.size:
            for batch in await self._next(branch.replica.size, target.size, begun):
                self._add(branch, batch)
                if branch.kept_bytes > MAX_UNCERTIFIED_BYTES and batch.size < target.size:
                    await self._cut(branch, target, begun)
                    await self._extend(wanted, self._voting.state)
                    self._voting.add_recovery(await self._lacking(self._copy.newest()))
                    return
        if branch.replica.root_at(target.size) != target.root:
            raise CannotCatchUp(f"the entries up to {target.size} do not give the certified root")
        recovery = await self._recovery_of(branch, begun)
        self._voting.replace_copy(branch.replica, self._writing(branch, recovery), keep, wanted)

    def _add(self, branch: _Branch, batch: LogBatch) -> None:
        """Replay one more batch on a branch."""
        preview = judged(branch.replica, Batch(first_index=batch.first_index, entries=batch.entries))
        branch.add(batch, preview)
        if self._copy.replica.root_at(preview.size) != preview.root:
            # What is stored here as well is as long as this signer let its own log become.
            branch.kept_bytes += bytes_kept(batch.entries)
            branch.uncertified_bytes += bytes_kept(batch.entries)
        certificate = _certificate_of(batch)
        if certificate is not None and self._is_certified(certificate, preview, branch.replica):
            branch.certificates.append(certificate)
            branch.uncertified_bytes = 0
        if branch.uncertified_bytes > MAX_UNCERTIFIED_BYTES:
            raise CannotCatchUp("the coordinator sends entries without any certificate for them")

    async def _cut(self, branch: _Branch, target: Head, begun: VoterState) -> None:
        """Store a branch up to the last certificate on it that allows that."""
        allowing = (
            one
            for one in reversed(branch.certificates)
            if self._voting.may_cut(branch.replica, branch.keep, one, target)
        )
        place = next(allowing, None)
        if place is None:
            raise BranchTooLong(
                f"the certified log went another way than this signer's from {branch.keep} on, and none of its "
                "certificates lets this signer give up what it holds: let a machine that is set up from this signer's "
                "words and an exported log (`strongroom-signer recover`) take its seat"
            )
        branch.truncate(place.head.size)
        recovery = await self._recovery_of(branch, begun)
        self._voting.cut_copy(branch.replica, self._writing(branch, recovery), branch.keep, place, target)

    async def _recovery_of(self, branch: _Branch, begun: VoterState) -> dict[bytes, bytes]:
        """The recovery data that a branch needs, while it still has its place here."""
        recovery = await self._lacking(branch.replica.state())
        if branch.replica.folded_size != self._copy.final_size or self._voting.state is not begun:
            raise CannotCatchUp("this signer went on from the place from which entries were fetched")
        return recovery

    def _writing(self, branch: _Branch, recovery: dict[bytes, bytes]) -> Callable[[Writer], None]:
        def write_all(write: Writer) -> None:
            _write_all(write, branch.batches, branch.previews)
            for one in branch.certificates:
                write.put_certificate(one.head.size, one.head.term, codec.encode(one))
            self._copy.recovery.add(write, recovery)

        return write_all

    def _is_certified(self, certificate: Certificate, preview: Preview, replica: Replica) -> bool:
        """Whether a certificate is for the entries up to a batch, by those whom they name.

        Then they are no stranger's any more, however many they are: a log that went on for long is all certified.
        """
        if certificate.head.root != preview.root:
            return False
        electorate = Electorate.of(replica.state().witnesses)
        try:
            verify_certificate(certificate, log_id=self._copy.log_id, electorate=electorate)
        except BadCertificate:
            return False
        return True

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _next(self, first: int, end: int, begun: VoterState) -> tuple[LogBatch, ...]:
        """The next batches. While they were awaited nothing may have been promised, adopted, voted for or taken.

        Otherwise a branch of an earlier term could take the place of what is certified in this one.
        """
        batches = await self._source.batches(first, end)
        if self._voting.state is not begun:
            raise CannotCatchUp("this signer went on while entries were fetched: it asks again for what it lacks now")
        if not batches or batches[0].first_index != first or batches[-1].size > end:
            raise CannotCatchUp(f"the coordinator did not send the entries from {first} on, up to {end}")
        return batches

    async def _lacking(self, state: State) -> dict[bytes, bytes]:
        """The recovery data that a state needs and is not stored here, by its SHA-256."""
        found: dict[bytes, bytes] = {}
        missing = self._copy.recovery.lacking(state)
        while missing:
            given = await self._source.recovery(missing[:MAX_ASKED])
            wanted = frozenset(missing) & {recovery_hash(data) for data in given}
            if not wanted:
                raise CannotCatchUp(f"the coordinator gave none of {len(missing)} pieces of recovery data")
            found |= self._copy.recovery.checked(wanted, given)
            missing = tuple(one for one in missing if one not in wanted)
        return found


def _certificate_of(batch: LogBatch) -> Certificate | None:
    """The batch's own certificate, not verified yet: whose votes it needs is known once the batch is replayed."""
    if not batch.certificate:
        return None
    certificate = codec.decode(Certificate, batch.certificate, max_size=MAX_CERTIFICATE_BYTES)
    if certificate.head.size != batch.size:
        raise CannotCatchUp(f"the batch up to {batch.size} came with a certificate for {certificate.head.size}")
    return certificate


def _is_wanted(state: VoterState, target: Head) -> bool:
    """Whether a head is still ahead of this signer: one of its term beyond what it holds, or a base not adopted yet."""
    held, opened = state.held_in_term, state.opened
    if held is None and not state.adopted and opened is not None and opened.base is not None:
        if target == opened.base.head:
            return True
    return target.term == state.term and (held is None or target.size > held.size)


def _write_all(write: Writer, batches: list[LogBatch], previews: list[Preview]) -> None:
    for batch, preview in zip(batches, previews, strict=True):
        write.add_batch(batch.first_index, batch.entries, preview.root, preview.state_digest)
