"""A certified plan, its holders with real shares, and records of what one of them did, for tests of evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import charter_builder as builder
from electorate_of import certificate_by, electorate
from ledger_world import World, randomness
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Entry
from strongroom.ledger.plans import plan_hash, spend_of
from strongroom.ledger.record_proof import RecordProofData
from strongroom.ledger.signed_messages import Commitments, Dealing, Shares, Vote
from strongroom.model.ids import BootId, OrderHash
from strongroom.protocol import evidence_records
from strongroom.protocol.certificates import NO_CERTIFICATE, sign_vote, verify_vote
from strongroom.protocol.commitments import NonceSet, make_commitments, verify_commitments
from strongroom.protocol.redistribution import deal
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.release import make_shares, open_set
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom.protocol.signing_task import Group, SigningTask, task_of

TERM = 4
BOOT = BootId(b"boot-of-a-signer")
SECOND = bytes(31) + b"\x02"


@dataclass
class Case:
    """Vault `customer-1` of s1, s2, s3 (any two sign), and a certified plan that pays one order from two coins."""

    world: World = field(default_factory=World.started)
    orders: tuple[bytes, ...] = ()
    made: int = 0

    def __post_init__(self) -> None:
        world = self.world
        world.make_vault("customer-1")
        self.orders = (world.pay("customer-1", 100_000),)
        self.plan = world.plan(list(self.orders), [world.coin(60_000), world.coin(70_000, index=3)], fee_sat=1_000)
        world.log(self.plan)
        self.index = world.replica.size - 1
        self.entry = world.previews[-1].batch.entries[-1]
        self.plan_bytes = codec.encode(self.plan)
        self.plan_hash = plan_hash(self.plan_bytes)
        world.later(1_000)
        world.log(codec.decode(Entry, world.entry(world.signer_freeze())).body)  # the certified head lies beyond it
        self.task = self.task_in(TERM)

    def task_in(self, term: int) -> SigningTask:
        vault = self.world.state.vault("customer-1")
        assert vault is not None
        return task_of(
            spend_of(self.world.state, self.plan),
            log_id=self.world.log_id,
            term=term,
            entry_index=self.index,
            plan_hash=self.plan_hash,
            vault_epoch=vault.epoch,
            group=Group(
                signers=vault.signers,
                threshold=vault.threshold,
                public_shares=vault.public_shares,
                group_key=vault.group_key,
            ),
        )

    # --- what signers say --------------------------------------------------------------------------------------------

    @property
    def vote_keys(self) -> dict[str, bytes]:
        return {signer.name: signer.vote_key for signer in self.world.charter.signers}

    def commit(self, signer: str, task: SigningTask | None = None) -> NonceSet:
        self.made += 1
        label = f"evidence {signer} {self.made} "
        draws = iter(range(1_000))

        def random(size: int) -> bytes:
            return randomness(f"{label}{next(draws)}", size)

        return make_commitments(
            task or self.task,
            signer=signer,
            share=self.world.generated["customer-1"].shares[int(signer[1:]) - 1],
            key=builder.signing_key(f"{signer} vote"),
            boot_id=BOOT,
            random=random,
        )

    def share(
        self,
        signer: str,
        own: NonceSet,
        commitments: Sequence[SignedBody],
        task: SigningTask | None = None,
        **changed: Any,
    ) -> SignedBody:
        """A holder's shares; `changed` replaces fields of the honest message, which it then signs."""
        task = task or self.task
        chosen = open_set(task, [verify_commitments(item, task=task, vote_keys=self.vote_keys) for item in commitments])
        signed = make_shares(
            chosen,
            own,
            signer=signer,
            share=self.world.generated["customer-1"].shares[int(signer[1:]) - 1],
            key=builder.signing_key(f"{signer} vote"),
            certified_size=self.index + 1,
        )
        return signed if not changed else self.resigned(Shares, "shares", signed, signer, **changed)

    def resigned(self, kind: type[Any], name: str, signed: SignedBody, by: str, /, **changed: Any) -> SignedBody:
        """A message with other fields, signed anew by the vote key of a signer."""
        message = codec.decode(kind, signed.body, max_size=200_000)
        return sign_body(name, replace(message, **changed), builder.signing_key(f"{by} vote"))

    def vote(self, signer: str, *, size: int = 7, root: bytes = b"r" * 32, digest: bytes = b"d" * 32) -> SignedBody:
        vote = Vote(
            log_id=self.world.log_id,
            term=TERM,
            size=size,
            root=root,
            state_digest=digest,
            held_term=0,
            held_size=0,
            held_head=b"",
        )
        return sign_body("vote", vote, builder.signing_key(f"{signer} vote"))

    # --- what w signers certified ------------------------------------------------------------------------------------

    def certificate(self, *signers: str, term: int = TERM, world: World | None = None, **head: Any) -> Certificate:
        """A certificate of the newest head, or of one with other fields."""
        of = world or self.world
        root, digest = of.replica.head(of.replica.size)
        parts = {"size": of.replica.size, "root": root, "state_digest": digest, **head}
        certified = Head(log_id=of.log_id, term=term, **parts)
        votes = [
            verify_vote(
                name,
                sign_vote(builder.signing_key(f"{name} vote"), certified, NO_CERTIFICATE),
                log_id=of.log_id,
                electorate=electorate({signer.name: signer.vote_key for signer in of.charter.signers}),
            )
            for name in signers or ("s1", "s2")
        ]
        return certificate_by(votes, 2)

    def vault_proof(self, name: str = "customer-1") -> RecordProofData:
        return self.world.state.record_proof(b"vaults", name.encode())

    @property
    def order_bytes(self) -> tuple[bytes, ...]:
        records = [self.world.state.order(name) for name in self.orders]
        return tuple(record.order for record in records if record is not None)

    # --- records -----------------------------------------------------------------------------------------------------

    def parts(self, shares: SignedBody, commitments: Sequence[SignedBody], **changed: Any) -> dict[str, Any]:
        """The parts of a record of a wrong share."""
        size = self.world.replica.size
        return {
            "charter": self.world.charter_bytes,
            "shares": shares,
            "commitments": list(commitments),
            "plan_entry": self.entry,
            "entry_path": self.world.replica.inclusion_path(self.index, size),
            "certificate": self.certificate(),
            "vault": self.vault_proof(),
            "orders": self.order_bytes,
            **changed,
        }

    def round(self, wrong: str = "s2") -> tuple[SignedBody, list[SignedBody]]:
        """A round of s1 and s2 in which one of them gives a wrong share for the second input."""
        own = {name: self.commit(name) for name in ("s1", "s2")}
        commitments = [item.signed for item in own.values()]
        honest = codec.decode(Shares, self.share(wrong, own[wrong], commitments).body, max_size=200_000)
        signed = sign_body(
            "shares", replace(honest, shares=(honest.shares[0], SECOND)), builder.signing_key(f"{wrong} vote")
        )
        return signed, commitments

    def wrong_share(self, **changed: Any) -> bytes:
        """A record that holds, or with other parts one that may not."""
        shares, commitments = self.round()
        return evidence_records.wrong_share(**self.parts(shares, commitments, **changed))

    def malformed(self, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]], *, signer: str = "s3") -> SignedBody:
        """Commitments of a holder with other nonces, which it signed."""
        honest = self.commit(signer).signed
        nonces = codec.decode(Commitments, honest.body).nonces
        return self.resigned(Commitments, "commitments", honest, signer, nonces=change(nonces))

    # --- new shares --------------------------------------------------------------------------------------------------

    @property
    def dealing_terms(self) -> RedistributionTerms:
        """The terms of new shares of `customer-1` for the same holders."""
        vault = self.world.state.vault("customer-1")
        assert vault is not None
        return RedistributionTerms(
            log_id=self.world.log_id,
            order_hash=OrderHash(hashlib.sha256(b"order").digest()),
            vault=vault.name,
            attempt=1,
            epoch=2,
            holders=vault.signers,
            public_shares=vault.public_shares,
            threshold_before=vault.threshold,
            group_key=vault.group_key,
            chain_code=vault.chain_code,
            key_hash=vault.key_hash,
            signers=vault.signers,
            host_keys=vault.host_keys,
            threshold=vault.threshold,
        )

    def dealing(self, *, terms: RedistributionTerms | None = None, by: str = "s1", **changed: Any) -> SignedBody:
        """What s1 deals, or that with other fields; signed by its key or another one."""
        honest = deal(
            terms or self.dealing_terms,
            signer="s1",
            share=self.world.generated["customer-1"].shares[0],
            vote_key=builder.signing_key("s1 vote"),
            random32=b"r" * 32,
        )
        return self.resigned(Dealing, "dealing", honest, by, **changed)


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit changed."""
    at, place = divmod(bit % (8 * len(data)), 8)
    return data[:at] + bytes((data[at] ^ 1 << place,)) + data[at + 1 :]
