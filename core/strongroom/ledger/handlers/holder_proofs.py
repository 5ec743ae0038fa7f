"""What holders put under new key material: statements that they have their shares, and trial signatures with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from strongroom.crypto import bip340, ed25519
from strongroom.ledger.charter import CharterSigner
from strongroom.ledger.entry_messages import Trial, VaultSignature
from strongroom.ledger.reasons import refused

__all__ = ["check_statements", "check_trials"]


def check_statements(
    statements: Sequence[VaultSignature], holders: Sequence[CharterSigner], signed: Callable[[str], bytes]
) -> None:
    """Check that each of these holders, in this sequence and nobody else, signed its statement with its vote key.

    Args:
        statements: The signatures.
        holders: Who must have signed.
        signed: Gives, for a holder's name, the bytes that its signature covers.

    Raises:
        Refused: VAULT_STATEMENTS or BAD_SIGNATURE.
    """
    if [one.signer for one in statements] != [holder.name for holder in holders]:
        raise refused("VAULT_STATEMENTS", "there must be one statement of each holder, in the order's sequence")
    for one, holder in zip(statements, holders, strict=True):
        if not ed25519.verify(holder.vote_key, signed(holder.name), one.signature):
            raise refused("BAD_SIGNATURE", f"the signature under the statement of {holder.name} does not verify")


def check_trials(
    trials: Sequence[Trial],
    signed: Callable[[tuple[int, ...]], bytes],
    *,
    group_key: bytes,
    present: Sequence[int],
    threshold: int,
) -> None:
    """Check that different subsets of these holders, together all of them, signed with their shares.

    Args:
        trials: The trial signatures.
        signed: Gives, for a subset, the 32 bytes that its signature covers.
        group_key: 33 bytes.
        present: Identifiers of the holders that must have tried, and no others may.
        threshold: Size of each subset.

    Raises:
        Refused: VAULT_TRIALS or BAD_SIGNATURE.
    """
    covered: set[int] = set()
    seen: set[tuple[int, ...]] = set()
    for trial in trials:
        subset = trial.signers
        ascending = all(left < right for left, right in pairwise(subset))
        if len(subset) != threshold or not ascending or not set(subset) <= set(present) or subset in seen:
            raise refused("VAULT_TRIALS", f"{subset} is no new ascending subset of {threshold} of the holders")
        seen.add(subset)
        covered.update(subset)
        if not bip340.verify(group_key[1:], signed(subset), trial.signature):
            raise refused("BAD_SIGNATURE", f"the trial signature by holders {subset} does not verify")
    if covered != set(present):
        raise refused("VAULT_TRIALS", f"{len(covered)} of {len(present)} holders have tried the key, all must")
