"""Groups with a generated key, and signing sessions over them, for the tests of the secp256k1 core."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from strongroom.crypto import chilldkg, frost
from strongroom.crypto.chilldkg import DKGOutput, SessionParams
from strongroom.crypto.frost import SecretNonce, Session, SignersContext, Tweak
from strongroom.crypto.secret import SecretScalar


def fixed_bytes(*labels: object) -> bytes:
    """32 bytes that depend on the labels only."""
    return hashlib.sha256(repr(labels).encode()).digest()


@dataclass(frozen=True)
class Group:
    """A key and all of its holders."""

    params: SessionParams
    seckeys: tuple[SecretScalar, ...]
    outputs: tuple[DKGOutput, ...]
    recovery_data: bytes

    @property
    def threshold_pubkey(self) -> bytes:
        return self.outputs[0].threshold_pubkey

    def share(self, holder: int) -> SecretScalar:
        share = self.outputs[holder].secshare
        assert share is not None
        return share

    def context(self, ids: Sequence[int]) -> SignersContext:
        pubshares = tuple(self.outputs[0].pubshares[holder] for holder in ids)
        return SignersContext(self.params.n, self.params.t, tuple(ids), pubshares, self.threshold_pubkey)

    def nonces(self, ids: Sequence[int], *labels: object) -> list[tuple[SecretNonce, bytes]]:
        return [frost.nonce_gen(fixed_bytes("nonce", holder, *labels), secshare=self.share(holder)) for holder in ids]

    def sign(self, ids: Sequence[int], message: bytes, tweaks: Sequence[Tweak] = (), *labels: object) -> bytes:
        """One whole session; the signature, 64 bytes."""
        nonces = self.nonces(ids, *labels)
        session = Session.from_public_nonces([public for _, public in nonces], self.context(ids), tweaks, message)
        psigs = [
            frost.sign(secret, self.share(holder), holder, session)
            for holder, (secret, _) in zip(ids, nonces, strict=True)
        ]
        return frost.aggregate(psigs, session)


Alter = Callable[[str, int, bytes], bytes]
"""What the wire does to a message: kind (pmsg1, cmsg1, pmsg2, cmsg2), participant, bytes sent -> bytes received."""


def unaltered(kind: str, participant: int, data: bytes) -> bytes:
    return data


def host_keys(n: int, label: object = "host") -> tuple[SecretScalar, ...]:
    return tuple(SecretScalar.from_bytes(fixed_bytes(label, holder)) for holder in range(n))


def run_key_generation(t: int, n: int, label: object = "group", alter: Alter = unaltered) -> Group:
    """A whole key generation over a wire that may alter messages; whatever a party raises comes out."""
    seckeys = host_keys(n)
    params = SessionParams(tuple(key.public() for key in seckeys), t)
    first = [
        chilldkg.participant_step1(key, params, fixed_bytes("random", label, holder))
        for holder, key in enumerate(seckeys)
    ]
    pmsgs1 = [alter("pmsg1", holder, message) for holder, (_, message) in enumerate(first)]
    coordinator, cmsg1 = chilldkg.coordinator_step1(pmsgs1, params)
    second = [
        chilldkg.participant_step2(key, first[holder][0], alter("cmsg1", holder, cmsg1), fixed_bytes("aux", holder))
        for holder, key in enumerate(seckeys)
    ]
    pmsgs2 = [alter("pmsg2", holder, message) for holder, (_, message) in enumerate(second)]
    cmsg2, public, recovery_data = chilldkg.coordinator_finalize(coordinator, pmsgs2)
    third = [
        chilldkg.participant_finalize(state, alter("cmsg2", holder, cmsg2)) for holder, (state, _) in enumerate(second)
    ]
    for output, data in third:
        assert (output.threshold_pubkey, output.pubshares) == (public.threshold_pubkey, public.pubshares)
        assert data == recovery_data
    return Group(params, seckeys, tuple(output for output, _ in third), recovery_data)


@lru_cache(maxsize=64)
def group_of(t: int, n: int) -> Group:
    """The same group every time, since generating one is the slow part of a test."""
    return run_key_generation(t, n)
