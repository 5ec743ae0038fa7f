"""Whether a charter can serve a vault: its coin, and holders and witnesses enough to sign for it.

One rule for a vault's birth, its new shares, and every change of the charter. A vault needs as many signers among its
holders as its threshold, or nobody signs for it. And its threshold is no larger than the witness quorum: every quorum
that certifies a head then has as many members as are needed to sign by it.

Every vault fits the charter in force, and from the entry on by which two witness sets rule together also the one that
comes into force with the second. Charters are held against the vaults that there are, and vaults, when they are born or
get other holders, against the charters: so the end of a handover has nothing left to look at, and can never be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.records import VaultRecord, WitnessPhase
from strongroom.ledger.state import State

__all__ = ["problem_of_holders", "problems_of_successor", "vault_problems"]


def vault_problems(
    charter: Charter, vault: str, *, signers: Sequence[str], threshold: int, chain: str
) -> Iterator[str]:
    """Tell why a charter could not serve a vault of these holders; nothing when it could."""
    stay = _among(charter, signers)
    if len(stay) < threshold:
        yield _holders_lack(vault, len(stay), threshold)
    if charter.witness_quorum < threshold:
        yield _quorum_lacks(vault, charter, threshold)
    if not _lists_coin(charter, chain):
        yield _coin_lacks(vault)


def problem_of_holders(
    state: State, vault: str, *, signers: Sequence[str], threshold: int, chain: str, absent: Sequence[str] = ()
) -> str | None:
    """Say why a vault cannot have these holders and this threshold now; None if it can.

    Args:
        state: The state.
        vault: Its name.
        signers: The holders, all of which the charter in force must have.
        threshold: How many of them sign.
        chain: CAIP-2 chain id.
        absent: Holders that may have no share for a while, and so cannot be counted on.
    """
    if len(set(signers)) != len(signers):
        return "a holder is named twice"
    gone = frozenset(signers) - _among(state.charter, signers)
    if gone:
        return f"the charter has no signer {', '.join(sorted(gone))}: choose others"
    if threshold < 1:
        return "the threshold is 0, and it takes at least one holder to sign"
    present = [name for name in signers if name not in absent]
    for charter in _in_rule(state):
        for problem in vault_problems(charter, vault, signers=present, threshold=threshold, chain=chain):
            return problem
    return None


def problems_of_successor(state: State, successor: Charter, vault: VaultRecord) -> Iterator[str]:
    """Tell why a vault forbids that this charter follows the one in force.

    What is broken already forbids nothing that leaves it as it is: it must not stand in the way of a revocation.
    """
    before = state.charter
    if vault.threshold > len(stay := _among(successor, vault.signers)) and not _among(before, vault.signers) <= stay:
        yield _holders_lack(vault.name, len(stay), vault.threshold)
    if vault.threshold > successor.witness_quorum < before.witness_quorum:
        yield _quorum_lacks(vault.name, successor, vault.threshold)
    if _lists_coin(before, vault.chain) and not _lists_coin(successor, vault.chain):
        yield _coin_lacks(vault.name)


def _in_rule(state: State) -> Iterator[Charter]:
    """The charter in force, and the one that surely follows.

    One that is only wanted may still lapse, and takes its next step only if every vault allows it then.
    """
    yield state.charter
    if state.witnesses.phase is WitnessPhase.JOINT:
        yield decode_charter(state.next_charter)


def _among(charter: Charter, names: Sequence[str]) -> frozenset[str]:
    return frozenset(signer.name for signer in charter.signers).intersection(names)


def _lists_coin(charter: Charter, chain: str) -> bool:
    return BY_CAIP2[chain].asset_id in {asset.id for asset in charter.assets}


def _holders_lack(vault: str, stay: int, threshold: int) -> str:
    return f"{stay} of the {threshold} holders that vault {vault} needs would stay"


def _quorum_lacks(vault: str, charter: Charter, threshold: int) -> str:
    return f"the witness quorum {charter.witness_quorum} is below the threshold {threshold} of {vault}"


def _coin_lacks(vault: str) -> str:
    return f"the coin of vault {vault} would be listed no more"
