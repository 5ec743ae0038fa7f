"""Every fuzz target, by importing the modules that register them."""

from __future__ import annotations

import fuzz_chain
import fuzz_clients
import fuzz_conversation
import fuzz_crypto
import fuzz_evidence
import fuzz_files
import fuzz_handover
import fuzz_ledger
import fuzz_link
import fuzz_recovery
import fuzz_recovery_kit
import fuzz_redistribution
import fuzz_restart
import fuzz_rpc
import fuzz_store
from fuzz_target import TARGETS

__all__ = ["TARGETS"]

_REGISTERED_BY = (
    fuzz_chain,
    fuzz_clients,
    fuzz_conversation,
    fuzz_crypto,
    fuzz_evidence,
    fuzz_files,
    fuzz_handover,
    fuzz_ledger,
    fuzz_link,
    fuzz_recovery,
    fuzz_recovery_kit,
    fuzz_redistribution,
    fuzz_restart,
    fuzz_rpc,
    fuzz_store,
)
