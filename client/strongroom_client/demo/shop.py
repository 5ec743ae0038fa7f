"""The shop's server of the demonstration: an integrator that uses the SDK."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Final

from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client.demo.deployment import Deployment
from strongroom_client.integration import IntegrationClient
from strongroom_client.orders import Seen, draft, endorsement
from strongroom_client.person_key import PersonKey
from strongroom_client.profile import Memory, load_profile

__all__ = ["Shop"]

_DAY_MS: Final = 24 * 3_600_000
_MAX_FEE_SAT: Final = 50_000


class Shop:
    """Orders withdrawals through `integration.v1`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._name = deployment.shape.machines[0]

    def order(self, vault: str, address: str, amounts: Mapping[str, int]) -> dict[str, str]:
        """Order one withdrawal for each amount, in satoshi, all at once; return the order hashes in hex.

        Raises:
            StrongroomError: one was refused, or its receipt does not prove that it is logged.
        """
        return asyncio.run(self._order(vault, address, amounts))

    async def _order(self, vault: str, address: str, amounts: Mapping[str, int]) -> dict[str, str]:
        deployment = self._deployment
        endpoint = deployment.endpoint(self._name)
        with _opened(deployment, self._name) as key:
            async with IntegrationClient.connect(endpoint, log_id=deployment.log_id) as client:
                seen = await client.seen()
                drafts = [
                    draft(
                        Withdraw(
                            vault=vault,
                            asset=REGTEST.asset_id,
                            amount=amount,
                            destination=address,
                            max_fee=_MAX_FEE_SAT,
                        ),
                        log_id=deployment.log_id,
                        expires_ms=_now_ms() + _DAY_MS,
                        random=secrets.token_bytes,
                        note=f"customer withdrawal, {name} of today",
                    )
                    for name, amount in amounts.items()
                ]
                signed = [(one.data, [_say(key, deployment, Verb.INITIATE, one.hash, seen)]) for one in drafts]
                receipts = await client.create_withdrawals(signed)
        hashes: dict[str, str] = {}
        for name, receipt in zip(amounts, receipts, strict=True):
            if isinstance(receipt, StrongroomError):
                raise receipt
            hashes[name] = receipt.order_hash.hex()
        return hashes

    @staticmethod
    def approval(deployment: Deployment, person: str, order: str) -> dict[str, str]:
        """A person's signed approval as it leaves their computer, wherever it goes then: body and signature in hex."""
        profile_file = deployment.person(person) / "profile.toml"
        seen = Memory.beside(profile_file, load_profile(profile_file).log_id).head()
        with _opened(deployment, person) as key:
            said = _say(
                key,
                deployment,
                Verb.APPROVE,
                OrderHash(bytes.fromhex(order)),
                seen or Seen(size=1, root=bytes(32)),
            )
        return {"body": said.body.hex(), "signature": said.signature.hex()}


def _opened(deployment: Deployment, name: str) -> PersonKey:
    with SecretBytes(bytearray(deployment.passphrase_file.read_bytes().strip())) as phrase:
        return PersonKey.open(deployment.person(name), phrase)


def _say(key: PersonKey, deployment: Deployment, verb: Verb, order: OrderHash, seen: Seen) -> SignedBody:
    body = endorsement(
        verb, order, log_id=deployment.log_id, seen=seen, now_ms=_now_ms(), person=key.name, key=key.public
    )
    return SignedBody.of(key.sign_endorsement(body))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
