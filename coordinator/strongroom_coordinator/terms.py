"""Opening terms: how this coordinator comes to lead, on a base that a quorum of signers stands on.

A term opens when the coordinator starts, when a batch grew stale, or when w votes did not come in time. Everything the
base covers is fetched from the signers first where it is missing here, so an empty database rebuilds itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.model.errors import StrongroomError
from strongroom.protocol.certificates import BadCertificate, held_of
from strongroom.protocol.leader import NewTermCollection, TermOpening, next_term
from strongroom_coordinator.catch_up import CatchUp
from strongroom_coordinator.errors import SignerFailed
from strongroom_coordinator.handovers import Handovers
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import LinkServer, SignerLink
from strongroom_coordinator.link_frames import certificate_of, signed_of, signed_pb
from strongroom_coordinator.voters import Voters

__all__ = ["STALE_TERM", "Terms"]

log = structlog.get_logger()

PROMISE_TIMEOUT_S: Final = 5.0
ADOPT_TIMEOUT_S: Final = 60.0
OFFER_AGAIN_S: Final = 1.0
OFFER_AGAIN_MOST_S: Final = 60.0
"""A signer that could not adopt a base, because it catches up for long or had an alarm, is asked again so late."""
STALE_TERM: Final = frozenset({"TERM_STALE", "TERM_ALREADY_PROMISED", "TERM_HAS_ANOTHER_BASE"})
_MAX_CLAIM: Final = 2**20
"""A signer's word about its term moves ours at most this far at once: a liar must not use the numbers up."""
_MAX_STEP: Final = 2**24


class Terms:
    """Opens terms, and brings signers that connect later into the current one.

    Attributes:
        opening: What opened the current term; None before the first, and while another is being opened.
        ready: The links whose signers have adopted its base.
    """

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        links: LinkServer,
        voters: Voters,
        handovers: Handovers,
        leader: bytes,
        random: Callable[[int], bytes],
    ) -> None:
        self._ledger = ledger
        self._links = links
        self._voters = voters
        self._handovers = handovers
        self._leader = leader
        self._random = random
        self._catch_up = CatchUp(ledger, links, voters)
        self._highest = 0
        self._step = 1
        self._offers: dict[asyncio.Task[None], TermOpening | None] = {}
        self._offer_ended = asyncio.Event()
        self._again: set[asyncio.Task[None]] = set()
        self._on_ready: list[Callable[[SignerLink], None]] = []
        self.opening: TermOpening | None = None
        self.ready: dict[str, SignerLink] = {}
        links.on_change(self._link_changed)

    @property
    def term(self) -> int:
        """The current term; 0 while there is none."""
        return 0 if self.opening is None else self.opening.term

    def on_ready(self, callback: Callable[[SignerLink], None]) -> None:
        """Call back for every link whose signer has adopted the base of the current term."""
        self._on_ready.append(callback)

    def overtaken(self) -> None:
        """Note that signers are in a higher term than ours: another coordinator leads, or led."""
        self._step = min(self._step * 2, _MAX_STEP)

    async def open(self) -> TermOpening:
        """Open a new term, trying until it succeeds.

        Raises:
            FinalContradicted: the signers' logs contradict what was final here; nobody should lead on.
        """
        self.opening = None
        self.ready = {}
        attempt = 0
        while True:
            await self._links.until(self._suffice)
            opening = await self._try(self._next_number()) if await self._is_founded() else None
            if opening is not None:
                self._step = 1
                return opening
            attempt += 1
            await asyncio.sleep(self._pause(attempt))

    async def _is_founded(self) -> bool:
        """Whether the own log reaches what it is founded on; signers give what an empty database lacks of it."""
        return self._ledger.is_founded or await self._catch_up.found()

    def _next_number(self) -> int:
        certificate = self._ledger.certificate
        seen = max(self._highest, 0 if certificate is None else certificate.head.term)
        claims = [min(link.hello.term, seen + _MAX_CLAIM) for link in self._links.links.values()]
        self._highest = next_term([seen, *claims]) + self._step - 1
        return self._highest

    def _pause(self, attempt: int) -> float:
        """Random, so that two coordinators that both try do not keep overtaking each other; at most 4 s."""
        share = int.from_bytes(self._random(2), "big") / 65_536
        return share * min(0.05 * 2.0 ** min(attempt, 7), 4.0)

    # --- promises --------------------------------------------------------------------------------------------------

    async def _try(self, term: int) -> TermOpening | None:
        """Collect statements for one term and open it with the first quorum whose base can be reached."""
        await self._learn()
        collection = NewTermCollection(
            log_id=self._voters.log_id, term=term, leader=self._leader, electorates=self._voters.electorates
        )
        asked = {}
        for link in tuple(self._links.links.values()):
            self._show_certificate(link)
            asked[link.post(pb.Promise(term=term, leader=self._leader))] = link
        unreachable: set[str] = set()
        deadline = asyncio.get_running_loop().time() + PROMISE_TIMEOUT_S
        while asked:
            left = deadline - asyncio.get_running_loop().time()
            done, _ = await asyncio.wait(asked, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                collection = self._add(collection, asked.pop(future), future)
            opening = await self._opening(collection, unreachable, is_last=not done or not asked)
            if opening is not None:
                return await self._adopted(opening)
            if not done:
                break
        log.info(
            "term.not_opened", term=term, statements=sorted(collection.statements), unreachable=sorted(unreachable)
        )
        return None

    def _suffice(self, signers: Collection[str]) -> bool:
        """Whether these signers can open a term, or one of them knows of witnesses that the own log does not."""
        return self._voters.now.could_be_quorum(signers) or bool(self._ahead())

    def _ahead(self) -> list[SignerLink]:
        """Signers that hold a certificate by witnesses of whom the own log does not know."""
        found = []
        for link in self._links.links.values():
            certificate = link.hello.certificate
            try:
                if certificate is not None:
                    self._voters.judge(certificate)
            except BadCertificate:
                found.append(link)
        return found

    async def _learn(self) -> None:
        """Follow signers through handovers that the own log does not hold."""
        for link in self._ahead():
            await self._catch_up.follow(link)

    async def _opening(
        self, collection: NewTermCollection, unreachable: set[str], *, is_last: bool
    ) -> TermOpening | None:
        """The opening on the highest base for which there are statements enough, if its bytes can be had.

        Whose statements a base needs is certain once the own log holds it. Where they are too few, more may come; when
        none do, those that name the base are left out, as they are when nobody gives its bytes.
        """
        while (base := collection.base(unreachable)) is not None:
            certificate = collection.certificate_of(base)
            if await self._reach(certificate, collection):
                opening = collection.opening(self._voters.electorates.own(base.size), unreachable)
                if opening is not None or not is_last:
                    return opening
            unreachable |= {name for name, item in collection.statements.items() if item.held == base}
        return None

    def _show_certificate(self, link: SignerLink) -> None:
        """Give a signer the newest certificate known here before it states its own, so that less can vanish."""
        certificate = self._ledger.certificate
        if certificate is not None and link.held < held_of(certificate).rank:
            link.post(pb.Certify(certificate=codec.encode(certificate)))

    def _add(
        self, collection: NewTermCollection, link: SignerLink, future: asyncio.Future[pb.LinkRequest]
    ) -> NewTermCollection:
        try:
            promised = future.result().promised
            return collection.add(signed_of(promised.statement), certificate_of(promised.certificate))
        except StrongroomError as error:
            if isinstance(error, SignerFailed) and error.code in STALE_TERM:
                self.overtaken()
            log.warning("term.statement_missing", signer=link.signer, reason=error.reason, message=error.message)
            return collection

    async def _reach(self, base: Certificate | None, collection: NewTermCollection) -> bool:
        """Bring the own log to exactly the base; False when nobody gives the bytes."""
        if base is None:
            await self._ledger.cut(self._voters.founding.size, None)
            return True
        named = held_of(base)
        holders = [name for name, item in collection.statements.items() if item.held == named]
        others = [name for name in collection.statements if name not in holders]
        return await self._catch_up.reach(base, holders, others)

    # --- adoption --------------------------------------------------------------------------------------------------

    async def _adopted(self, opening: TermOpening) -> TermOpening | None:
        """Send the opening to every signer and wait until a quorum has adopted its base."""
        self.opening = opening
        for link in tuple(self._links.links.values()):
            self._offer(link)
        try:
            async with asyncio.timeout(ADOPT_TIMEOUT_S):
                while not self._is_adopted(opening) and opening in self._offers.values():
                    self._offer_ended.clear()
                    await self._offer_ended.wait()
        except TimeoutError:
            pass  # too few have adopted the base: said below
        if not self._is_adopted(opening):
            log.warning("term.not_adopted", term=opening.term, ready=sorted(self.ready))
            self.opening = None
            self.ready = {}
            return None
        base = held_of(opening.base)
        log.info("term.opened", term=opening.term, base_term=base.term, base_size=base.size, ready=sorted(self.ready))
        return opening

    def _is_adopted(self, opening: TermOpening) -> bool:
        return opening.electorate.could_be_quorum(self.ready)

    def _offer(self, link: SignerLink, pause_s: float = OFFER_AGAIN_S) -> None:
        """Send the opening to one signer; if it fails, again after a pause."""
        opening = self.opening
        if opening is None:
            return
        task = asyncio.create_task(self._offer_one(link, opening, pause_s))
        self._offers[task] = opening
        task.add_done_callback(self._note_offer_ended)

    def _note_offer_ended(self, task: asyncio.Task[None]) -> None:
        del self._offers[task]
        self._offer_ended.set()

    def _offer_later(self, link: SignerLink, opening: TermOpening, pause_s: float) -> None:
        async def wait() -> None:
            await asyncio.sleep(pause_s)
            if self.opening is opening and link.is_open:
                self._offer(link, min(2 * pause_s, OFFER_AGAIN_MOST_S))

        task = asyncio.create_task(wait())
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _offer_one(self, link: SignerLink, opening: TermOpening, pause_s: float) -> None:
        base_size = self._voters.founding.size if opening.base is None else opening.base.head.size
        frame = pb.OpenTerm(
            term=opening.term,
            statements=[signed_pb(statement) for statement in opening.statements],
            base_certificate=b"" if opening.base is None else codec.encode(opening.base),
        )
        try:
            # A signer that must fetch first answers twice; the second answer says that it has adopted the base.
            await link.request(
                frame,
                timeout_s=ADOPT_TIMEOUT_S,
                is_last=lambda reply: reply.term_opened.term == opening.term and reply.term_opened.size == base_size,
            )
        except StrongroomError as error:
            if isinstance(error, SignerFailed) and error.code in STALE_TERM:
                self.overtaken()
            else:
                self._handovers.told_in_vain(link, error)
                self._offer_later(link, opening, pause_s)
            log.warning("term.not_adopted_by", signer=link.signer, reason=error.reason, message=error.message)
            return
        if self.opening is not opening or not link.is_open:
            return
        link.given = held_of(opening.base).rank
        self.ready[link.signer] = link
        for callback in self._on_ready:
            callback(link)

    def _link_changed(self, link: SignerLink, connected: bool) -> None:
        if not connected:
            if self.ready.get(link.signer) is link:
                del self.ready[link.signer]
        elif self.opening is not None:
            self._offer(link)

    async def stop(self) -> None:
        """Cancel what is under way."""
        tasks = (*self._offers, *self._again)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
