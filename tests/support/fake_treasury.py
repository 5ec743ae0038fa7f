"""A coordinator in one thread for the client's tests: real gRPC over mutual TLS, real proofs, and lies on request.

Its log is a `ledger_world.World`, so every entry goes through the real replica, and every certificate carries real
votes. `lies` maps a method's name to a function that spoils its response on the way out.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from click.testing import CliRunner, Result
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import charter_builder as builder
from electorate_of import certificate_by, electorate
from ledger_world import World
from restart_world import RestartWorld
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.treasury.v1 import treasury_service_pb2_grpc as pb_grpc
from strongroom.api.types.v1 import types_pb2
from strongroom.crypto import sealed
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Endorse, OrderEntry, Restart, Tick
from strongroom.ledger.founding import restart_entry
from strongroom.ledger.judge import judge_order
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.record_proof import RecordProofData
from strongroom.ledger.records import TABLES, OrderRecord, OrderState
from strongroom.ledger.signed_messages import Signed, Verdict, View
from strongroom.ledger.state import decode_order, destination_name
from strongroom.model.errors import StrongroomError
from strongroom.protocol.certificates import (
    NO_CERTIFICATE,
    Held,
    held_of,
    sign_vote,
    verify_vote,
)
from strongroom.protocol.evidence import evidence_log_id, verify_evidence
from strongroom.protocol.evidence_records import evidence_hash
from strongroom.protocol.signed import sign_body
from strongroom.wire.cards import make_person_card, parse_card
from strongroom.wire.log_export import LogExportWriter
from strongroom_client.cli import main
from strongroom_client.pki import Authority, CertificateRole, make_request
from strongroom_client.profile import Profile, save_profile

PASSPHRASE = "a passphrase for tests"
VOTERS = ("s1", "s2")
_STATUS = {
    OrderState.OPEN: types_pb2.PAYMENT_STATUS_OPEN,
    OrderState.PLANNED: types_pb2.PAYMENT_STATUS_PAYABLE,
    OrderState.EXCLUDING: types_pb2.PAYMENT_STATUS_PAYABLE,
    OrderState.REJECTED: types_pb2.PAYMENT_STATUS_NEVER_WILL_BE_PAID,
    OrderState.CANCELLED: types_pb2.PAYMENT_STATUS_NEVER_WILL_BE_PAID,
    OrderState.DONE: types_pb2.PAYMENT_STATUS_DONE,
    OrderState.SCHEDULED: types_pb2.PAYMENT_STATUS_OPEN,
    OrderState.LAPSED: types_pb2.PAYMENT_STATUS_NEVER_WILL_BE_PAID,
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class CertifiedWorld(World):
    """A world whose every batch is certified by two signers, each vote naming the certificate before it."""

    term: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.certificates: dict[int, Certificate] = {}
        self.earlier: dict[int, Certificate] = {}
        """Certificates of the log before it was founded anew."""
        self.labels: dict[str, str] = {}
        """Of signers that vote with another key than that of their name."""
        self.founding_entry = b""

    def found(self, restart: Restart, **labels: str) -> None:
        """Go on in the log that this restart founds, its signers voting with the keys of these labels."""
        RestartWorld(self).found(restart)
        self.earlier |= self.certificates
        self.certificates = {}
        self.labels |= labels
        self.founding_entry = codec.encode(restart_entry(restart))

    def logged(self) -> list[tuple[int, tuple[bytes, ...], bytes]]:
        """Every batch with the certificate of the head after it, if there is one."""
        known = {**self.earlier, **self.certificates}
        found = ((batch, known.get(batch.size)) for batch in self.batches)
        return [(one.first_index, one.entries, b"" if made is None else codec.encode(made)) for one, made in found]

    def exported(self) -> bytes:
        """The log as a signer exports it."""
        writer = LogExportWriter(self.log_id)
        return b"".join([writer.begin(), *(writer.batch(*part) for part in self.logged()), writer.end()])

    def log(self, *bodies: Any) -> Any:
        self.time_ms = max(self.time_ms, now_ms())
        held = held_of(self.newest) if self.certificates else NO_CERTIFICATE
        preview = super().log(*bodies)
        head = Head(
            log_id=self.log_id,
            term=self.term,
            size=preview.size,
            root=preview.root,
            state_digest=preview.state_digest,
        )
        self.certificates[preview.size] = self.certify(head, held)
        return preview

    def certify(self, head: Head, held: Held, voters: tuple[str, ...] = VOTERS) -> Certificate:
        keys = {name: builder.signing_key(f"{self.labels.get(name, name)} vote") for name in voters}
        public = {name: key.public for name, key in keys.items()}
        votes = [
            verify_vote(name, sign_vote(key, head, held), log_id=self.log_id, electorate=electorate(public))
            for name, key in keys.items()
        ]
        return certificate_by(votes, len(voters))

    def settle(self, *bodies: Any) -> None:
        """Log the bodies, and a tick whose votes make them final."""
        self.log(*bodies)
        self.log(Tick())

    @property
    def newest(self) -> Certificate:
        return self.certificates[max(self.certificates)]

    @property
    def final(self) -> int:
        """Size of the newest final head: every vote names the certificate before its own."""
        sizes = sorted(self.certificates)
        return sizes[-2] if len(sizes) > 1 else 0

    @classmethod
    def started(cls, **parts: Any) -> CertifiedWorld:
        world = cls(charter=builder.charter(**parts), time_ms=now_ms())
        world.settle(world.genesis())
        return world


@dataclass
class FakeTreasury(pb_grpc.TreasuryServiceServicer):
    """The service over one world."""

    world: CertifiedWorld
    lies: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    most_a_page: int = 500
    """How many orders one answer lists at most."""
    looked_at_a_page: int = 2_000
    """How many orders are looked at for one answer, whether they are selected or not, as at the coordinator."""
    evidence: list[bytes] = field(default_factory=list)
    """Records of evidence, oldest first."""
    deaf: bool = False
    """Swallow rejections and freezes: answer as if they could not be logged now."""
    starting: bool = False
    """Answer as if nothing were certified yet."""
    late: bool = False
    """Log what is sent, and answer as if the time for it had run out."""
    ticks: bool = True
    """Whether what is logged becomes final by a tick."""
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()

    def told(self, method: str, response: Any) -> Any:
        self.calls.append(method)
        lie = self.lies.get(method)
        return lie(response) or response if lie else response

    # --- reading ---------------------------------------------------------------------------------------------------

    def GetLedger(self, request: Any, context: Any) -> Any:
        if self.starting:
            abort(context, grpc.StatusCode.UNAVAILABLE, "NOT_READY", "nothing is certified yet: try again in a moment")
        world = self.world
        head = types_pb2.LogHead(size=world.final, root=world.replica.root_at(world.final) or b"")
        return self.told(
            "GetLedger",
            pb.GetLedgerResponse(
                log_id=world.log_id,
                charter=self.record_proof(b"charter", b"", world.replica.size),
                founding_entry=world.founding_entry or world.batches[0].entries[0],
                certificate=codec.encode(world.newest),
                final_certificate=codec.encode(world.newest),
                final_head=head,
            ),
        )

    def record_proof(self, table: bytes, name: bytes, size: int) -> types_pb2.RecordProof:
        return self.proof_pb(self.world.replica.state(size).record_proof(table, name), size)

    def proof_pb(self, data: RecordProofData, size: int) -> types_pb2.RecordProof:
        world = self.world
        return types_pb2.RecordProof(
            record=data.record,
            table=data.table.decode(),
            sequence=data.sequence,
            path=data.path,
            tables=_tables(data.table_roots),
            rule_set=data.rule_set,
            state_time_ms=data.time_ms,
            certificate=codec.encode(world.certificates[size]),
            final_certificate=codec.encode(world.newest),
        )

    def view(self, record: OrderRecord) -> types_pb2.OrderView:
        size = (
            self.world.final
            if self.world.replica.state(self.world.final).order(record.hash)
            else self.world.replica.size
        )
        record = self.world.replica.state(size).order(record.hash) or record
        return types_pb2.OrderView(
            order_hash=record.hash,
            record=self.record_proof(b"orders", record.hash, size),
            status=self._status(record),
            waits_for="approvals" if record.state is OrderState.OPEN else "",
        )

    @staticmethod
    def _status(record: OrderRecord) -> Any:
        is_lost = record.state is OrderState.LAPSED and isinstance(decode_order(record.order).action, Withdraw)
        return types_pb2.PAYMENT_STATUS_PAYABLE if is_lost else _STATUS[record.state]

    def GetOrder(self, request: Any, context: Any) -> Any:
        state = self.world.state
        record = state.order(request.order_hash) if request.order_hash else state.order_by_id(request.order_id)
        if record is None:
            abort(context, grpc.StatusCode.NOT_FOUND, "NO_SUCH_THING", "no certified order is known by that")
            raise AssertionError("unreachable")
        return self.told("GetOrder", pb.GetOrderResponse(order=self.view(record)))

    def ListOrders(self, request: Any, context: Any) -> Any:
        state = self.world.state
        position = int(request.page.page_token or state.orders_count)
        end = max(position - self.looked_at_a_page, 0)
        size = min(request.page.page_size or 100, self.most_a_page)
        views: list[Any] = []
        while position > end and len(views) < size:
            position -= 1
            record = state.order_at(position)
            if request.vault not in ("", getattr(decode_order(record.order).action, "vault", "")):
                continue
            if not request.statuses or self._status(record) in request.statuses:
                views.append(self.view(record))
        following = str(position) if position else ""
        return self.told("ListOrders", pb.ListOrdersResponse(orders=views, next_page_token=following))

    def WatchOrders(self, request: Any, context: Any) -> Iterator[Any]:
        state = self.world.state
        for sequence in range(request.cursor, state.orders_count):
            view = self.view(state.order_at(sequence))
            yield self.told("WatchOrders", pb.WatchOrdersResponse(cursor=sequence + 1, order=view))

    def ExplainOrder(self, request: Any, context: Any) -> Any:
        world = self.world
        record = world.state.order(request.order_hash)
        assert record is not None
        judgement = judge_order(world.state, record, now_ms())
        views = []
        for name in ("s1", "s2", "s3"):
            view = View(
                log_id=world.log_id,
                order_hash=record.hash,
                head_size=world.final,
                head_root=world.replica.root_at(world.final) or b"",
                verdict=Verdict.WOULD_SIGN if judgement.allowed else Verdict.WAITING,
                reasons=judgement.missing,
                signer=name,
                time_ms=now_ms(),
            )
            signed = sign_body("view", view, builder.signing_key(f"{name} vote"))
            views.append(types_pb2.SignedBody(body=signed.body, signature=signed.signature))
        explanation = types_pb2.Explanation(
            allowed=judgement.allowed,
            rule=judgement.rule or "",
            missing=judgement.missing,
            tried=judgement.tried,
            views=views,
        )
        return self.told("ExplainOrder", pb.ExplainOrderResponse(explanation=explanation))

    def ListVaults(self, request: Any, context: Any) -> Any:
        size = self.world.final
        vaults = [
            types_pb2.VaultView(record=self.record_proof(b"vaults", vault.name.encode(), size))
            for vault in self.world.replica.state(size).vaults()
        ]
        return self.told("ListVaults", pb.ListVaultsResponse(vaults=vaults))

    def GetBalance(self, request: Any, context: Any) -> Any:
        balance = types_pb2.Balance(
            vault=request.vault, asset=builder.BTC, confirmed="150000000", pending_in="0", pending_out="0", coins=2
        )
        return self.told("GetBalance", pb.GetBalanceResponse(balance=balance))

    def ListFreezes(self, request: Any, context: Any) -> Any:
        world = self.world
        state = world.replica.state(world.final)
        return self.told(
            "ListFreezes",
            pb.ListFreezesResponse(
                records=[codec.encode(record) for record in state.freezes()],
                tables=_tables(state.table_roots()),
                rule_set=state.charter.rule_set,
                state_time_ms=state.time_ms,
                certificate=codec.encode(world.certificates[world.final]),
            ),
        )

    def ListDestinations(self, request: Any, context: Any) -> Any:
        size = self.world.final
        state = self.world.replica.state(size)
        if request.address:
            found = state.destination(request.chain, request.address)
            name = destination_name(request.chain, request.address)
            records = [] if found is None else [self.record_proof(b"destinations", name, size)]
            return self.told("ListDestinations", pb.ListDestinationsResponse(records=records))
        start, count = int(request.page.page_token or 0), state.count(b"destinations")
        end = min(start + request.page.page_size, count)
        records = [self.proof_pb(state.record_proof_at(b"destinations", place), size) for place in range(start, end)]
        token = str(end) if end < count else ""
        return self.told("ListDestinations", pb.ListDestinationsResponse(records=records, next_page_token=token))

    def ListBreakGlass(self, request: Any, context: Any) -> Any:
        orders = [self.view(record) for record in self.world.state.break_glass_orders()]
        return self.told("ListBreakGlass", pb.ListBreakGlassResponse(orders=orders))

    def ReadLog(self, request: Any, context: Any) -> Iterator[Any]:
        for batch in self.world.batches:
            if batch.first_index < request.first_index:
                continue
            one = types_pb2.LogBatch(
                first_index=batch.first_index,
                entries=batch.entries,
                certificate=codec.encode(self.world.certificates[batch.size]),
            )
            yield self.told("ReadLog", pb.ReadLogResponse(batches=[one]))

    def GetStatus(self, request: Any, context: Any) -> Any:
        signers = [pb.SignerStatus(name=name, connected=name != "s3", term=1) for name in ("s1", "s2", "s3")]
        for record in self.evidence:
            told = evidence_pb(self.world, record)
            next(one for one in signers if one.name == told.signer).quarantine.CopyFrom(told)
        return self.told(
            "GetStatus",
            pb.GetStatusResponse(
                term=1,
                certified_size=self.world.replica.size,
                final_size=self.world.final,
                leading=True,
                signers=signers,
                chain_height=101,
                chain_reachable=True,
                version="0.1.0",
            ),
        )

    def ListEvidence(self, request: Any, context: Any) -> Any:
        newest = [evidence_pb(self.world, data) for data in reversed(self.evidence)]
        start = int(request.page.page_token or "0")
        token = str(start + 1) if start + 1 < len(newest) else ""
        return self.told(
            "ListEvidence", pb.ListEvidenceResponse(evidence=newest[start : start + 1], next_page_token=token)
        )

    def GetEvidence(self, request: Any, context: Any) -> Iterator[Any]:
        found = next((data for data in self.evidence if evidence_hash(data) == request.hash), None)
        if found is None:
            abort(context, grpc.StatusCode.NOT_FOUND, "NO_SUCH_THING", "there is no such evidence")
            return
        for start in range(0, len(found), 100):
            yield self.told("GetEvidence", pb.GetEvidenceResponse(chunk=found[start : start + 100]))

    # --- writing ---------------------------------------------------------------------------------------------------

    def SubmitOrder(self, request: Any, context: Any) -> Any:
        body = OrderEntry(order=request.order, endorsements=tuple(_stored(one) for one in request.endorsements))
        receipt = self._log(body, hashlib.sha256(request.order).digest(), context)
        return self.told("SubmitOrder", pb.SubmitOrderResponse(receipt=receipt))

    def EndorseOrder(self, request: Any, context: Any) -> Any:
        signed = _stored(request.endorsement)
        receipt = self._log(Endorse(endorsement=signed), b"", context)
        return self.told("EndorseOrder", pb.EndorseOrderResponse(receipt=receipt))

    def _log(self, body: Any, order_hash: bytes, context: Any) -> types_pb2.Receipt:
        world = self.world
        if self.deaf:
            abort(context, grpc.StatusCode.UNAVAILABLE, "NOT_READY", "no leader, try again")
        with self.lock:
            index = world.replica.size
            try:
                world.log(body)
            except StrongroomError as error:
                abort(context, grpc.StatusCode[error.kind.name], error.reason, error.message)
            receipt = self.receipt(index)
            if self.ticks:
                world.log(Tick())
        if self.late:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        receipt.order_hash = order_hash
        return receipt

    def receipt(self, index: int) -> types_pb2.Receipt:
        """Proof that an entry stands in the log under the newest certificate."""
        world = self.world
        size = world.replica.size
        entries = [entry for batch in world.batches for entry in batch.entries]
        return types_pb2.Receipt(
            entry=entries[index],
            inclusion=types_pb2.InclusionProof(
                entry_index=index,
                path=world.replica.inclusion_path(index, size),
                certificate=codec.encode(world.certificates[size]),
            ),
        )


def evidence_pb(world: CertifiedWorld, data: bytes) -> Any:
    proven = verify_evidence(data, log_id=evidence_log_id(data))
    return pb.EvidenceSummary(
        hash=proven.hash, signer=proven.signer, fault=str(proven.fault), detail=proven.detail, size=len(data)
    )


def _tables(roots: Any) -> list[types_pb2.TableRoot]:
    names = tuple(table.decode() for table in TABLES)
    return [
        types_pb2.TableRoot(table=name, count=one.count, root=one.root) for name, one in zip(names, roots, strict=True)
    ]


def _stored(signed: Any) -> Signed:
    return Signed(body=signed.body, signature=signed.signature)


def abort(context: Any, code: grpc.StatusCode, reason: str, message: str) -> None:
    """End a call as the coordinator does: a status with `google.rpc.ErrorInfo`. It raises."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="strongroom"))
    status = status_pb2.Status(code=code.value[0], message=message, details=[info])
    context.abort_with_status(rpc_status.to_status(status))


@dataclass
class Office:
    """A running fake coordinator with the files of people who use it."""

    root: Path
    treasury: FakeTreasury
    address: str
    authority: Authority

    @property
    def world(self) -> CertifiedWorld:
        return self.treasury.world

    @property
    def passphrase_file(self) -> Path:
        return self.root / "passphrase"

    def person(self, name: str, *, seed_label: str = "") -> Path:
        """Make a person's key, certificate and profile, once; return the profile's path."""
        folder = self.root / name
        if not folder.exists():
            folder.mkdir()
            self._make_person(folder, name, seed_label or name)
        return folder / "profile.toml"

    def _make_person(self, folder: Path, name: str, seed_label: str) -> None:
        key = builder.signing_key(seed_label)
        tls_key, request = make_request(name)
        card = parse_card(make_person_card(name, key, request))
        issued = self.authority.issue(card, CertificateRole.PERSON, now=datetime.now(UTC))
        content = sealed.seal(
            "person",
            {"name": name, "public": key.public.hex()},
            SecretBytes(bytearray(builder.seed(seed_label))),
            SecretBytes(bytearray(PASSPHRASE.encode())),
            cost=sealed.Cost(memory_kib=8, passes=1),
            random=self.world.fresh,
        )
        (folder / "person.sealed").write_bytes(content)
        (folder / "tls.key").write_bytes(tls_key)
        (folder / "cert.pem").write_bytes(issued.certificate)
        profile = Profile(
            coordinator=self.address,
            log_id=self.world.log_id,
            ca=self.root / "pki" / "ca.pem",
            certificate=folder / "cert.pem",
            key_folder=folder,
        )
        save_profile(folder / "profile.toml", profile)


def open_office(root: Path, world: CertifiedWorld) -> tuple[Office, grpc.Server]:
    """Start the service on a free port of the loopback address; stop the server at the end."""
    authority = Authority.create(root / "pki", "acme", now=datetime.now(UTC))
    tls_key, issued = authority.issue_coordinator(["127.0.0.1", "localhost"], now=datetime.now(UTC))
    treasury = FakeTreasury(world)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    pb_grpc.add_TreasuryServiceServicer_to_server(treasury, server)
    credentials = grpc.ssl_server_credentials(
        [(tls_key, issued.certificate)], root_certificates=authority.certificate, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    (root / "passphrase").write_text(PASSPHRASE + "\n")
    return Office(root=root, treasury=treasury, address=f"127.0.0.1:{port}", authority=authority), server


def act(office: Office, person: str, *words: str, code: int = 0, typed: str | None = None) -> Result:
    """Run `strongroom` as a person, and check its exit code."""
    command = [*words, "--profile", str(office.person(person))]
    result = CliRunner().invoke(main, command, input=typed, env={"COLUMNS": "200"})
    assert result.exit_code == code, (words, result.exit_code, result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def sign(office: Office, person: str, *words: str, code: int = 0) -> Any:
    """Run a signing command as a person without questions; returns its JSON."""
    result = act(office, person, *words, "--yes", "--json", "--passphrase-file", str(office.passphrase_file), code=code)
    return json.loads(result.stdout) if result.stdout else None
