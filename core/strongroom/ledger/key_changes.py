"""Orders that give a vault's key new shares: what they ask for, what loosens, and when they pass.

Such an order works under a freeze: it moves no coins, and may be the answer to what the freeze is about.
"""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.ledger.charter import Charter
from strongroom.ledger.judgement import Code, Endorsed, Judgement
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.rules import completed_ms, judge_quorum
from strongroom.ledger.state import State
from strongroom.ledger.vault_fit import problem_of_holders
from strongroom.model.quantities import duration_text, time_text

__all__ = [
    "KeyChange",
    "NewHolders",
    "judge_key_change",
    "loosens",
    "new_holders",
    "problem_of_wanted",
    "trusts_all_present",
    "vaults_of",
]

KeyChange = RefreshShares | ReshareVault


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHolders:
    """Who holds a vault's key after an order for new shares.

    Attributes:
        signers: Holders in participant order.
        threshold: How many of them sign.
        absent: Holders, old or new, that neither deal nor are waited for.
    """

    signers: tuple[str, ...]
    threshold: int
    absent: tuple[str, ...]

    @property
    def required(self) -> tuple[str, ...]:
        """Those that must state that they have their new share, and try it."""
        return tuple(name for name in self.signers if name not in self.absent)


def vaults_of(action: KeyChange) -> tuple[str, ...]:
    """Return the names of the vaults that an order for new shares is about."""
    return action.vaults if isinstance(action, RefreshShares) else (action.vault,)


def new_holders(action: KeyChange, vault: VaultRecord) -> NewHolders:
    """Return who is to hold this vault's key; the order must be about it."""
    if isinstance(action, RefreshShares):
        return NewHolders(signers=vault.signers, threshold=vault.threshold, absent=action.absent)
    return NewHolders(signers=action.signers, threshold=action.threshold, absent=action.absent)


def problem_of_wanted(state: State, vault: VaultRecord, wanted: NewHolders) -> str | None:
    """Say why the vault cannot be held as wanted now; None if it can. An absent holder is not counted on."""
    return problem_of_holders(
        state,
        vault.name,
        signers=wanted.signers,
        threshold=wanted.threshold,
        chain=vault.chain,
        absent=wanted.absent,
    )


def loosens(action: KeyChange, vault: VaultRecord) -> bool:
    """Whether others, or fewer together, could sign afterwards, or fewer could be lost, than before.

    Who commands the admin quorum for an hour could otherwise leave a vault that ends with the next lost machine.
    """
    wanted = new_holders(action, vault)
    spare, spare_before = len(wanted.signers) - wanted.threshold, len(vault.signers) - vault.threshold
    is_held_by_others = not set(wanted.signers) <= set(vault.signers)
    return wanted.threshold < vault.threshold or is_held_by_others or spare < spare_before


def trusts_all_present(wanted: NewHolders) -> bool:
    """Whether one bad holder that is present could leave the vault with too few good shares.

    Nobody checks what is dealt to an absent holder before the old shares are erased. If its share is spoiled, fewer
    than a threshold being bad, as many honest ones as the threshold are sure to have stated only among 2t - 1.
    """
    is_somebody_absent = any(name in wanted.absent for name in wanted.signers)
    return is_somebody_absent and len(wanted.required) < 2 * wanted.threshold - 1


def judge_key_change(charter: Charter, endorsements: tuple[Endorsed, ...], *, loosening: bool, at_ms: int) -> Judgement:
    """Judge an order for new shares by the charter's admin quorum, and its loosening delay where that applies.

    A quorum that was complete once stays so until the order expires, as long as the charter has its keys: a delay may
    be longer than any endorsement lives, and holders need not all be there at once.

    Args:
        charter: The charter in force.
        endorsements: Everything accepted about the order.
        loosening: Whether the order loosens anything, `loosens`.
        at_ms: Unix milliseconds.
    """
    complete_ms = completed_ms(charter, charter.admin, endorsements)
    if complete_ms is None:
        return judge_quorum(charter, charter.admin, endorsements, at_ms=at_ms)
    begins_ms = complete_ms + (charter.loosening_delay_ms if loosening else 0)
    if begins_ms <= at_ms:
        return Judgement(allowed=True, code=Code.ALLOWED, rule=None, missing=(), tried=())
    wait = f"wait until {time_text(begins_ms)} (loosening delay {duration_text(charter.loosening_delay_ms)})"
    return Judgement(allowed=False, code=Code.DELAY_RUNNING, rule=None, missing=(wait,), tried=())
