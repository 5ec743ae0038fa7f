"""A coordinator in an attacker's hands: the real link, TLS identity and terms, and no scruples after that.

It leads like an honest one - signers accept nothing else - and gives each cheat the honest steps to depart from: a term
of its own, the replayed log, batches, certificates, commitments, releases. Every refusal of a signer is reported.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from cheat_report import NothingToCheatWith, Report
from raw_stream import RawStreams

from electorate_of import GenesisVoters
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec, merkle
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Endorse, Entry, Tick
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.signed_messages import Refusal
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore
from strongroom.protocol.certificates import NO_CERTIFICATE, Held
from strongroom.protocol.leader import NewTermCollection, VoteCollection
from strongroom.protocol.signed import SignedBody, open_body
from strongroom_coordinator.app import server_options
from strongroom_coordinator.config import load_config
from strongroom_coordinator.data_folder import load_genesis, load_tls
from strongroom_coordinator.errors import SignerFailed
from strongroom_coordinator.link import LinkServer, SignerLink
from strongroom_coordinator.link_frames import certificate_of, signed_of, signed_pb

if TYPE_CHECKING:
    from rogue_people import People

PATIENCE_S = 30.0
WAITING, GO = "waiting", "go"


@dataclass(frozen=True)
class Coin:
    """A confirmed coin of a vault, from the coordinator's own table."""

    txid: bytes
    vout: int
    amount_sat: int
    branch: int
    index: int


@dataclass
class Answer:
    """What one signer said to a batch: a vote and commitments by entry index, or neither."""

    vote: SignedBody | None = None
    commitments: dict[int, SignedBody] = field(default_factory=dict)


class Accomplice(Protocol):
    """A signer whose keys the cheater has: it states and votes what the cheater likes."""

    name: str

    def statement(self, term: int, stated: Held) -> SignedBody:
        """A statement for a term."""

    def vote(self, head: Head) -> SignedBody:
        """A vote for a head."""


class RogueLeader:
    """One term of a dishonest coordinator."""

    def __init__(
        self, folder: Path, report: Report, words: Sequence[SignedBody] = (), people: People | None = None
    ) -> None:
        self.folder = folder
        self.report = report
        self.words = tuple(words)
        self.people = people
        self.config = load_config(folder)
        self.genesis = load_genesis(folder / self.config.genesis)
        self.log_id = self.genesis.log_id
        self.electorate = GenesisVoters(self.log_id, self.genesis.charter)
        self.leader = os.urandom(16)
        self.term = 0
        self.entries: list[bytes] = []
        self.batches: list[types_pb2.LogBatch] = []
        self.recovery: list[bytes] = []
        """Recovery data that it hands out with every batch, and to every signer that asks."""
        self.served_recovery: Sequence[bytes] | None = None
        """What it gives to a signer that asks for recovery data, in place of that."""
        self.replica = Replica(MemoryStore(), log_id=self.log_id)
        self.certificate: Certificate | None = None
        stolen = folder.parent / "stolen"
        self.stolen = frozenset(stolen.read_text().split()) if stolen.exists() else frozenset()
        """Signers whose keys the cheater has; their daemons do not run."""
        self.accomplices: Callable[[RogueLeader], Sequence[Accomplice]] = lambda _rogue: ()
        """Opens the stolen keys, for the words without which the log would have no quorum."""
        self.attempt = 0
        """Number of the newest key generation."""
        self.raised: dict[str, pb.Raised] = {}
        """What each signer last asked it to log, which it does not do."""
        self.served: Callable[[pb.FetchBatches], Any] | None = None
        """Answers a signer that asks for entries, in place of the honest answer."""
        names = frozenset(self.electorate.vote_keys)
        self.link_server = LinkServer(
            log_id=self.log_id,
            organisation=self.genesis.charter.organisation,
            leader=self.leader,
            version="0",
            signers=lambda: names,
        )
        self.link_server.serve_requests(self._serve)
        self.raw = RawStreams(self.link_server)

    # --- the honest part: connections and a term ---------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[RogueLeader]:
        """Listen where the honest coordinator did, with its TLS identity, until every signer is there."""
        tls = load_tls(self.folder, self.config, organisation=self.genesis.charter.organisation)
        credentials = grpc.ssl_server_credentials(
            [(tls.key, tls.certificate)], root_certificates=tls.certificate_authority, require_client_auth=True
        )
        server = grpc.aio.server(options=server_options())
        server.add_generic_rpc_handlers(self.raw.handlers())
        server.add_secure_port(self.config.listen, credentials)
        await server.start()
        self.report.say("listening", address=self.config.listen)
        try:
            await self.everybody()
            yield self
        finally:
            self.link_server.stop()
            await server.stop(0.2)

    async def everybody(self) -> None:
        """Wait until every signer is connected, also after a cheat that ended some links."""
        # A signer that was refused again and again pauses for longer and longer before it dials.
        async with asyncio.timeout(2 * PATIENCE_S):
            least = len(self.electorate.vote_keys) - len(self.stolen)
            await self.link_server.until(lambda names: len(names) >= least)

    @property
    def links(self) -> dict[str, SignerLink]:
        return dict(sorted(self.link_server.links.items()))

    @property
    def state(self) -> State:
        return self.replica.state()

    async def lead(self) -> None:
        """Open a term with the signers' statements and fetch the log from them, as an honest coordinator would."""
        self.term = max([self.term, *(link.hello.term for link in self.links.values())]) + 1
        collection = NewTermCollection(
            log_id=self.log_id,
            term=self.term,
            leader=self.leader,
            electorates=self.electorate.electorates,
        )
        for promised in (await self._ask_all(pb.Promise(term=self.term, leader=self.leader), "promise")).values():
            collection = collection.add(
                signed_of(promised.promised.statement), certificate_of(promised.promised.certificate)
            )
        if collection.opening(self.electorate.electorate) is None:
            for mole in self.accomplices(self):
                collection = collection.add(mole.statement(self.term, NO_CERTIFICATE), None)
        opening = collection.opening(self.electorate.electorate)
        if opening is None:
            raise NothingToCheatWith("too few signers promised a term")
        await self._fetch(opening.base)
        base_size = 0 if opening.base is None else opening.base.head.size
        frame = pb.OpenTerm(
            term=self.term,
            statements=[signed_pb(statement) for statement in opening.statements],
            base_certificate=b"" if opening.base is None else codec.encode(opening.base),
        )
        await self._ask_all(frame, "open_term", is_last=lambda reply: reply.term_opened.size == base_size)
        self.report.say("leading", term=self.term, size=base_size)

    async def _fetch(self, base: Certificate | None) -> None:
        """Take the log up to a certified head from whoever has it."""
        self.certificate = base
        size = 0 if base is None else base.head.size
        self.cut(size)
        holder = next(link for link in self.links.values() if base is None or link.hello.size >= size or self.entries)
        while len(self.entries) < size:
            ask = pb.FetchBatches(first_index=len(self.entries), end_index=size)
            reply = await holder.request(ask, timeout_s=PATIENCE_S)
            for batch in reply.batches.batches:
                self._take(batch)
        hashes = [vault.recovery_hash for vault in self.state.vaults()]
        if hashes:
            given = await holder.request(pb.FetchRecovery(hashes=hashes), timeout_s=PATIENCE_S)
            self.recovery = list(given.recovery_data.recovery_data)

    def cut(self, size: int) -> None:
        """Drop the entries from `size` on from the cheater's own copy of the log."""
        self.replica.truncate(min(size, self.replica.size))
        self.batches = [batch for batch in self.batches if batch.first_index + len(batch.entries) <= size]
        del self.entries[size:]

    def _take(self, batch: types_pb2.LogBatch) -> None:
        entries = tuple(batch.entries)
        self.replica.push(self.replica.preview(Batch(first_index=batch.first_index, entries=entries)))
        self.entries += entries
        self.batches.append(batch)

    async def _serve(self, link: SignerLink, frame: pb.LinkRequest) -> Any | None:
        """Give batches and recovery data to signers that lack them; keep what they raise to itself."""
        if frame.WhichOneof("body") == "fetch_recovery":
            given = self.recovery if self.served_recovery is None else self.served_recovery
            return pb.RecoveryData(recovery_data=given)
        if frame.WhichOneof("body") == "raised":
            self.raised[link.signer] = frame.raised
        if frame.WhichOneof("body") != "fetch_batches":
            return None
        wanted = frame.fetch_batches
        if self.served is not None:
            return self.served(wanted)
        found = [item for item in self.batches if wanted.first_index <= item.first_index < wanted.end_index]
        return pb.Batches(batches=found)

    # --- the honest part: both rounds --------------------------------------------------------------------------------

    def entry(self, body: Any, *, time_ms: int | None = None) -> bytes:
        """An entry as the honest coordinator would stamp it."""
        now = max(time.time_ns() // 1_000_000, self.state.time_ms)
        return codec.encode(Entry(salt=os.urandom(16), time_ms=now if time_ms is None else time_ms, body=body))

    def entries_of(self, bodies: Sequence[Any], *, time_ms: int | None = None) -> tuple[bytes, ...]:
        """The entries of one batch, which all carry the same time."""
        now = max(time.time_ns() // 1_000_000, self.state.time_ms) if time_ms is None else time_ms
        return tuple(self.entry(body, time_ms=now) for body in bodies)

    async def append(
        self,
        entries: Sequence[bytes],
        *,
        to: Collection[str] | None = None,
        commit_for: Sequence[int] = (),
        first_index: int | None = None,
        step: str = "append",
    ) -> dict[str, Answer]:
        """Round 1 with whatever batch: votes and commitments of those who gave them; refusals are reported."""
        first = len(self.entries) if first_index is None else first_index
        leaves = [merkle.leaf_hash(entry) for entry in (*self.entries[:first], *entries)]
        frame = pb.Append(
            term=self.term,
            first_index=first,
            entries=list(entries),
            size=first + len(entries),
            root=merkle.root_of(leaves),
            certificate=b"" if self.certificate is None else codec.encode(self.certificate),
            commit_for=list(commit_for),
            recovery_data=self.recovery,
        )
        answers: dict[str, Answer] = {}
        for signer, reply in (await self._ask_all(frame, step, to=to)).items():
            answers[signer] = Answer()
            if reply.WhichOneof("body") == "batch_refused":
                self._report_refusal(signer, step, reply.batch_refused.refusal)
                continue
            answers[signer].vote = signed_of(reply.voted.vote)
            answers[signer].commitments = self.commitments_in(signer, reply.voted.commitments)
        return answers

    async def append_honestly(
        self, *bodies: Any, commit: bool = False, to: Collection[str] | None = None, time_ms: int | None = None
    ) -> tuple[int, dict[str, SignedBody]]:
        """Log bodies that every signer must accept, with the votes of all or of those named.

        Args:
            bodies: bodies of entries.
            commit: whether to ask for commitments for the last of them.
            to: whom to ask; everybody by default.
            time_ms: log time of the batch; now by default.

        Returns:
            Index of the last entry, and the commitments for it where `commit` asks for them.
        """
        entries = self.entries_of(bodies, time_ms=time_ms)
        preview = self.replica.preview(Batch(first_index=len(self.entries), entries=entries))
        last = preview.size - 1
        answers = await self.append(entries, to=to, commit_for=[last] if commit else [])
        head = Head(
            log_id=self.log_id,
            term=self.term,
            size=preview.size,
            root=preview.root,
            state_digest=preview.state_digest,
        )
        votes = VoteCollection(head=head, electorate=self.electorate.electorate, certified=lambda held: True)
        for signer, answer in answers.items():
            if answer.vote is not None:
                votes = votes.add(signer, answer.vote)
        if votes.certificate() is None:
            for mole in self.accomplices(self):
                votes = votes.add(mole.name, mole.vote(head))
        self.certificate = votes.certificate()
        if self.certificate is None:
            raise NothingToCheatWith(f"an honest batch was not certified: {[type(body).__name__ for body in bodies]}")
        self._take(
            types_pb2.LogBatch(
                first_index=len(self.entries), entries=entries, certificate=codec.encode(self.certificate)
            )
        )
        given = {name: answer.commitments[last] for name, answer in answers.items() if last in answer.commitments}
        return last, given

    async def log_words(self) -> None:
        """Log the approvals that reached only this coordinator."""
        for word in self.words:
            await self.append_honestly(Endorse(endorsement=word.stored()))

    async def tick(self) -> None:
        """Log an empty entry, so that the one before can become final."""
        await self.append_honestly(Tick())

    async def commit(
        self, index: int, *, to: Collection[str] | None = None, step: str = "commit"
    ) -> dict[str, SignedBody]:
        """Ask for commitments to one plan."""
        frame = pb.Commit(term=self.term, entry_indexes=[index])
        given: dict[str, SignedBody] = {}
        for signer, reply in (await self._ask_all(frame, step, to=to)).items():
            made = self.commitments_in(signer, reply.committed.results, step)
            if index in made:
                given[signer] = made[index]
        return given

    async def release(
        self,
        index: int,
        commitments: Iterable[SignedBody],
        *,
        to: Collection[str] | None = None,
        certificate: Certificate | None = None,
        honest: bool = False,
        step: str = "release",
    ) -> dict[str, SignedBody]:
        """Round 2 with whatever set and certificate; every share that comes counts."""
        sets = {index: commitments}
        given = await self.release_many(sets, to=to, certificate=certificate, honest=honest, step=step)
        return given.get(index, {})

    async def release_many(
        self,
        sets: Mapping[int, Iterable[SignedBody]],
        *,
        to: Collection[str] | None = None,
        certificate: Certificate | None = None,
        honest: bool = False,
        step: str = "release",
    ) -> dict[int, dict[str, SignedBody]]:
        """The same for many plans in one request: by entry index, the shares of each signer."""
        chosen = [
            pb.SigningSet(entry_index=index, commitments=[signed_pb(item) for item in commitments])
            for index, commitments in sets.items()
        ]
        frame = pb.Release(certificate=b"" if certificate is None else codec.encode(certificate), sets=chosen)
        shares: dict[int, dict[str, SignedBody]] = {}
        for signer, reply in (await self._ask_all(frame, step, to=to)).items():
            for result in reply.released.results:
                if result.WhichOneof("outcome") == "refusal":
                    self._report_refusal(signer, step, result.refusal)
                    continue
                shares.setdefault(result.entry_index, {})[signer] = signed_of(result.shares)
                if honest:
                    self.report.honest_shares += 1
                else:
                    self.report.released += 1
                    self.report.say("released", signer=signer, step=step)
        return shares

    async def ask(
        self, signer: str, body: Any, step: str, *, is_last: Callable[[pb.LinkRequest], bool] | None = None
    ) -> pb.LinkRequest | None:
        """Ask one signer; None when it refuses."""
        return (await self._ask_all(body, step, to=[signer], is_last=is_last)).get(signer)

    async def pause(self, why: str, *, reconnecting: bool = False) -> None:
        """Wait until somebody outside has done something to the signers and says so with a file named `go`.

        Args:
            why: What is to be done; written to a file named `waiting`.
            reconnecting: Whether it ends every link: the signers are awaited again.
        """
        before = self.links
        waiting, go = self.folder / WAITING, self.folder / GO
        waiting.write_text(why)
        async with asyncio.timeout(PATIENCE_S * 4):
            while not go.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
            go.unlink()
            waiting.unlink()
            while reconnecting and not self._all_new(before):  # noqa: ASYNC110 - nothing tells of a changed link
                await asyncio.sleep(0.02)

    def _all_new(self, before: Mapping[str, SignerLink]) -> bool:
        """Whether every signer is connected by another link than before."""
        return all(self.links.get(name, link) is not link for name, link in before.items())

    # --- reporting ---------------------------------------------------------------------------------------------------

    async def _ask_all(
        self,
        body: Any,
        step: str,
        *,
        to: Collection[str] | None = None,
        is_last: Callable[[pb.LinkRequest], bool] | None = None,
    ) -> dict[str, pb.LinkRequest]:
        """Ask signers side by side; a frame that a signer calls wrong is an unsigned refusal."""
        asked = {name: link for name, link in self.links.items() if to is None or name in to}
        futures = [link.request(body, timeout_s=PATIENCE_S, is_last=is_last) for link in asked.values()]
        replies: dict[str, pb.LinkRequest] = {}
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        for name, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, SignerFailed):
                self.report.refused(name, step, outcome.code, outcome.message, signed=False)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                replies[name] = outcome
        return replies

    def _report_refusal(self, signer: str, step: str, message: types_pb2.SignedBody) -> None:
        """Report a refusal whose signature holds; one whose signature does not is the signer's fault, not a refusal."""
        key = self.electorate.vote_keys[signer]
        refusal = open_body("refusal", Refusal, signed_of(message), log_id=self.log_id, public_key=key)
        if refusal.signer != signer:
            raise NothingToCheatWith(f"{signer} sent a refusal of {refusal.signer}")
        self.report.refused(signer, step, refusal.reason, refusal.detail, signed=True)

    def commitments_in(
        self, signer: str, results: Iterable[pb.CommitmentResult], step: str = "commit"
    ) -> dict[int, SignedBody]:
        """The commitments of one answer by entry index; its refusals are reported."""
        given: dict[int, SignedBody] = {}
        for result in results:
            if result.WhichOneof("outcome") == "refusal":
                self._report_refusal(signer, step, result.refusal)
            else:
                given[result.entry_index] = signed_of(result.commitments)
        return given

    # --- what the coordinator knows of the chain ---------------------------------------------------------------------

    def coins(self, vault: str) -> list[Coin]:
        """Confirmed coins of a vault that no plan of the log spends, largest first."""
        with sqlite3.connect(self.folder / "coordinator.db") as database:
            rows = database.execute(
                "SELECT txid, vout, amount_sat, branch, address_index FROM chain_coin"
                " WHERE vault = ? AND height IS NOT NULL AND spent_height IS NULL ORDER BY amount_sat DESC, txid",
                (vault,),
            ).fetchall()
        database.close()
        known = [Coin(*row) for row in rows]
        return [coin for coin in known if not list(self.state.plans_spending(coin.txid, coin.vout))]
