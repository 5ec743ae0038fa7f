"""Signers with real vote keys and a small log, for tests of the voting protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from electorate_of import certificate_by, electorate
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.model.ids import BootId, LogId
from strongroom.protocol.certificates import NO_CERTIFICATE, Held, sign_vote, verify_vote
from strongroom.protocol.signed import SignedBody

LOG_ID = LogId(bytes(range(32)))
LEADER = b"leader-process-1"
BOOT = BootId(b"boot-of-a-signer")
NAMES = ("s1", "s2", "s3", "s4")
EMPTY_ROOT = hashlib.sha256(b"").digest()


def signing_key(name: str) -> SigningKey:
    return SigningKey(SecretBytes(bytearray(hashlib.sha256(b"test vote key " + name.encode()).digest())))


KEYS = {name: signing_key(name) for name in NAMES}
VOTE_KEYS = {name: key.public for name, key in KEYS.items()}


@dataclass
class ToyLog:
    """A log of batches of any bytes, one entry a batch; the root is a hash chain, the digest a hash of the root.

    It gives the voter what a Merkle log gives: one root per size that fixes everything below.
    """

    batches: tuple[bytes, ...] = ()
    final_size: int = 0
    lying_digest: bool = field(default=False)

    @property
    def size(self) -> int:
        return len(self.batches)

    def root_at(self, size: int) -> bytes | None:
        if not 0 <= size <= self.size:
            return None
        root = EMPTY_ROOT
        for batch in self.batches[:size]:
            root = hashlib.sha256(root + batch).digest()
        return root

    def digest_at(self, size: int) -> bytes | None:
        root = self.root_at(size)
        if root is None or size < self.final_size:
            return None
        return hashlib.sha256(b"lie" * self.lying_digest + b"state" + root).digest()


def head_at(batches: Sequence[bytes], term: int, size: int | None = None) -> Head:
    log = ToyLog(batches=tuple(batches))
    at = log.size if size is None else size
    root, digest = log.root_at(at), log.digest_at(at)
    assert root is not None
    assert digest is not None
    return Head(log_id=LOG_ID, term=term, size=at, root=root, state_digest=digest)


def certificate(
    head: Head, signers: Sequence[str], held: Held = NO_CERTIFICATE, quorum: int | None = None
) -> Certificate:
    votes = [
        verify_vote(name, sign_vote(KEYS[name], head, held), log_id=LOG_ID, electorate=electorate(VOTE_KEYS))
        for name in signers
    ]
    return certificate_by(votes, quorum or len(signers))


def flipped(signed: SignedBody) -> SignedBody:
    """The same body with one bit of its signature changed."""
    return SignedBody(body=signed.body, signature=bytes([signed.signature[0] ^ 1]) + signed.signature[1:])
