"""Fetching what this coordinator lacks from the signers, and giving signers what they lack.

Bytes that come from a signer are believed once they replay to a head that w signers voted for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.replica import MAX_UNCERTIFIED_BYTES, Batch, bytes_kept
from strongroom.model.errors import StrongroomError
from strongroom.protocol.certificates import BadCertificate, verify_certificate
from strongroom_coordinator.errors import SignerFailed, SignerMisbehaved, StorageFailed
from strongroom_coordinator.ledger_copy import FinalContradicted, LedgerCopy
from strongroom_coordinator.link import LinkServer, SignerLink
from strongroom_coordinator.link_frames import certificate_of
from strongroom_coordinator.recovery import MAX_ASKED
from strongroom_coordinator.voters import Voters

__all__ = ["CatchUp", "serve_batches", "serve_recovery"]

log = structlog.get_logger()

FETCH_TIMEOUT_S: Final = 20.0
CHUNK_BYTES: Final = 1024 * 1024
MAX_INDEX: Final = 2**63 - 1
"""Databases count no further."""


class CatchUp:
    """Brings the own copy of the log to a certified head."""

    def __init__(self, ledger: LedgerCopy, links: LinkServer, voters: Voters) -> None:
        self._ledger = ledger
        self._links = links
        self._voters = voters

    async def reach(self, base: Certificate, holders: Collection[str], others: Iterable[str]) -> bool:
        """End the own log exactly at a certificate's head, with the help of signers that hold it.

        Args:
            base: The certificate, by votes of an electorate that is possible there; whether it is the one that decides
                is judged once the entries are here.
            holders: Signers that stated it, and so store every entry below it.
            others: Signers that may have the entries all the same; they are asked last.

        Returns:
            False when no holder gave bytes that replay to it, or others than those who decide there signed it; the own
            log then ends at its newest certificate.

        Raises:
            FinalContradicted: the head contradicts what was final here.
        """
        ledger, size = self._ledger, base.head.size
        ledger.abandon()
        if ledger.holds(base.head):
            try:
                self._voters.verify(base)
            except BadCertificate as error:
                log.warning("catch_up.not_certified", size=size, holders=sorted(holders), message=error.message)
                return False
            await ledger.cut(size, base)
            ledger.certify(base)
            return await self._complete((*holders, *others))
        if size <= ledger.final_size:
            raise FinalContradicted(f"w signers hold another log of {size} entries than the final one here: stop")
        for holder in (*holders, *others):
            owes = holder in holders
            if await self._try(base, holder, ledger.certified_size, owes):
                return True
            # The newest entries here may be of a branch that no term took up; what is final never is. A try that
            # failed may have brought genuine entries, so that more is final now than before it.
            await ledger.stored()
            if ledger.final_size < ledger.certified_size and await self._try(base, holder, ledger.final_size, owes):
                return True
        return False

    async def found(self) -> bool:
        """Bring the own log to the entry that it is founded on, with the help of whoever is linked.

        Entries below a restart are believed when that entry applies to them: it names their root and their state.

        Raises:
            StorageFailed: the own database refused.
        """
        founding = self._voters.founding
        for link in tuple(self._links.links.values()):
            for keep in sorted({self._ledger.certified_size, self._ledger.final_size}, reverse=True):
                if keep < self._ledger.certified_size:
                    await self._ledger.cut(keep, None)
                try:
                    await self._fetch(link, founding.size - 1, owes=True)
                    is_founded = await self._ledger.found()
                    if is_founded:
                        await self._fetch_recovery(link)
                        log.info("founding.reached", signer=link.signer, size=founding.size)
                        return True
                except StorageFailed:
                    # Whoever was to act on the log that came may not have: nobody leads on from here.
                    raise
                except StrongroomError as error:
                    log.warning("founding.failed", signer=link.signer, reason=error.reason, message=error.message)
                if self._ledger.is_founded:
                    return True
                self._ledger.abandon()
        return False

    async def follow(self, link: SignerLink) -> None:
        """Take the log of a signer as far as certificates reach, when it knows witnesses that the own log does not.

        Each certificate is by those whom the entries below it name, so the own log learns of one handover after the
        other; a signer that makes a log up gets no further than the votes it has.
        """
        self._ledger.abandon()
        # How much is final shows once it is stored.
        await self._ledger.stored()
        for keep in sorted({self._ledger.certified_size, self._ledger.final_size}, reverse=True):
            if keep < self._ledger.certified_size:
                await self._ledger.cut(keep, await self._ledger.certificate_at(keep))
            before = self._ledger.certified_size
            try:
                await self._fetch(link, link.hello.size, owes=True)
            except FinalContradicted:
                raise
            except StrongroomError as error:
                log.warning("catch_up.not_followed", signer=link.signer, reason=error.reason, message=error.message)
            self._ledger.abandon()
            if self._ledger.certified_size > before:
                log.info("catch_up.followed", signer=link.signer, size=self._ledger.certified_size)
                return

    async def _complete(self, holders: Iterable[str]) -> bool:
        """Get the recovery data that the newest state lacks; returns whether somebody gave all of it."""
        for link in (self._links.links.get(holder) for holder in holders if self._lacking()):
            if link is None:
                continue
            try:
                await self._fetch_recovery(link)
            except StrongroomError as error:
                log.warning("catch_up.failed", signer=link.signer, reason=error.reason, message=error.message)
        return not self._lacking()

    def _lacking(self) -> tuple[bytes, ...]:
        return self._ledger.recovery.lacking(self._ledger.replica.state())

    async def _fetch_recovery(self, link: SignerLink) -> None:
        while missing := self._lacking()[:MAX_ASKED]:
            reply = await link.request(pb.FetchRecovery(hashes=missing), timeout_s=FETCH_TIMEOUT_S)
            found = self._ledger.recovery.take(missing, reply.recovery_data.recovery_data)
            if not found:
                raise SignerMisbehaved(f"{link.signer} lacks recovery data of its own head", signer=link.signer)
            self._ledger.keep_recovery(found)

    async def _try(self, base: Certificate, holder: str, keep: int, owes: bool) -> bool:
        link = self._links.links.get(holder)
        if link is None or keep >= base.head.size:
            return False
        if keep < self._ledger.certified_size:
            await self._ledger.cut(keep, await self._ledger.certificate_at(keep))
        try:
            await self._fetch(link, base.head.size, owes)
            if self._ledger.holds(base.head):
                self._voters.verify(base)
                await self._fetch_recovery(link)
        except FinalContradicted:
            raise
        except StrongroomError as error:
            log.warning("catch_up.failed", signer=holder, reason=error.reason, message=error.message)
            self._ledger.abandon()
            return False
        if not self._ledger.holds(base.head):
            log.warning("catch_up.other_log", signer=holder, size=base.head.size)
            self._ledger.abandon()
            return False
        self._ledger.certify(base)
        log.info("catch_up.done", signer=holder, size=base.head.size)
        return True

    async def _fetch(self, link: SignerLink, end: int, owes: bool) -> None:
        uncertified = 0
        while (size := self._ledger.replica.size) < end:
            reply = await link.request(pb.FetchBatches(first_index=size, end_index=end), timeout_s=FETCH_TIMEOUT_S)
            for batch in reply.batches.batches:
                uncertified = 0 if self._take(link, batch, end) else uncertified + bytes_kept(batch.entries)
                if uncertified > MAX_UNCERTIFIED_BYTES:
                    raise SignerMisbehaved(f"{link.signer} sends entries without any certificate", signer=link.signer)
            if self._ledger.replica.size == size and owes:
                raise SignerMisbehaved(f"{link.signer} sent no batch from {size} on", signer=link.signer)
            if self._ledger.replica.size == size:
                code = "ENTRIES_MISSING"
                raise SignerFailed(f"{link.signer} does not have the entries from {size} on", code=code)

    def _take(self, link: SignerLink, received: types_pb2.LogBatch, end: int) -> bool:
        """Take one batch; returns whether a certificate came with it."""
        batch = Batch(first_index=received.first_index, entries=tuple(received.entries))
        if batch.size > end:
            raise SignerMisbehaved(f"{link.signer} sent a batch beyond {end}", signer=link.signer)
        self._ledger.append(self._ledger.replica.preview(batch))
        certificate = certificate_of(received.certificate)
        if certificate is None:
            return False
        if not self._ledger.holds(certificate.head) or certificate.head.size != batch.size:
            raise SignerMisbehaved(f"{link.signer} sent a certificate of another head", signer=link.signer)
        if self._ledger.is_founded:
            self._voters.verify(certificate)
        else:
            # Of the log before a restart: whose votes counted there, its own entries say.
            state = self._ledger.replica.state()
            verify_certificate(certificate, log_id=state.log_id, electorate=Electorate.of(state.witnesses))
        self._ledger.certify(certificate)
        return True


def serve_recovery(ledger: LedgerCopy, request: pb.FetchRecovery) -> pb.RecoveryData:
    """Answer a signer that lacks recovery data, at most about 1 MiB at once."""
    return pb.RecoveryData(recovery_data=ledger.recovery.answer(request.hashes))


async def serve_batches(ledger: LedgerCopy, request: pb.FetchBatches) -> pb.Batches | pb.Failed:
    """Answer a signer that lacks certified entries, at most 1 MiB at once."""
    if request.end_index <= request.first_index:
        return pb.Failed(reason="FETCH_RANGE", message="end_index must be above first_index")
    if request.end_index > MAX_INDEX:
        return pb.Failed(reason="FETCH_RANGE", message=f"end_index must be at most {MAX_INDEX}")
    found = await ledger.batches(request.first_index, request.end_index, max_bytes=CHUNK_BYTES)
    if not found or found[0].first_index != request.first_index:
        return pb.Failed(reason="FETCH_RANGE", message=f"no certified batch begins at {request.first_index}")
    return pb.Batches(
        batches=[
            types_pb2.LogBatch(first_index=item.first_index, entries=item.entries, certificate=item.certificate or b"")
            for item in found
        ]
    )
