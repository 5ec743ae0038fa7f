"""JSON-RPC errors with the codes of Bitcoin Core."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Error codes that Bitcoin Core's JSON-RPC interface uses."""

    MISC_ERROR = -1
    TYPE_ERROR = -3
    INVALID_ADDRESS_OR_KEY = -5
    INVALID_PARAMETER = -8
    DESERIALIZATION_ERROR = -22
    TRANSACTION_ERROR = -25
    TRANSACTION_REJECTED = -26
    TRANSACTION_ALREADY_IN_UTXO_SET = -27
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    PARSE_ERROR = -32700


class RpcError(Exception):
    """A failed call, as the caller will read it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Rejected(Exception):
    """The mempool does not take a transaction; `reason` is Bitcoin Core's reject reason, `details` adds to it."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(f"{reason}, {details}" if details else reason)
        self.reason = reason
        self.details = details

    @property
    def missing_inputs(self) -> bool:
        """True if an input names an output that neither the chain nor the mempool has unspent."""
        return self.reason == "bad-txns-inputs-missingorspent"
