import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STATUS_UNSPECIFIED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_OPEN: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_PAYABLE: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_PAID: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_NEVER_WILL_BE_PAID: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_DONE: _ClassVar[PaymentStatus]
PAYMENT_STATUS_UNSPECIFIED: PaymentStatus
PAYMENT_STATUS_OPEN: PaymentStatus
PAYMENT_STATUS_PAYABLE: PaymentStatus
PAYMENT_STATUS_PAID: PaymentStatus
PAYMENT_STATUS_NEVER_WILL_BE_PAID: PaymentStatus
PAYMENT_STATUS_DONE: PaymentStatus

class SignedBody(_message.Message):
    __slots__ = ("body", "signature")
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    signature: bytes
    def __init__(self, body: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class LogHead(_message.Message):
    __slots__ = ("size", "root")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    size: int
    root: bytes
    def __init__(self, size: _Optional[int] = ..., root: _Optional[bytes] = ...) -> None: ...

class InclusionProof(_message.Message):
    __slots__ = ("entry_index", "path", "certificate")
    ENTRY_INDEX_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    entry_index: int
    path: _containers.RepeatedScalarFieldContainer[bytes]
    certificate: bytes
    def __init__(self, entry_index: _Optional[int] = ..., path: _Optional[_Iterable[bytes]] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class RecordProof(_message.Message):
    __slots__ = ("record", "table", "sequence", "path", "tables", "rule_set", "state_time_ms", "certificate", "final_certificate")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    RULE_SET_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    FINAL_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    record: bytes
    table: str
    sequence: int
    path: _containers.RepeatedScalarFieldContainer[bytes]
    tables: _containers.RepeatedCompositeFieldContainer[TableRoot]
    rule_set: int
    state_time_ms: int
    certificate: bytes
    final_certificate: bytes
    def __init__(self, record: _Optional[bytes] = ..., table: _Optional[str] = ..., sequence: _Optional[int] = ..., path: _Optional[_Iterable[bytes]] = ..., tables: _Optional[_Iterable[_Union[TableRoot, _Mapping]]] = ..., rule_set: _Optional[int] = ..., state_time_ms: _Optional[int] = ..., certificate: _Optional[bytes] = ..., final_certificate: _Optional[bytes] = ...) -> None: ...

class TableRoot(_message.Message):
    __slots__ = ("table", "count", "root")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    table: str
    count: int
    root: bytes
    def __init__(self, table: _Optional[str] = ..., count: _Optional[int] = ..., root: _Optional[bytes] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("order_hash", "entry", "inclusion", "already_known")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    ALREADY_KNOWN_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    entry: bytes
    inclusion: InclusionProof
    already_known: bool
    def __init__(self, order_hash: _Optional[bytes] = ..., entry: _Optional[bytes] = ..., inclusion: _Optional[_Union[InclusionProof, _Mapping]] = ..., already_known: _Optional[bool] = ...) -> None: ...

class PlanProgress(_message.Message):
    __slots__ = ("plan_hash", "txid", "stage", "confirmations", "block_height", "fee", "fee_rate", "refusals", "raw_transaction")
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    TXID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    FEE_RATE_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    RAW_TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    plan_hash: bytes
    txid: bytes
    stage: str
    confirmations: int
    block_height: int
    fee: str
    fee_rate: int
    refusals: _containers.RepeatedScalarFieldContainer[str]
    raw_transaction: str
    def __init__(self, plan_hash: _Optional[bytes] = ..., txid: _Optional[bytes] = ..., stage: _Optional[str] = ..., confirmations: _Optional[int] = ..., block_height: _Optional[int] = ..., fee: _Optional[str] = ..., fee_rate: _Optional[int] = ..., refusals: _Optional[_Iterable[str]] = ..., raw_transaction: _Optional[str] = ...) -> None: ...

class OrderView(_message.Message):
    __slots__ = ("order_hash", "record", "status", "waits_for", "plans", "submit_time", "update_time")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    record: RecordProof
    status: PaymentStatus
    waits_for: str
    plans: _containers.RepeatedCompositeFieldContainer[PlanProgress]
    submit_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, order_hash: _Optional[bytes] = ..., record: _Optional[_Union[RecordProof, _Mapping]] = ..., status: _Optional[_Union[PaymentStatus, str]] = ..., waits_for: _Optional[str] = ..., plans: _Optional[_Iterable[_Union[PlanProgress, _Mapping]]] = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("allowed", "rule", "missing", "tried", "views", "silent")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    TRIED_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    rule: str
    missing: _containers.RepeatedScalarFieldContainer[str]
    tried: _containers.RepeatedScalarFieldContainer[str]
    views: _containers.RepeatedCompositeFieldContainer[SignedBody]
    silent: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed: _Optional[bool] = ..., rule: _Optional[str] = ..., missing: _Optional[_Iterable[str]] = ..., tried: _Optional[_Iterable[str]] = ..., views: _Optional[_Iterable[_Union[SignedBody, _Mapping]]] = ..., silent: _Optional[_Iterable[str]] = ...) -> None: ...

class VaultView(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: RecordProof
    def __init__(self, record: _Optional[_Union[RecordProof, _Mapping]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("vault", "asset", "confirmed", "pending_in", "pending_out", "coins")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    PENDING_IN_FIELD_NUMBER: _ClassVar[int]
    PENDING_OUT_FIELD_NUMBER: _ClassVar[int]
    COINS_FIELD_NUMBER: _ClassVar[int]
    vault: str
    asset: str
    confirmed: str
    pending_in: str
    pending_out: str
    coins: int
    def __init__(self, vault: _Optional[str] = ..., asset: _Optional[str] = ..., confirmed: _Optional[str] = ..., pending_in: _Optional[str] = ..., pending_out: _Optional[str] = ..., coins: _Optional[int] = ...) -> None: ...

class Deposit(_message.Message):
    __slots__ = ("vault", "index", "address", "asset", "amount", "txid", "vout", "confirmations", "block_height", "cursor", "removed")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TXID_FIELD_NUMBER: _ClassVar[int]
    VOUT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    vault: str
    index: int
    address: str
    asset: str
    amount: str
    txid: bytes
    vout: int
    confirmations: int
    block_height: int
    cursor: int
    removed: bool
    def __init__(self, vault: _Optional[str] = ..., index: _Optional[int] = ..., address: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[str] = ..., txid: _Optional[bytes] = ..., vout: _Optional[int] = ..., confirmations: _Optional[int] = ..., block_height: _Optional[int] = ..., cursor: _Optional[int] = ..., removed: _Optional[bool] = ...) -> None: ...

class PageRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class LogBatch(_message.Message):
    __slots__ = ("first_index", "entries", "certificate")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    certificate: bytes
    def __init__(self, first_index: _Optional[int] = ..., entries: _Optional[_Iterable[bytes]] = ..., certificate: _Optional[bytes] = ...) -> None: ...
