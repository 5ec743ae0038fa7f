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
    __slots__ = ("log_id", "charter", "founding_entry", "certificate", "final_certificate", "final_head", "handovers")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    FOUNDING_ENTRY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    FINAL_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    FINAL_HEAD_FIELD_NUMBER: _ClassVar[int]
    HANDOVERS_FIELD_NUMBER: _ClassVar[int]
    log_id: bytes
    charter: _types_pb2.RecordProof
    founding_entry: bytes
    certificate: bytes
    final_certificate: bytes
    final_head: _types_pb2.LogHead
    handovers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, log_id: _Optional[bytes] = ..., charter: _Optional[_Union[_types_pb2.RecordProof, _Mapping]] = ..., founding_entry: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., final_certificate: _Optional[bytes] = ..., final_head: _Optional[_Union[_types_pb2.LogHead, _Mapping]] = ..., handovers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CreateWithdrawalRequest(_message.Message):
    __slots__ = ("order", "endorsements")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ENDORSEMENTS_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    endorsements: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedBody]
    def __init__(self, order: _Optional[bytes] = ..., endorsements: _Optional[_Iterable[_Union[_types_pb2.SignedBody, _Mapping]]] = ...) -> None: ...

class CreateWithdrawalResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _types_pb2.Receipt
    def __init__(self, receipt: _Optional[_Union[_types_pb2.Receipt, _Mapping]] = ...) -> None: ...

class CreateWithdrawalsRequest(_message.Message):
    __slots__ = ("withdrawals",)
    WITHDRAWALS_FIELD_NUMBER: _ClassVar[int]
    withdrawals: _containers.RepeatedCompositeFieldContainer[CreateWithdrawalRequest]
    def __init__(self, withdrawals: _Optional[_Iterable[_Union[CreateWithdrawalRequest, _Mapping]]] = ...) -> None: ...

class WithdrawalResult(_message.Message):
    __slots__ = ("receipt", "reason", "message")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    receipt: _types_pb2.Receipt
    reason: str
    message: str
    def __init__(self, receipt: _Optional[_Union[_types_pb2.Receipt, _Mapping]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class CreateWithdrawalsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WithdrawalResult]
    def __init__(self, results: _Optional[_Iterable[_Union[WithdrawalResult, _Mapping]]] = ...) -> None: ...

class GetWithdrawalRequest(_message.Message):
    __slots__ = ("order_hash", "order_id")
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    order_hash: bytes
    order_id: bytes
    def __init__(self, order_hash: _Optional[bytes] = ..., order_id: _Optional[bytes] = ...) -> None: ...

class GetWithdrawalResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: _types_pb2.OrderView
    def __init__(self, order: _Optional[_Union[_types_pb2.OrderView, _Mapping]] = ...) -> None: ...

class ListWithdrawalsRequest(_message.Message):
    __slots__ = ("page", "vault", "statuses")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    page: _types_pb2.PageRequest
    vault: str
    statuses: _containers.RepeatedScalarFieldContainer[_types_pb2.PaymentStatus]
    def __init__(self, page: _Optional[_Union[_types_pb2.PageRequest, _Mapping]] = ..., vault: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[_types_pb2.PaymentStatus, str]]] = ...) -> None: ...

class ListWithdrawalsResponse(_message.Message):
    __slots__ = ("orders", "next_page_token")
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[_types_pb2.OrderView]
    next_page_token: str
    def __init__(self, orders: _Optional[_Iterable[_Union[_types_pb2.OrderView, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchWithdrawalsRequest(_message.Message):
    __slots__ = ("cursor", "order_hashes")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ORDER_HASHES_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    order_hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, cursor: _Optional[int] = ..., order_hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class WatchWithdrawalsResponse(_message.Message):
    __slots__ = ("cursor", "order")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    order: _types_pb2.OrderView
    def __init__(self, cursor: _Optional[int] = ..., order: _Optional[_Union[_types_pb2.OrderView, _Mapping]] = ...) -> None: ...

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

class GetAddressRequest(_message.Message):
    __slots__ = ("vault", "index")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    vault: str
    index: int
    def __init__(self, vault: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class GetAddressResponse(_message.Message):
    __slots__ = ("address", "vault")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    address: str
    vault: _types_pb2.VaultView
    def __init__(self, address: _Optional[str] = ..., vault: _Optional[_Union[_types_pb2.VaultView, _Mapping]] = ...) -> None: ...

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

class ListDepositsRequest(_message.Message):
    __slots__ = ("page", "vault")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    page: _types_pb2.PageRequest
    vault: str
    def __init__(self, page: _Optional[_Union[_types_pb2.PageRequest, _Mapping]] = ..., vault: _Optional[str] = ...) -> None: ...

class ListDepositsResponse(_message.Message):
    __slots__ = ("deposits", "next_page_token")
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deposits: _containers.RepeatedCompositeFieldContainer[_types_pb2.Deposit]
    next_page_token: str
    def __init__(self, deposits: _Optional[_Iterable[_Union[_types_pb2.Deposit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchDepositsRequest(_message.Message):
    __slots__ = ("cursor", "vault")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    vault: str
    def __init__(self, cursor: _Optional[int] = ..., vault: _Optional[str] = ...) -> None: ...

class WatchDepositsResponse(_message.Message):
    __slots__ = ("cursor", "deposit")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    deposit: _types_pb2.Deposit
    def __init__(self, cursor: _Optional[int] = ..., deposit: _Optional[_Union[_types_pb2.Deposit, _Mapping]] = ...) -> None: ...
