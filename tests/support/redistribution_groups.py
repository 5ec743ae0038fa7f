"""Shared keys whose secret the test knows, and redistributions of them, for tests of the pure cryptography."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import slow_redistribution as slow
from frost_groups import fixed_bytes
from strongroom.crypto import frost, redistribution
from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.frost import Session, SignersContext
from strongroom.crypto.redistribution import Dealing, RedistributionParams, Transcript
from strongroom.crypto.secret import SecretScalar


def number(*labels: object) -> int:
    return int.from_bytes(fixed_bytes(*labels), "big") % slow.N


def scalar(value: int) -> SecretScalar:
    return SecretScalar.from_bytes(value.to_bytes(32, "big"))


@dataclass(frozen=True)
class Sharing:
    """A key in t-of-n shares, as numbers."""

    threshold: int
    secret: int
    shares: Mapping[int, int]
    public_shares: tuple[bytes, ...]

    @property
    def group_key(self) -> bytes:
        return slow.encode(slow.times(self.secret))


def sharing(t: int, n: int, *labels: object) -> Sharing:
    """The same key for the same labels."""
    coefficients = [number("coefficient", power, *labels) for power in range(t)]
    shares = {holder: slow.evaluate(coefficients, holder) for holder in range(n)}
    public = tuple(scalar(share).public() for share in shares.values())
    return Sharing(t, coefficients[0], shares, public)


@dataclass(frozen=True)
class Step:
    """One redistribution: from a sharing to new holders."""

    before: Sharing
    host_secrets: tuple[int, ...]
    threshold: int
    context: bytes

    @property
    def host_keys(self) -> tuple[bytes, ...]:
        return tuple(scalar(secret).public() for secret in self.host_secrets)

    @property
    def params(self) -> RedistributionParams:
        return RedistributionParams(
            context=self.context,
            group_key=self.before.group_key,
            threshold_before=self.before.threshold,
            public_shares=self.before.public_shares,
            receivers=SessionParams(self.host_keys, self.threshold),
        )

    def deal(self, dealer: int, *labels: object) -> Dealing:
        return redistribution.deal(
            scalar(self.before.shares[dealer]), self.params, dealer, fixed_bytes("random", dealer, *labels)
        )

    def dealings(self, dealers: Iterable[int], *labels: object) -> dict[int, Dealing]:
        return {dealer: self.deal(dealer, *labels) for dealer in dealers}

    def receive(self, receiver: int, dealings: Mapping[int, Dealing]) -> tuple[Transcript, int]:
        """What one receiver computes; its share as a number."""
        with scalar(self.host_secrets[receiver]) as host_key:
            transcript, share = redistribution.receive(host_key, self.params, dealings)
        with share:
            return transcript, int.from_bytes(share.expose(), "big")

    def after(self, dealings: Mapping[int, Dealing]) -> Sharing:
        """The sharing that all receivers have."""
        got = {receiver: self.receive(receiver, dealings) for receiver in range(len(self.host_secrets))}
        transcripts = {transcript for transcript, _ in got.values()}
        assert len(transcripts) == 1
        return Sharing(
            self.threshold,
            self.before.secret,
            {receiver: share for receiver, (_, share) in got.items()},
            redistribution.public_shares(transcripts.pop()),
        )


def step(before: Sharing, t: int, n: int, *labels: object) -> Step:
    secrets = tuple(number("host", holder, *labels) for holder in range(n))
    return Step(before, secrets, t, fixed_bytes("context", *labels))


def crafted(
    this: Step, dealer: int, coefficients: Sequence[int], *, secnonce: int = 77, context: bytes | None = None
) -> Dealing:
    """A dealing of any polynomial, made by who knows its share."""
    made = slow.deal_of(
        coefficients, secnonce, dealer, host_keys=this.host_keys, context=this.context if context is None else context
    )
    return Dealing(commitments=made.commitments, pubnonce=made.pubnonce, encrypted_shares=made.encrypted_shares)


def signed_with(shares: Sharing, ids: Sequence[int], message: bytes) -> bytes:
    """A whole signing session; the signature, 64 bytes."""
    context = SignersContext(
        n=len(shares.public_shares),
        t=shares.threshold,
        ids=tuple(ids),
        pubshares=tuple(shares.public_shares[holder] for holder in ids),
        thresh_pk=shares.group_key,
    )
    made = [frost.nonce_gen(fixed_bytes("nonce", holder, message)) for holder in ids]
    session = Session.from_public_nonces([public for _, public in made], context, (), message)
    parts = [
        frost.sign(nonce, scalar(shares.shares[holder]), holder, session)
        for holder, (nonce, _) in zip(ids, made, strict=True)
    ]
    return frost.aggregate(parts, session)
