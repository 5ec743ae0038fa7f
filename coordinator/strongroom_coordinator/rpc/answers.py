"""Writing answers: domain values to protobuf, with the proofs beside them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.record_proof import RecordProofData, TableRoot
from strongroom.ledger.records import TABLES
from strongroom_coordinator.reading import Reading
from strongroom_coordinator.sequencer import Logged
from strongroom_coordinator.storage.chain import DepositRow
from strongroom_coordinator.views import OrderOverview, PlanOverview, Status

__all__ = [
    "certificate_bytes",
    "deposit_pb",
    "order_pb",
    "receipt_pb",
    "record_pb",
    "table_roots_pb",
]

_STATUS_PB: Final[dict[Status, Any]] = {
    Status.OPEN: types_pb2.PAYMENT_STATUS_OPEN,
    Status.PAYABLE: types_pb2.PAYMENT_STATUS_PAYABLE,
    Status.PAID: types_pb2.PAYMENT_STATUS_PAID,
    Status.NEVER_WILL_BE_PAID: types_pb2.PAYMENT_STATUS_NEVER_WILL_BE_PAID,
    Status.DONE: types_pb2.PAYMENT_STATUS_DONE,
}


@lru_cache(maxsize=64)
def _encoded(certificate: Certificate) -> bytes:
    return codec.encode(certificate)


def certificate_bytes(certificate: Certificate | None) -> bytes:
    """Canonical bytes of a certificate; empty for none."""
    return b"" if certificate is None else _encoded(certificate)


def table_roots_pb(roots: tuple[TableRoot, ...]) -> list[types_pb2.TableRoot]:
    """Count and root of every table in the order of the digest."""
    pairs = zip(TABLES, roots, strict=True)
    return [types_pb2.TableRoot(table=name.decode(), count=root.count, root=root.root) for name, root in pairs]


def record_pb(proof: RecordProofData, reading: Reading) -> types_pb2.RecordProof:
    """A record with its proof under the certificate of the state it was read from."""
    return types_pb2.RecordProof(
        record=proof.record,
        table=proof.table.decode(),
        sequence=proof.sequence,
        path=proof.path,
        tables=table_roots_pb(proof.table_roots),
        rule_set=proof.rule_set,
        state_time_ms=proof.time_ms,
        certificate=certificate_bytes(reading.certificate),
        final_certificate=certificate_bytes(reading.final_certificate),
    )


def receipt_pb(order_hash: bytes, logged: Logged) -> types_pb2.Receipt:
    """Proof that the log holds an order or endorsement."""
    return types_pb2.Receipt(
        order_hash=order_hash,
        entry=logged.entry,
        inclusion=types_pb2.InclusionProof(
            entry_index=logged.index, path=logged.path, certificate=certificate_bytes(logged.certificate)
        ),
        already_known=logged.already_known,
    )


def order_pb(order: OrderOverview) -> types_pb2.OrderView:
    """An order as clients get it."""
    return types_pb2.OrderView(
        order_hash=order.record.hash,
        record=record_pb(order.proof, order.reading),
        status=_STATUS_PB[order.status],
        waits_for=order.waits_for,
        plans=[_plan_pb(plan) for plan in order.plans],
        submit_time=_timestamp(order.submitted_ms),
        update_time=_timestamp(order.updated_ms),
    )


def _plan_pb(plan: PlanOverview) -> types_pb2.PlanProgress:
    return types_pb2.PlanProgress(
        plan_hash=plan.plan_hash,
        txid=plan.txid,
        stage=plan.stage,
        confirmations=plan.confirmations,
        block_height=plan.block_height,
        fee=str(plan.fee_sat),
        fee_rate=plan.fee_rate,
        refusals=plan.refusals,
        raw_transaction=plan.raw_transaction.hex(),
    )


def deposit_pb(row: DepositRow, *, asset: str, tip_height: int) -> types_pb2.Deposit:
    """A deposit as clients get it; confirmations as of now."""
    return types_pb2.Deposit(
        vault=row.vault,
        index=row.index,
        address=row.address,
        asset=asset,
        amount=str(row.amount_sat),
        txid=row.txid,
        vout=row.vout,
        confirmations=0 if row.height is None else max(tip_height - row.height + 1, 0),
        block_height=row.height or 0,
        cursor=row.cursor,
        removed=row.removed,
    )


def _timestamp(time_ms: int) -> Timestamp:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)
