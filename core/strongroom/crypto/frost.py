"""BIP-445 FROST signing on secp256k1: the result is an ordinary BIP340 signature.

Order of a session, for a signer: `nonce_gen`, then `Session.from_public_nonces`, then `sign`. For who aggregates:
`Session.from_public_nonces`, `partial_sig_verify` on each share as it arrives, `aggregate`. A secret nonce signs once.
"""

from __future__ import annotations

from collections.abc import Sequence

from strongroom.crypto import bip340
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import (
    InvalidContribution,
    InvalidInput,
    InvalidSignature,
    NonceAlreadyUsed,
    SelfCheckFailed,
)
from strongroom.crypto.frost_nonce import PUBLIC_NONCE_BYTES, PublicNonce, SecretNonce, nonce_agg, nonce_gen
from strongroom.crypto.frost_session import Session, SessionValues, SignersContext, Tweak, TweakedKey, tweaked_key
from strongroom.crypto.secret import SecretScalar

__all__ = [
    "PUBLIC_NONCE_BYTES",
    "InvalidContribution",
    "InvalidInput",
    "InvalidSignature",
    "NonceAlreadyUsed",
    "PublicNonce",
    "SecretNonce",
    "SelfCheckFailed",
    "Session",
    "SessionValues",
    "SignersContext",
    "Tweak",
    "TweakedKey",
    "aggregate",
    "nonce_agg",
    "nonce_gen",
    "partial_sig_agg",
    "partial_sig_verify",
    "sign",
    "tweaked_key",
]


def sign(secnonce: SecretNonce, secshare: SecretScalar, my_id: int, session: Session) -> bytes:
    """Make a partial signature, 32 bytes.

    The nonce is emptied before anything else, so that it is gone whatever happens next. The result is verified before
    it is handed out. `secshare` stays usable and belongs to the caller.

    Args:
        secnonce: A nonce that has never been used.
        secshare: The signer's untweaked share.
        my_id: The signer's identifier, 0 to n - 1.
        session: The session; open it from the full list of public nonces.

    Raises:
        NonceAlreadyUsed: the nonce was used before.
        InvalidInput: the session is inconsistent, or share and identifier do not belong to it; nobody is blamed.
        InvalidContribution: the aggregate nonce is malformed, or the list holds another public nonce for this signer
            than it sent: the coordinator is to blame.
        SelfCheckFailed: the result did not verify, as after a hardware fault. Nothing is released.
    Spec: BIP-445, Sign.
    """
    first, second = secnonce.take()
    with first, second:
        values = session.values()
        position = session.signers.position(my_id)
        if session.knows_nonces and session.nonce_pair(position) != secnonce.points:
            raise InvalidContribution(None, "pubnonce")
        if session.signers.pubshares[position] != secshare.public():
            raise InvalidInput(f"the secret share is not that of signer {my_id}")
        second.multiply_public(values.binding)
        first.add(second)
        if values.nonce_is_odd:
            first.negate()
        with secshare.clone() as term:
            term.multiply_public(_share_factor(session, values, position))
            first.add(term)
        # Partial signatures are public: this is the value to send.
        psig = first.expose()
    if not _holds(psig, secnonce.points, position, session, values):
        raise SelfCheckFailed("a partial signature made here does not verify: check this machine's memory")
    return psig


def partial_sig_verify(psig: bytes, index: int, session: Session) -> bool:
    """Whether a partial signature (32 bytes) of the signer at list position `index` is correct.

    True does not make it unforgeable on its own: it only tells who spoilt a session.

    Raises:
        InvalidInput: the session is inconsistent or was opened without the list of public nonces; nobody is blamed.
    Spec: BIP-445, PartialSigVerify.
    """
    nonces = session.nonce_pair(index)
    return _holds(psig, nonces, index, session, session.values())


def partial_sig_agg(psigs: Sequence[bytes], session: Session) -> bytes:
    """Add partial signatures (32 bytes each, in the order of the signers) up to a BIP340 signature of 64 bytes.

    The result is not verified: `aggregate` does that, and finds who is to blame.

    Raises:
        InvalidInput: the number of partial signatures is wrong, or the session is inconsistent.
        InvalidContribution: the partial signature at `signer_index` is out of range.
    Spec: BIP-445, PartialSigAgg.
    """
    if len(psigs) != len(session.signers.ids):
        raise InvalidInput(f"there are {len(psigs)} partial signatures for {len(session.signers.ids)} signers")
    key, _, nonce_point, _, challenge = session.values()
    total = 0
    for index, psig in enumerate(psigs):
        scalar = int.from_bytes(psig, "big")
        if len(psig) != 32 or scalar >= ORDER:
            raise InvalidContribution(index, "psig")
        total += scalar
    total += challenge * (key.tacc if key.point.has_even_y else -key.tacc)
    return nonce_point.xonly() + (total % ORDER).to_bytes(32, "big")


def aggregate(psigs: Sequence[bytes], session: Session) -> bytes:
    """Aggregate, verify, and on failure find the first signer to blame; 64 bytes.

    Raises:
        InvalidInput: the number of partial signatures is wrong, or the session is inconsistent or knows no nonce list.
        InvalidContribution: the partial signature at `signer_index` is wrong.
        InvalidSignature: all partial signatures are right and yet the signature is not: a defect of ours.
    """
    signature = partial_sig_agg(psigs, session)
    if bip340.verify(session.values().key.point.xonly(), session.message, signature):
        return signature
    for index, psig in enumerate(psigs):
        if not partial_sig_verify(psig, index, session):
            raise InvalidContribution(index, "psig")
    raise InvalidSignature("every partial signature verifies, the aggregate does not: keep the session and report it")


def _share_factor(session: Session, values: SessionValues, position: int) -> int:
    """The public factor of a signer's share in its partial signature: e * lambda * g * gacc."""
    sign_of_key = values.key.gacc if values.key.point.has_even_y else -values.key.gacc
    coefficient = session.signers.validated().coefficients[position]
    return values.challenge * coefficient * sign_of_key % ORDER


def _holds(psig: bytes, nonces: tuple[Point, Point], position: int, session: Session, values: SessionValues) -> bool:
    """Whether psig*G == (R1 + b*R2, negated when the nonce is odd) + factor*pubshare."""
    scalar = int.from_bytes(psig, "big")
    if len(psig) != 32 or scalar >= ORDER:
        return False
    effective = nonces[0] + nonces[1] * values.binding
    factor = _share_factor(session, values, position)
    if values.nonce_is_odd:
        # Both sides negated: cheaper than negating the point, and the same equation.
        scalar, factor = ORDER - scalar, ORDER - factor
    pubshare = session.signers.validated().pubshares[position]
    return Point.generator_times(scalar) == effective + pubshare * factor
