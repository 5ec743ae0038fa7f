"""What `strongroom-signer status` is told: everything this signer knows of itself, for its operator."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.ledger.state import State
from strongroom_signer.money_path import RELEASED_COUNTER
from strongroom_signer.precautions import boxes_pb, freezes_pb
from strongroom_signer.quarantine import Notice

if TYPE_CHECKING:
    from strongroom_signer.assembly import Signer

__all__ = ["status_of"]


def status_of(
    signer: Signer,
    *,
    connected: bool,
    last_error: str,
    coordinator_ms: int | None = None,
    replaced_ago_s: int | None = None,
) -> pb.GetStatusResponse:
    """What the running signer answers.

    Args:
        signer: The signer.
        connected: Whether its link to the coordinator stands.
        last_error: Why it does not; empty when it does.
        coordinator_ms: What the coordinator's clock showed last; None when it never told.
        replaced_ago_s: Seconds since another connection with this signer's TLS key took the link; None when none did.
    """
    alarm, message = signer.alarm()
    held = signer.voting.state.held
    state = signer.copy.newest()
    now_ms = max(state.time_ms, signer.clock.wall_ms())
    return pb.GetStatusResponse(
        signer=signer.name,
        log_id=signer.copy.log_id,
        charter=b"" if (pin := signer.store.pin()) is None else pin.charter,
        connected=connected,
        term=signer.voting.state.term,
        size=signer.copy.size,
        certified_size=0 if held is None else held.head.size,
        certified_root=b"" if held is None else held.head.root,
        final_size=signer.copy.final_size,
        vaults=_vaults(signer, state),
        local_freezes=_local_freezes(signer, state),
        inbox=len(signer.inbox.items),
        withheld=signer.inbox.withheld(),
        alarm=alarm,
        alarm_message=message,
        last_error=last_error,
        clock_ahead_ms=None if coordinator_ms is None else signer.clock.wall_ms() - coordinator_ms,
        replaced_ago_s=replaced_ago_s,
        free_disk_bytes=signer.store.free_bytes(),
        version=version("strongroom"),
        coordinator=signer.config.coordinator,
        shares_released=signer.store.counter(RELEASED_COUNTER),
        last_refusal=signer.money_path.last_refusal,
        last_keygen_failure=signer.key_generation.last_failure,
        quarantine=_quarantine(signer.quarantine.notice),
        ledger_freezes=freezes_pb(state, now_ms),
        boxes=boxes_pb(state, now_ms),
        founded_size=signer.voting.state.founded_size,
        final_root=signer.copy.replica.root_at(signer.copy.final_size) or b"",
        host_keys=[host.public() for host in signer.keys.hosts],
    )


def _vaults(signer: Signer, state: State) -> Iterator[pb.VaultStatus]:
    unverified = {vault.name for vault in signer.backups.unverified()}
    for vault in state.vaults():
        is_holder = signer.name in vault.signers
        yield pb.VaultStatus(
            name=vault.name,
            epoch=vault.epoch,
            has_share=signer.shares.has(vault.name, vault.epoch),
            threshold=vault.threshold,
            signers=len(vault.signers),
            backup_verified=is_holder and vault.name not in unverified,
            is_holder=is_holder,
        )


def _local_freezes(signer: Signer, state: State) -> Iterator[pb.LocalFreeze]:
    for freeze in signer.inbox.local_freezes:
        yield pb.LocalFreeze(
            id=freeze.id,
            vault=freeze.vault,
            why=freeze.why,
            since_ms=freeze.since_ms,
            logged=state.freeze(freeze.id) is not None,
        )


def _quarantine(notice: Notice | None) -> pb.Quarantine | None:
    if notice is None:
        return None
    return pb.Quarantine(
        evidence_hash=notice.evidence_hash,
        fault=notice.fault,
        detail=notice.detail,
        operator_cleared=notice.operator_cleared,
        ordered=notice.ordered,
    )
