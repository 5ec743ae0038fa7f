"""Strongroom's client: an asynchronous SDK that proves what it returns, and the command line on top of it."""

from strongroom_client.answers import OrderStatus, Receipt, derive_address
from strongroom_client.channel import Endpoint
from strongroom_client.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFinalYet,
    NotFound,
    NotProven,
    PermissionDenied,
    PinMismatch,
    RemoteError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from strongroom_client.integration import IntegrationClient
from strongroom_client.orders import draft, endorsement, fingerprint
from strongroom_client.treasury import TreasuryClient
from strongroom_client.trust import Proven, Trust

__all__ = [
    "Aborted",
    "AlreadyExists",
    "DeadlineExceeded",
    "Endpoint",
    "FailedPrecondition",
    "IntegrationClient",
    "Internal",
    "InvalidArgument",
    "NotFinalYet",
    "NotFound",
    "NotProven",
    "OrderStatus",
    "PermissionDenied",
    "PinMismatch",
    "Proven",
    "Receipt",
    "RemoteError",
    "ResourceExhausted",
    "TreasuryClient",
    "Trust",
    "Unauthenticated",
    "Unavailable",
    "derive_address",
    "draft",
    "endorsement",
    "fingerprint",
]
