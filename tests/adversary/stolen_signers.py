"""Signers in the attacker's hands: their vote keys and key shares, to sign whatever it likes."""

from __future__ import annotations

import os
import shutil
from functools import cache

from cheat_report import NothingToCheatWith
from rogue_leader import RogueLeader
from rogue_shares import task_at

from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Plan
from strongroom.model.ids import BootId
from strongroom.protocol.certificates import Held, held_of, sign_vote
from strongroom.protocol.commitments import NonceSet, make_commitments
from strongroom.protocol.release import SigningSet, make_shares
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import sign_new_term
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.keys import open_keys
from strongroom_signer.passphrase import read_passphrase
from strongroom_signer.shares import Shares
from strongroom_signer.store import Store


class Mole:
    """A signer in the attacker's hands: its files, opened with its pass phrase."""

    def __init__(self, rogue: RogueLeader, name: str) -> None:
        self.name = name
        deployment = rogue.folder.parent
        folder = rogue.folder / f"signer-{name}"
        if not folder.exists():
            ignored = shutil.ignore_patterns("*.sock")
            shutil.copytree(deployment / "signers" / name, folder, ignore=ignored)
        store = Store.open(folder / DATABASE_FILE)
        self.keys = open_keys(folder, store, read_passphrase(deployment / "passphrase"))
        self._shares = Shares(store, self.keys.storage, random=os.urandom)
        self._rogue = rogue

    def vote(self, head: Head) -> SignedBody:
        """A vote for any head."""
        return sign_vote(self.keys.vote, head, held_of(self._rogue.certificate))

    def statement(self, term: int, stated: Held) -> SignedBody:
        """A statement that names whatever certificate it likes."""
        return sign_new_term(
            self.keys.vote,
            log_id=self._rogue.log_id,
            signer=self.name,
            term=term,
            leader=self._rogue.leader,
            boot_id=BootId(os.urandom(16)),
            held=stated,
        )

    def share(self, vault: str, epoch: int) -> SecretScalar:
        """Its share of one epoch."""
        share = self._shares.get(vault, epoch)
        if share is None:
            raise NothingToCheatWith(f"{self.name} holds no share of {vault}, epoch {epoch}")
        return share

    def nonces(self, plan: Plan, index: int) -> NonceSet:
        """Nonces of its own share, made as an honest signer would."""
        vault = self._rogue.state.vault(plan.vault)
        if vault is None:
            raise NothingToCheatWith(f"the log has no vault {plan.vault}")
        return make_commitments(
            task_at(self._rogue, plan, index),
            signer=self.name,
            share=self.share(vault.name, vault.epoch),
            key=self.keys.vote,
            boot_id=BootId(os.urandom(16)),
            random=os.urandom,
        )

    def commitments(self, plan: Plan, index: int) -> SignedBody:
        """Commitments of its own share, as an honest signer would make them."""
        return self.nonces(plan, index).signed

    def signs(self, chosen: SigningSet, nonces: NonceSet, plan: Plan, certificate: Certificate) -> SignedBody:
        """Its signature shares of a plan."""
        return make_shares(
            chosen,
            nonces,
            signer=self.name,
            share=self.share(plan.vault, chosen.task.vault_epoch),
            key=self.keys.vote,
            certified_size=certificate.head.size,
        )


@cache
def stolen_signers(rogue: RogueLeader) -> tuple[Mole, ...]:
    """The signers whose keys the cheater has; their databases open once."""
    return tuple(Mole(rogue, name) for name in sorted(rogue.stolen))


def stolen_signer(rogue: RogueLeader) -> Mole:
    """The one signer whose keys the cheater has."""
    moles = stolen_signers(rogue)
    if len(moles) != 1:
        raise NothingToCheatWith(f"{len(moles)} signers were stolen, not one")
    return moles[0]
