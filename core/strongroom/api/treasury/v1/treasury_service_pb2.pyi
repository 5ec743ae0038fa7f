import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from strongroom.api.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetLedgerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLedgerResponse(_message.Message):
    __slots__ = ("log_id", "charter", "founding_entry", "certificate", "final_certificate", "final_head", "checkpoint", "handovers")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    FOUNDING_ENTRY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    FINAL_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    FINAL_HEAD_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    HANDOVERS_FIELD_NUMBER: _ClassVar[int]
    log_id: bytes
    charter: _types_pb2.RecordProof
    founding_entry: bytes
    certificate: bytes
    final_certificate: bytes
    final_head: _types_pb2.LogHead
    checkpoint: str
    handovers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, log_id: _Optional[bytes] = ..., charter: _Optional[_Union[_types_pb2.RecordProof, _Mapping]] = ..., founding_entry: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., final_certificate: _Optional[bytes] = ..., final_head: _Optional[_Union[_types_pb2.LogHead, _Mapping]] = ..., checkpoint: _Optional[str] = ..., handovers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SubmitOrderRequest(_message.Message):
    __slots__ = ("order", "endorsements")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    endorsements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, order: _Optional[bytes] = ..., endorsements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class SubmitOrderResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _types_pb2.Receipt
    def __init__(self, receipt: _Optional[_Union[_types_pb2.Receipt, _Mapping]] = ...) -> None: ...

class ItemResult(_message.Message):
    __slots__ = ("receipt", "reason", "message")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    receipt: _types_pb2.Receipt
    reason: str
    message: str
    def __init__(self, receipt: _Optional[_Union[_types_pb2.Receipt, _Mapping]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SubmitOrdersRequest(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[SubmitOrderRequest]
    def __init__(self, orders: _Optional[_Iterable[_Union[SubmitOrderRequest, _Mapping]]] = ...) -> None: ...

class SubmitOrdersResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ItemResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ItemResult, _Mapping]]] = ...) -> None: ...

class EndorseOrderRequest(_message.Message):
    __slots__ = ("endorsement",)
    ENDORSEMENT_FIELD_NUMBER: _ClassVar[int]
    endorsement: _types_pb2.SignedBody
    def __init__(self, endorsement: _Optional[_Union[_types_pb2.SignedBody, _Mapping]] = ...) -> None: ...

class EndorseOrderResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _types_pb2.Receipt
    def __init__(self, receipt: _Optional[_Union[_types_pb2.Receipt, _Mapping]] = ...) -> None: ...

class EndorseOrdersRequest(_message.Message):
    __slots__ = ("endorsements",)
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    endorsements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, endorsements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class EndorseOrdersResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ItemResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ItemResult, _Mapping]]] = ...) -> None: ...

class GetOrderRequest(_message.Message):
    __slots__ = ("order_hash", "order_id")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    order_id: bytes
    def __init__(self, order_hash: _Optional[bytes] = ..., order_id: _Optional[bytes] = ...) -> None: ...

class GetOrderResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: _types_pb2.OrderView
    def __init__(self, order: _Optional[_Union[_types_pb2.OrderView, _Mapping]] = ...) -> None: ...

class ListOrdersRequest(_message.Message):
    __slots__ = ("page", "vault", "statuses")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    page: _types_pb2.PageRequest
    vault: str
    statuses: _containers.RepeatedScalarFieldContainer[_types_pb2.PaymentStatus]
    def __init__(self, page: _Optional[_Union[_types_pb2.PageRequest, _Mapping]] = ..., vault: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[_types_pb2.PaymentStatus, str]]] = ...) -> None: ...

class ListOrdersResponse(_message.Message):
    __slots__ = ("orders", "next_page_token")
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[_types_pb2.OrderView]
    next_page_token: str
    def __init__(self, orders: _Optional[_Iterable[_Union[_types_pb2.OrderView, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchOrdersRequest(_message.Message):
    __slots__ = ("cursor", "order_hashes")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ORDER_HASHES_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    order_hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, cursor: _Optional[int] = ..., order_hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class WatchOrdersResponse(_message.Message):
    __slots__ = ("cursor", "order")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    order: _types_pb2.OrderView
    def __init__(self, cursor: _Optional[int] = ..., order: _Optional[_Union[_types_pb2.OrderView, _Mapping]] = ...) -> None: ...

class ExplainOrderRequest(_message.Message):
    __slots__ = ("order_hash",)
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    def __init__(self, order_hash: _Optional[bytes] = ...) -> None: ...

class ExplainOrderResponse(_message.Message):
    __slots__ = ("explanation",)
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    explanation: _types_pb2.Explanation
    def __init__(self, explanation: _Optional[_Union[_types_pb2.Explanation, _Mapping]] = ...) -> None: ...

class ListVaultsRequest(_message.Message):
    __slots__ = ("page",)
    PAGE_FIELD_NUMBER: _ClassVar[int]
    page: _types_pb2.PageRequest
    def __init__(self, page: _Optional[_Union[_types_pb2.PageRequest, _Mapping]] = ...) -> None: ...

class ListVaultsResponse(_message.Message):
    __slots__ = ("vaults", "next_page_token")
    VAULTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vaults: _containers.RepeatedCompositeFieldContainer[_types_pb2.VaultView]
    next_page_token: str
    def __init__(self, vaults: _Optional[_Iterable[_Union[_types_pb2.VaultView, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("vault",)
    VAULT_FIELD_NUMBER: _ClassVar[int]
    vault: str
    def __init__(self, vault: _Optional[str] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: _types_pb2.Balance
    def __init__(self, balance: _Optional[_Union[_types_pb2.Balance, _Mapping]] = ...) -> None: ...

class ListFreezesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFreezesResponse(_message.Message):
    __slots__ = ("records", "tables", "rule_set", "state_time_ms", "certificate")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    RULE_SET_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedScalarFieldContainer[bytes]
    tables: _containers.RepeatedCompositeFieldContainer[_types_pb2.TableRoot]
    rule_set: int
    state_time_ms: int
    certificate: bytes
    def __init__(self, records: _Optional[_Iterable[bytes]] = ..., tables: _Optional[_Iterable[_Union[_types_pb2.TableRoot, _Mapping]]] = ..., rule_set: _Optional[int] = ..., state_time_ms: _Optional[int] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class ListDestinationsRequest(_message.Message):
    __slots__ = ("page", "chain", "address")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    page: _types_pb2.PageRequest
    chain: str
    address: str
    def __init__(self, page: _Optional[_Union[_types_pb2.PageRequest, _Mapping]] = ..., chain: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class ListDestinationsResponse(_message.Message):
    __slots__ = ("records", "next_page_token")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_types_pb2.RecordProof]
    next_page_token: str
    def __init__(self, records: _Optional[_Iterable[_Union[_types_pb2.RecordProof, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListBreakGlassRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBreakGlassResponse(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[_types_pb2.OrderView]
    def __init__(self, orders: _Optional[_Iterable[_Union[_types_pb2.OrderView, _Mapping]]] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ("first_index",)
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    def __init__(self, first_index: _Optional[int] = ...) -> None: ...

class ReadLogResponse(_message.Message):
    __slots__ = ("batches",)
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[_types_pb2.LogBatch]
    def __init__(self, batches: _Optional[_Iterable[_Union[_types_pb2.LogBatch, _Mapping]]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SignerStatus(_message.Message):
    __slots__ = ("name", "connected", "term", "certified_size", "last_refusal", "alarm", "version", "quarantine")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_SIZE_FIELD_NUMBER: _ClassVar[int]
    LAST_REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ALARM_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    name: str
    connected: bool
    term: int
    certified_size: int
    last_refusal: str
    alarm: str
    version: str
    quarantine: EvidenceSummary
    def __init__(self, name: _Optional[str] = ..., connected: _Optional[bool] = ..., term: _Optional[int] = ..., certified_size: _Optional[int] = ..., last_refusal: _Optional[str] = ..., alarm: _Optional[str] = ..., version: _Optional[str] = ..., quarantine: _Optional[_Union[EvidenceSummary, _Mapping]] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("term", "certified_size", "final_size", "leading", "signers", "chain_height", "chain_reachable", "queued", "version")
    TERM_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_SIZE_FIELD_NUMBER: _ClassVar[int]
    FINAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEADING_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHAIN_REACHABLE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    term: int
    certified_size: int
    final_size: int
    leading: bool
    signers: _containers.RepeatedCompositeFieldContainer[SignerStatus]
    chain_height: int
    chain_reachable: bool
    queued: int
    version: str
    def __init__(self, term: _Optional[int] = ..., certified_size: _Optional[int] = ..., final_size: _Optional[int] = ..., leading: _Optional[bool] = ..., signers: _Optional[_Iterable[_Union[SignerStatus, _Mapping]]] = ..., chain_height: _Optional[int] = ..., chain_reachable: _Optional[bool] = ..., queued: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class ListEvidenceRequest(_message.Message):
    __slots__ = ("page",)
    PAGE_FIELD_NUMBER: _ClassVar[int]
    page: _types_pb2.PageRequest
    def __init__(self, page: _Optional[_Union[_types_pb2.PageRequest, _Mapping]] = ...) -> None: ...

class ListEvidenceResponse(_message.Message):
    __slots__ = ("evidence", "next_page_token")
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    evidence: _containers.RepeatedCompositeFieldContainer[EvidenceSummary]
    next_page_token: str
    def __init__(self, evidence: _Optional[_Iterable[_Union[EvidenceSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EvidenceSummary(_message.Message):
    __slots__ = ("hash", "signer", "fault", "term", "plan_hash", "detail", "size", "find_time", "operator_cleared", "order_hash")
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FIND_TIME_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_CLEARED_FIELD_NUMBER: _ClassVar[int]
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    signer: str
    fault: str
    term: int
    plan_hash: bytes
    detail: str
    size: int
    find_time: _timestamp_pb2.Timestamp
    operator_cleared: bool
    order_hash: bytes
    def __init__(self, hash: _Optional[bytes] = ..., signer: _Optional[str] = ..., fault: _Optional[str] = ..., term: _Optional[int] = ..., plan_hash: _Optional[bytes] = ..., detail: _Optional[str] = ..., size: _Optional[int] = ..., find_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., operator_cleared: _Optional[bool] = ..., order_hash: _Optional[bytes] = ...) -> None: ...

class ExportLogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportLogResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class GetEvidenceRequest(_message.Message):
    __slots__ = ("hash",)
    HASH_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    def __init__(self, hash: _Optional[bytes] = ...) -> None: ...

class GetEvidenceResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...
