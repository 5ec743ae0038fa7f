from strongroom.api.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("signer", "log_id", "connected", "term", "size", "certified_size", "final_size", "vaults", "local_freezes", "inbox", "alarm", "alarm_message", "last_error", "free_disk_bytes", "version", "coordinator", "shares_released", "last_refusal", "quarantine", "last_keygen_failure", "ledger_freezes", "boxes", "final_root", "host_keys", "founded_size", "clock_ahead_ms", "certified_root", "replaced_ago_s", "withheld", "charter")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_SIZE_FIELD_NUMBER: _ClassVar[int]
    FINAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    VAULTS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FREEZES_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    ALARM_FIELD_NUMBER: _ClassVar[int]
    ALARM_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    FREE_DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    SHARES_RELEASED_FIELD_NUMBER: _ClassVar[int]
    LAST_REFUSAL_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    LAST_KEYGEN_FAILURE_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FREEZES_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    FINAL_ROOT_FIELD_NUMBER: _ClassVar[int]
    HOST_KEYS_FIELD_NUMBER: _ClassVar[int]
    FOUNDED_SIZE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_AHEAD_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_ROOT_FIELD_NUMBER: _ClassVar[int]
    REPLACED_AGO_S_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    signer: str
    log_id: bytes
    connected: bool
    term: int
    size: int
    certified_size: int
    final_size: int
    vaults: _containers.RepeatedCompositeFieldContainer[VaultStatus]
    local_freezes: _containers.RepeatedCompositeFieldContainer[LocalFreeze]
    inbox: int
    alarm: str
    alarm_message: str
    last_error: str
    free_disk_bytes: int
    version: str
    coordinator: str
    shares_released: int
    last_refusal: str
    quarantine: Quarantine
    last_keygen_failure: str
    ledger_freezes: _containers.RepeatedCompositeFieldContainer[LedgerFreeze]
    boxes: _containers.RepeatedCompositeFieldContainer[BreakGlassBox]
    final_root: bytes
    host_keys: _containers.RepeatedScalarFieldContainer[bytes]
    founded_size: int
    clock_ahead_ms: int
    certified_root: bytes
    replaced_ago_s: int
    withheld: str
    charter: bytes
    def __init__(self, signer: _Optional[str] = ..., log_id: _Optional[bytes] = ..., connected: _Optional[bool] = ..., term: _Optional[int] = ..., size: _Optional[int] = ..., certified_size: _Optional[int] = ..., final_size: _Optional[int] = ..., vaults: _Optional[_Iterable[_Union[VaultStatus, _Mapping]]] = ..., local_freezes: _Optional[_Iterable[_Union[LocalFreeze, _Mapping]]] = ..., inbox: _Optional[int] = ..., alarm: _Optional[str] = ..., alarm_message: _Optional[str] = ..., last_error: _Optional[str] = ..., free_disk_bytes: _Optional[int] = ..., version: _Optional[str] = ..., coordinator: _Optional[str] = ..., shares_released: _Optional[int] = ..., last_refusal: _Optional[str] = ..., quarantine: _Optional[_Union[Quarantine, _Mapping]] = ..., last_keygen_failure: _Optional[str] = ..., ledger_freezes: _Optional[_Iterable[_Union[LedgerFreeze, _Mapping]]] = ..., boxes: _Optional[_Iterable[_Union[BreakGlassBox, _Mapping]]] = ..., final_root: _Optional[bytes] = ..., host_keys: _Optional[_Iterable[bytes]] = ..., founded_size: _Optional[int] = ..., clock_ahead_ms: _Optional[int] = ..., certified_root: _Optional[bytes] = ..., replaced_ago_s: _Optional[int] = ..., withheld: _Optional[str] = ..., charter: _Optional[bytes] = ...) -> None: ...

class LedgerFreeze(_message.Message):
    __slots__ = ("id", "vault", "by", "why", "lapses_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    LAPSES_MS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    vault: str
    by: str
    why: str
    lapses_ms: int
    def __init__(self, id: _Optional[bytes] = ..., vault: _Optional[str] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., lapses_ms: _Optional[int] = ...) -> None: ...

class BreakGlassBox(_message.Message):
    __slots__ = ("order_hash", "vault", "destination", "opens_ms", "closes_ms")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    OPENS_MS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_MS_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    vault: str
    destination: str
    opens_ms: int
    closes_ms: int
    def __init__(self, order_hash: _Optional[bytes] = ..., vault: _Optional[str] = ..., destination: _Optional[str] = ..., opens_ms: _Optional[int] = ..., closes_ms: _Optional[int] = ...) -> None: ...

class Quarantine(_message.Message):
    __slots__ = ("evidence_hash", "fault", "detail", "operator_cleared", "ordered")
    EVIDENCE_HASH_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_CLEARED_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    evidence_hash: bytes
    fault: str
    detail: str
    operator_cleared: bool
    ordered: bool
    def __init__(self, evidence_hash: _Optional[bytes] = ..., fault: _Optional[str] = ..., detail: _Optional[str] = ..., operator_cleared: _Optional[bool] = ..., ordered: _Optional[bool] = ...) -> None: ...

class VaultStatus(_message.Message):
    __slots__ = ("name", "epoch", "has_share", "threshold", "signers", "backup_verified", "is_holder")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HAS_SHARE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    BACKUP_VERIFIED_FIELD_NUMBER: _ClassVar[int]
    IS_HOLDER_FIELD_NUMBER: _ClassVar[int]
    name: str
    epoch: int
    has_share: bool
    threshold: int
    signers: int
    backup_verified: bool
    is_holder: bool
    def __init__(self, name: _Optional[str] = ..., epoch: _Optional[int] = ..., has_share: _Optional[bool] = ..., threshold: _Optional[int] = ..., signers: _Optional[int] = ..., backup_verified: _Optional[bool] = ..., is_holder: _Optional[bool] = ...) -> None: ...

class LocalFreeze(_message.Message):
    __slots__ = ("id", "vault", "why", "since_ms", "logged")
    ID_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    LOGGED_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    vault: str
    why: str
    since_ms: int
    logged: bool
    def __init__(self, id: _Optional[bytes] = ..., vault: _Optional[str] = ..., why: _Optional[str] = ..., since_ms: _Optional[int] = ..., logged: _Optional[bool] = ...) -> None: ...

class FreezeRequest(_message.Message):
    __slots__ = ("vault", "why")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    vault: str
    why: str
    def __init__(self, vault: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class FreezeResponse(_message.Message):
    __slots__ = ("freeze_id",)
    FREEZE_ID_FIELD_NUMBER: _ClassVar[int]
    freeze_id: bytes
    def __init__(self, freeze_id: _Optional[bytes] = ...) -> None: ...

class ThawRequest(_message.Message):
    __slots__ = ("freeze_id",)
    FREEZE_ID_FIELD_NUMBER: _ClassVar[int]
    freeze_id: bytes
    def __init__(self, freeze_id: _Optional[bytes] = ...) -> None: ...

class ThawResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HandInRequest(_message.Message):
    __slots__ = ("order", "endorsements")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    endorsements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, order: _Optional[bytes] = ..., endorsements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class HandInResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: str
    def __init__(self, effect: _Optional[str] = ...) -> None: ...

class ReinstateRequest(_message.Message):
    __slots__ = ("evidence_hash",)
    EVIDENCE_HASH_FIELD_NUMBER: _ClassVar[int]
    evidence_hash: bytes
    def __init__(self, evidence_hash: _Optional[bytes] = ...) -> None: ...

class ReinstateResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportLogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportLogResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ListRecoveryDataRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRecoveryDataResponse(_message.Message):
    __slots__ = ("vault", "recovery")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_FIELD_NUMBER: _ClassVar[int]
    vault: bytes
    recovery: bytes
    def __init__(self, vault: _Optional[bytes] = ..., recovery: _Optional[bytes] = ...) -> None: ...

class NoteBackupRequest(_message.Message):
    __slots__ = ("notes",)
    NOTES_FIELD_NUMBER: _ClassVar[int]
    notes: _containers.RepeatedCompositeFieldContainer[BackupNote]
    def __init__(self, notes: _Optional[_Iterable[_Union[BackupNote, _Mapping]]] = ...) -> None: ...

class BackupNote(_message.Message):
    __slots__ = ("vault", "epoch")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    vault: str
    epoch: int
    def __init__(self, vault: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class NoteBackupResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AcceptRequest(_message.Message):
    __slots__ = ("order_hash",)
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    def __init__(self, order_hash: _Optional[bytes] = ...) -> None: ...

class AcceptResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: str
    def __init__(self, effect: _Optional[str] = ...) -> None: ...
