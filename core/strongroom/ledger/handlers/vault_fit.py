"""Whether a charter can serve a vault: its coin, and holders and witnesses enough to sign for it.

Every vault fits the charter in force, and from the entry on by which two witness sets rule together also the one that
comes into force with the second. Charters are held against the vaults that there are, and vaults, when they are born or
get other holders, against the charters: so the end of a handover has nothing left to look at, and can never be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.charter import Charter
from strongroom.ledger.handlers.decoding import decode_inner
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import WitnessPhase
from strongroom.ledger.state import State

__all__ = ["require_next_serves", "vault_problems"]


def vault_problems(
    charter: Charter, vault: str, *, signers: Sequence[str], threshold: int, chain: str
) -> Iterator[str]:
    """Tell why a charter could not serve a vault of these holders; nothing when it could."""
    holders = {signer.name for signer in charter.signers}.intersection(signers)
    if len(holders) < threshold:
        yield f"{len(holders)} of the {threshold} holders that vault {vault} needs would stay"
    if charter.witness_quorum < threshold:
        yield f"the witness quorum {charter.witness_quorum} is below the threshold {threshold} of {vault}"
    if BY_CAIP2[chain].asset_id not in {asset.id for asset in charter.assets}:
        yield f"the coin of vault {vault} would be listed no more"


def require_next_serves(state: State, vault: str, *, signers: Sequence[str], threshold: int, chain: str) -> None:
    """Refuse holders of a vault whom the witness set that is about to take over could not serve.

    Raises:
        Refused: VAULT_SIGNERS; with both sets in force their charter is settled, and the vault must wait for it.
    """
    if state.witnesses.phase is not WitnessPhase.JOINT:
        return
    coming = decode_inner(Charter, state.next_charter)
    for problem in vault_problems(coming, vault, signers=signers, threshold=threshold, chain=chain):
        raise refused("VAULT_SIGNERS", f"by the charter of the handover under way, {problem}", vault=vault)
