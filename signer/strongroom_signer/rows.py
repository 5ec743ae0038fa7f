"""What the rows of signer.db hold, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Alarm", "Identity", "InboxItem", "LocalFreeze", "Pin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The signer's name and public keys: host 33 bytes, vote and witness 32."""

    name: str
    host_key: bytes
    vote_key: bytes
    witness_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The pinned log: SHA-256 of the canonical genesis charter, and that charter."""

    log_id: bytes
    charter: bytes
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """A person's rejection or freeze, or a revocation by the administrators.

    `body` is the canonical OrderEntry or Endorse it becomes in the log; of a revocation a HandedRevocation.

    `salvaged`: it came out of entries that a new term or a restart dropped, and nobody handed it in, or not all of it.
    """

    id: bytes
    kind: str
    body: bytes
    since_ms: int
    salvaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFreeze:
    """The operator's own freeze: the signed FreezeStatement. An empty vault name means all vaults."""

    id: bytes
    vault: str
    why: str
    body: bytes
    signature: bytes
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What keeps this signer from voting until somebody looks. The evidence is public bytes."""

    reason: str
    message: str
    evidence: bytes
    since_ms: int
