"""Names and hashes with a type of their own, so that one is never passed for another."""

from __future__ import annotations

from typing import NewType

LogId = NewType("LogId", bytes)
"""32 bytes: SHA-256 of the canonical genesis charter. Binds every signed word to one log."""

OrderHash = NewType("OrderHash", bytes)
"""32 bytes: SHA-256 of the exact order bytes that people signed. The key of an order in the state."""

PlanHash = NewType("PlanHash", bytes)
"""32 bytes: SHA-256 of a plan's canonical bytes."""

SignerName = NewType("SignerName", str)
"""`[a-z0-9-]{1,40}`, unique for ever among signers."""

PersonName = NewType("PersonName", str)
"""`[a-z0-9-]{1,40}`, unique for ever among people (a machine that may initiate is listed among people)."""

VaultName = NewType("VaultName", str)
"""`[a-z0-9-]{1,40}`, unique for ever among vaults."""

BootId = NewType("BootId", bytes)
"""16 random bytes, new at every start of a daemon."""
