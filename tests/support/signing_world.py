"""Holders that answer the signing session, honestly or not, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import protocol_group
from protocol_group import Holders, deterministic, holders
from protocol_world import BOOT
from strongroom.crypto import bip340, frost
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Shares
from strongroom.protocol.commitments import NonceSet, make_commitments, verify_commitments
from strongroom.protocol.release import make_shares, open_set
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom.protocol.signing import AskCommitments, AskShares
from strongroom.protocol.signing_task import SigningTask


@dataclass
class Signers:
    """Every holder's own side: nonces by commitments body, used once."""

    owners: Holders
    task: SigningTask
    nonces: dict[bytes, NonceSet] = field(default_factory=dict)
    shares_made: list[bytes] = field(default_factory=list)
    """Commitment bodies for which a share left a holder."""
    count: int = 0

    @classmethod
    def of(cls, n: int, t: int, *, inputs: int = 1) -> Signers:
        owners = holders(n, t)
        return cls(owners=owners, task=protocol_group.task(owners, inputs=inputs))

    @property
    def vote_keys(self) -> Mapping[str, bytes]:
        return self.owners.public_vote_keys

    @property
    def names(self) -> tuple[str, ...]:
        return self.owners.group.signers

    def commit(self, signer: str) -> SignedBody:
        self.count += 1
        made = make_commitments(
            self.task,
            signer=signer,
            share=self.owners.shares[signer],
            key=self.owners.vote_keys[signer],
            boot_id=BOOT,
            random=deterministic(f"{signer} {self.count}"),
        )
        self.nonces[made.signed.body] = made
        return made.signed

    def share(self, signer: str, asked: AskShares, *, wrong: bool = False) -> SignedBody:
        verified = [verify_commitments(item, task=self.task, vote_keys=self.vote_keys) for item in asked.commitments]
        chosen = open_set(self.task, verified)
        own = next(item.signed.body for item in verified if item.signer == signer)
        signed = make_shares(
            chosen,
            self.nonces[own],
            signer=signer,
            share=self.owners.shares[signer],
            key=self.owners.vote_keys[signer],
            certified_size=self.task.entry_index + 1,
        )
        self.shares_made.append(own)
        if not wrong:
            return signed
        message = codec.decode(Shares, signed.body, max_size=1_000_000)
        return sign_body(
            "shares",
            replace(message, shares=(bytes(31) + b"\x02", *message.shares[1:])),
            self.owners.vote_keys[signer],
        )

    def signature_is_valid(self, signatures: tuple[bytes, ...]) -> bool:
        keys = [frost.tweaked_key(self.owners.group.group_key, item).point.xonly() for item in self.task.tweaks]
        return len(signatures) == len(keys) and all(
            bip340.verify(key, digest, signature)
            for key, digest, signature in zip(keys, self.task.digests, signatures, strict=True)
        )


def asked_for_commitments(commands: object) -> tuple[str, ...]:
    assert isinstance(commands, tuple)
    return tuple(name for item in commands if isinstance(item, AskCommitments) for name in item.signers)


def the_set(commands: object) -> AskShares:
    assert isinstance(commands, tuple)
    (found,) = [item for item in commands if isinstance(item, AskShares)]
    return found
