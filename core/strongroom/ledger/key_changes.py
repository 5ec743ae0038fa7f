"""Orders that give a vault's key new shares: what they ask for, what loosens, and when they pass.

Such an order works under a freeze: it moves no coins, and may be the answer to what the freeze is about.
"""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.ledger.charter import Charter
from strongroom.ledger.judgement import Code, Endorsed, Judgement
from strongroom.ledger.messages import RefreshShares, ReshareVault, Verb
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.rules import judge_quorum, person_key_known, quorum_members
from strongroom.model.quantities import duration_text, time_text

__all__ = ["KeyChange", "NewHolders", "judge_key_change", "loosens", "new_holders", "vaults_of"]

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


def loosens(action: KeyChange, vault: VaultRecord) -> bool:
    """Whether more people, or fewer of them together, could sign afterwards than before."""
    wanted = new_holders(action, vault)
    return wanted.threshold < vault.threshold or not set(wanted.signers) <= set(vault.signers)


def judge_key_change(charter: Charter, endorsements: tuple[Endorsed, ...], *, loosening: bool, at_ms: int) -> Judgement:
    """Judge an order for new shares by the charter's admin quorum, and its loosening delay where that applies.

    Args:
        charter: The charter in force.
        endorsements: Everything accepted about the order.
        loosening: Whether the order loosens anything, `loosens`.
        at_ms: Unix milliseconds.
    """
    quorum = judge_quorum(charter, charter.admin, endorsements, at_ms=at_ms)
    if not quorum.allowed or not loosening:
        return quorum
    members = quorum_members(charter, charter.admin)
    said: dict[str, int] = {}
    for one in endorsements:
        counts = at_ms < one.expires_ms and person_key_known(charter, one.person, one.key)
        if one.verb is Verb.APPROVE and one.person in members and counts:
            said[one.person] = min(one.time_ms, said.get(one.person, one.time_ms))
    last_needed_ms = sorted(said.values())[max(1, charter.admin.count) - 1]
    begins_ms = last_needed_ms + charter.loosening_delay_ms
    if begins_ms <= at_ms:
        return quorum
    wait = f"wait until {time_text(begins_ms)} (loosening delay {duration_text(charter.loosening_delay_ms)})"
    return Judgement(allowed=False, code=Code.DELAY_RUNNING, rule=None, missing=(wait,), tried=())
