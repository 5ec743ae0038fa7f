"""Real signers in one process, on folders of their own, driven by a leader that follows the protocol.

    cluster = Cluster.started(tmp_path)          # three signers, term 1, genesis and the vault customer-1 final
    index = cluster.plan(100_000)                # an approved withdrawal and its plan, certified
    chosen = cluster.commitments(index, "s1", "s2")
    result = cluster.release("s1", index, chosen)

Keys, databases, votes, certificates, nonces and shares are the real ones; only the network and the clock are not.
"""

from __future__ import annotations

import io
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import charter_builder as builder
from electorate_of import always, certificate_by, electorate
from ledger_world import START_MS, World
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview
from strongroom.ledger.signed_messages import Commitments, Refusal
from strongroom.model.ids import BootId
from strongroom.protocol.certificates import NO_CERTIFICATE, VerifiedVote, verify_vote
from strongroom.protocol.leader import NewTermCollection
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody
from strongroom.protocol.terms import sign_new_term
from strongroom_signer.assembly import Signer, open_signer
from strongroom_signer.catch_up import CatchUp
from strongroom_signer.config import SignerConfig
from strongroom_signer.frames import recovery_of, request_of, signed_to_pb
from strongroom_signer.keys import create_keys
from strongroom_signer.logs import open_log
from strongroom_signer.requests import LogBatch
from strongroom_signer.store import Pin, Store

CHEAP = Cost(memory_kib=8, passes=1)
PASSPHRASE = b"correct horse battery"
LEADER = b"leader-process-1"
VAULT = "customer-1"


@dataclass
class FakeClock:
    """Both clocks, moved by hand."""

    wall: int = START_MS
    monotonic: int = 1_000_000

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_ms(self) -> int:
        return self.monotonic

    def advance(self, milliseconds: int) -> None:
        """Time passes."""
        self.wall += milliseconds
        self.monotonic += milliseconds


def scripted(*first: bytes) -> Callable[[int], bytes]:
    """A random source that gives these values first."""
    values = list(first)
    return lambda size: values.pop(0) if values else os.urandom(size)


def make_folder(root: Path, world: World, name: str, label: str = "") -> Path:
    """The enrolled data folder of a signer with the keys of a label, by default those of its name."""
    label = label or name
    folder = root / label
    folder.mkdir(parents=True)
    store = Store.create(folder / "signer.db")
    random = scripted(os.urandom(32), builder.seed(f"{label} vote"), builder.seed(f"{label} witness"))
    host = SecretScalar.from_bytes(builder.seed(f"{label} host"))
    create_keys(folder, store, name, SecretBytes(PASSPHRASE), host=host, cost=CHEAP, random=random).wipe()
    with store.commit() as write:
        write.set_pin(Pin(log_id=world.log_id, charter=world.charter_bytes, since_ms=START_MS))
    store.close()
    return folder


def open_folder(folder: Path, clock: FakeClock, config: SignerConfig | None = None) -> Signer:
    """Start the signer of a folder, without any network."""
    return open_signer(
        folder,
        config or SignerConfig(coordinator="127.0.0.1:1", free_disk_floor_bytes=0),
        SecretBytes(PASSPHRASE),
        clock=clock,
        random=os.urandom,
        log=open_log(stream=io.StringIO(), raise_on_secret=True),
    )


Fetch = Callable[[int, int], Awaitable[tuple[LogBatch, ...]]]


@dataclass
class Donor:
    """What a signer catches up from: batches by a function of the test, recovery data from another signer."""

    cluster: Cluster
    fetch: Fetch
    name: str = "s2"

    async def batches(self, first: int, end: int) -> tuple[LogBatch, ...]:
        return await self.fetch(first, end)

    async def recovery(self, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        return recovery_of(self.cluster.ask(self.name, pb.FetchRecovery(hashes=hashes)))


@dataclass
class Cluster:
    """Signers, the log as the leader built it, and what the leader knows."""

    root: Path
    world: World
    clock: FakeClock
    signers: dict[str, Signer]
    folders: dict[str, Path]
    term: int = 0
    leader: bytes = LEADER
    certificate: Certificate | None = None
    sent: int = 0
    """Batches of the world that the signers were sent."""
    votes: list[VerifiedVote] = field(default_factory=list)

    # --- life ---------------------------------------------------------------------------------------------------------

    @classmethod
    def empty(cls, root: Path, **parts: Any) -> Cluster:
        """Three enrolled signers; nothing is logged."""
        world = World(charter=builder.charter(**parts))
        clock = FakeClock()
        folders = {name: make_folder(root, world, name) for name in ("s1", "s2", "s3")}
        signers = {name: open_folder(folder, clock) for name, folder in folders.items()}
        return cls(root=root, world=world, clock=clock, signers=signers, folders=folders)

    @classmethod
    def started(cls, root: Path, **parts: Any) -> Cluster:
        """Term 1 is open, and the vault customer-1 is final."""
        cluster = cls.empty(root, **parts)
        cluster.open_term()
        cluster.world.log(cluster.world.genesis())
        cluster.world.make_vault(VAULT)
        cluster.tick(2)
        return cluster

    def restart(self, name: str, config: SignerConfig | None = None) -> Signer:
        """Stop a signer cleanly and start it again."""
        self.signers[name].close()
        self.signers[name] = open_folder(self.folders[name], self.clock, config)
        return self.signers[name]

    def close(self) -> None:
        for signer in self.signers.values():
            signer.close()

    def catch_up(self, name: str, fetch: Fetch, *, donor: str = "s2") -> CatchUp:
        """A catch-up of one signer that gets its batches from this function."""
        return CatchUp(self.signers[name].copy, self.signers[name].voting, Donor(self, fetch, donor))

    # --- asking -------------------------------------------------------------------------------------------------------

    def ask(self, name: str, body: Any) -> Any:
        """Put a request through the frame's own checks to a signer."""
        frame = pb.LinkResponse(seq=1)
        kind = next(item.name for item in frame.DESCRIPTOR.fields if item.message_type == body.DESCRIPTOR)
        getattr(frame, kind).CopyFrom(body)
        return self.signers[name].service.answer(request_of(frame), self.leader)

    @property
    def vote_keys(self) -> dict[str, bytes]:
        return {signer.name: signer.vote_key for signer in self.world.charter.signers}

    # --- terms --------------------------------------------------------------------------------------------------------

    def open_term(self, names: Iterable[str] = ("s1", "s2", "s3"), leader: bytes | None = None) -> pb.OpenTerm:
        """Open the next term with statements of the first two of these signers, and tell all of them."""
        names = tuple(names)
        opening = self.propose_term(names, leader)
        for name in names:
            self.ask(name, opening)
        return opening

    def propose_term(self, names: tuple[str, ...], leader: bytes | None = None) -> pb.OpenTerm:
        """The opening of the next term with statements of the first two of these signers."""
        self.leader = leader or self.leader
        self.term += 1
        collection = NewTermCollection(
            log_id=self.world.log_id,
            term=self.term,
            leader=self.leader,
            electorates=always(self.vote_keys, self.world.charter.witness_quorum),
        )
        for name in names[: self.world.charter.witness_quorum]:
            promised = self.ask(name, pb.Promise(term=self.term, leader=self.leader))
            held = codec.decode(Certificate, promised.certificate) if promised.certificate else None
            collection = collection.add(signed(promised.statement), held)
        opening = collection.opening(collection.electorates.own(0))
        assert opening is not None
        self.certificate = opening.base
        return self.opening(opening)

    def forget_all(self, names: Iterable[str]) -> pb.OpenTerm:
        """An opening by signers who forgot everything: they would have the others drop a history nobody can undo."""
        self.term += 1
        self.leader = bytes(range(16))
        statements = [
            sign_new_term(
                builder.signing_key(f"{name} vote"),
                log_id=self.world.log_id,
                signer=name,
                term=self.term,
                leader=self.leader,
                boot_id=BootId(bytes(16)),
                held=NO_CERTIFICATE,
            )
            for name in names
        ]
        return pb.OpenTerm(term=self.term, statements=[signed_to_pb(one) for one in statements])

    def opening(self, opening: Any) -> pb.OpenTerm:
        base = b"" if opening.base is None else codec.encode(opening.base)
        return pb.OpenTerm(
            term=opening.term, statements=[signed_to_pb(one) for one in opening.statements], base_certificate=base
        )

    # --- batches ------------------------------------------------------------------------------------------------------

    def append(self, preview: Preview, *, certificate: Certificate | None = None, **parts: Any) -> pb.Append:
        """The append request of one batch."""
        known = certificate or self.certificate
        fields: dict[str, Any] = {
            "term": self.term,
            "first_index": preview.batch.first_index,
            "entries": preview.batch.entries,
            "size": preview.size,
            "root": preview.root,
            "certificate": b"" if known is None else codec.encode(known),
            "recovery_data": self.world.recovery_of(preview),
        }
        return pb.Append(**{**fields, **parts})

    def vote(self, name: str, preview: Preview, **parts: Any) -> VerifiedVote:
        """Have one signer vote for a batch."""
        voted = self.ask(name, self.append(preview, **parts))
        assert isinstance(voted, pb.Voted), voted
        return verify_vote(name, signed(voted.vote), log_id=self.world.log_id, electorate=electorate(self.vote_keys))

    def certify(self, preview: Preview, names: Iterable[str] = ("s1", "s2", "s3")) -> Certificate:
        """Have these signers vote for a batch, and make the certificate."""
        self.votes = [self.vote(name, preview) for name in names]
        self.certificate = certificate_by(self.votes, self.world.charter.witness_quorum)
        return self.certificate

    def sync(self, names: Iterable[str] = ("s1", "s2", "s3")) -> None:
        """Certify every batch of the world that the signers have not seen."""
        names = tuple(names)
        for preview in self.world.previews[self.sent :]:
            self.certify(preview, names)
            self.sent += 1

    def tick(self, count: int = 1, names: Iterable[str] = ("s1", "s2", "s3")) -> None:
        """Log empty batches, so that what lies before becomes final."""
        for _ in range(count):
            self.world.log(Tick())
        self.sync(names)

    def deliver(self, names: Iterable[str] = ("s1", "s2", "s3")) -> None:
        """Hand the newest certificate to these signers, so that a new term cannot lose it."""
        assert self.certificate is not None
        for name in names:
            self.ask(name, pb.Certify(certificate=codec.encode(self.certificate)))

    def wait(self, milliseconds: int) -> None:
        """Time passes for the signers and in the log."""
        self.clock.advance(milliseconds)
        self.world.later(milliseconds)

    # --- signing ------------------------------------------------------------------------------------------------------

    def plan(self, amount_sat: int = 100_000, **parts: Any) -> int:
        """An approved withdrawal and its plan, certified; returns the plan's entry index."""
        order = self.world.pay(VAULT, amount_sat)
        self.world.log_plan([order], [self.world.coin(amount_sat + 50_000)], **parts)
        index = self.world.replica.size - 1
        self.sync()
        return index

    def commit(self, name: str, index: int) -> pb.CommitmentResult:
        answer = self.ask(name, pb.Commit(term=self.term, entry_indexes=[index]))
        result: pb.CommitmentResult = answer.results[0]
        return result

    def commitments(self, index: int, *names: str) -> list[SignedBody]:
        """Fresh commitments of these signers for a plan."""
        results = [self.commit(name, index) for name in names]
        for result in results:
            assert result.WhichOneof("outcome") == "commitments", refusal_of(result)
        return [signed(result.commitments) for result in results]

    def release_request(self, index: int, chosen: list[SignedBody], **parts: Any) -> pb.Release:
        certificate = b"" if self.certificate is None else codec.encode(self.certificate)
        fields: dict[str, Any] = {
            "certificate": certificate,
            "sets": [pb.SigningSet(entry_index=index, commitments=[signed_to_pb(one) for one in chosen])],
        }
        return pb.Release(**{**fields, **parts})

    def release(self, name: str, index: int, chosen: list[SignedBody], **parts: Any) -> pb.ShareResult:
        """Ask one signer for its share."""
        result: pb.ShareResult = self.ask(name, self.release_request(index, chosen, **parts)).results[0]
        return result


def signed(message: Any) -> SignedBody:
    return SignedBody(body=message.body, signature=message.signature)


def refusal_of(result: Any) -> Refusal:
    """The refusal in a result."""
    assert result.WhichOneof("outcome") == "refusal", result
    return codec.decode(Refusal, result.refusal.body)


def session_of(commitments: SignedBody) -> bytes:
    return codec.decode(Commitments, commitments.body, max_size=MAX_BODY_BYTES).session
