"""Which vaults an amendment leaves without enough holders that can deal: whose host keys stay what they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import VaultRecord
from strongroom_client.orders import Action
from strongroom_client.treasury import TreasuryClient

__all__ = ["dealer_warnings", "lost_dealers"]


async def lost_dealers(client: TreasuryClient, action: Action) -> tuple[str, ...]:
    """The warnings about an order, if it amends the charter; the vaults are proven."""
    if not isinstance(action, AmendCharter):
        return ()
    vaults = [proven.record for proven in await client.vaults()]
    return tuple(dealer_warnings(vaults, decode_charter(action.charter)))


def dealer_warnings(vaults: Iterable[VaultRecord], after: Charter) -> Iterator[str]:
    """A line for each vault of which fewer than the threshold of holders keep the host keys of its epoch.

    The shares of the others go over to new host keys only when `threshold` old machines deal, which the charter cannot
    know: they may run on until then. So this is a warning, and no rule of the log.

    Args:
        vaults: Vaults as the log has them.
        after: The charter that is asked for.
    """
    keys = {signer.name: signer.host_key for signer in after.signers}
    for vault in vaults:
        held = zip(vault.signers, vault.host_keys, strict=True)
        replaced = [name for name, key in held if name in keys and keys[name] != key]
        if len(replaced) > len(vault.signers) - vault.threshold:
            yield (
                f"vault {vault.name}: this replaces the host keys of {', '.join(replaced)}, "
                f"{len(replaced)} of {len(vault.signers)} holders. {vault.threshold} of the old machines must "
                "still be there to deal the shares to the new keys: destroy none of them before the refresh is final"
            )
