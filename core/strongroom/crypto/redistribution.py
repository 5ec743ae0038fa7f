"""Share redistribution: t old holders hand a key on to new holders, and nobody ever has it.

Every dealer i shares its own share s_i: it draws g_i of degree t' - 1 with g_i(0) = s_i, commits to the t' - 1 other
coefficients, and encrypts g_i(j + 1) to each new holder j. For any set A of at least t dealers, with the Lagrange
coefficients l_i of A at zero, the new share of j is the sum of l_i * g_i(j + 1): the new polynomial has the same
constant term, so the group key, the chain code and every address stay. The constant term of a dealing is no part of it.
It is the dealer's public share, which every receiver knows already, so that nobody can deal another secret.

Refresh, reshare and repair are this one step towards different receivers. A dealing names no set A: whoever is late,
silent or wrong is left out of A, and nobody has to deal again for it.

Pads are made as ChillDKG makes them, under other tags. The weighted sums of the encrypted shares stay decryptable, so
that a receiver's host key and the transcript, which is public, give its share back at any time. The tags are
"strongroom/redistribution/" and "seed", "coefficient", "nonce" or "pad".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from strongroom.crypto.bip340 import secret_tagged_hash
from strongroom.crypto.chilldkg_errors import RandomnessError, RecoveryDataError, SessionParamsError
from strongroom.crypto.chilldkg_sharing import evaluate, evaluate_commitments
from strongroom.crypto.curve import ORDER, Point, ecdh, lagrange_coefficients
from strongroom.crypto.errors import InvalidInput, InvalidScalar
from strongroom.crypto.redistribution_errors import (
    CommitmentsCancelError,
    DealingFault,
    FaultyDealingsError,
    RedistributionInputError,
    TooFewDealersError,
)
from strongroom.crypto.redistribution_messages import (
    CheckedDealing,
    Dealing,
    RedistributionParams,
    Transcript,
    parse_scalar,
)
from strongroom.crypto.secret import SecretScalar

__all__ = [
    "Dealing",
    "RedistributionParams",
    "Transcript",
    "combine",
    "deal",
    "public_faults",
    "public_shares",
    "receive",
    "recover",
]

_TAG: Final = "strongroom/redistribution"
_MAX_HOLDERS: Final = 2**32


def deal(share: SecretScalar, params: RedistributionParams, dealer: int, random32: bytes) -> Dealing:
    """Deal an old holder's share to all new holders. Nothing of it needs to be kept.

    Args:
        share: The old share of the dealer; stays the caller's.
        params: The redistribution.
        dealer: The dealer's identifier among the old holders.
        random32: 32 bytes of fresh randomness.

    Raises:
        SessionParamsError, RedistributionInputError: the parameters are wrong, or the share is not that old holder's.
        InvalidInput: the randomness is not 32 bytes.
        RandomnessError: the randomness is all zero.
    """
    keys = params.validated()
    if not 0 <= dealer < len(params.public_shares) or share.public() != params.public_shares[dealer]:
        raise RedistributionInputError(f"this is not the share of old holder {dealer}")
    if len(random32) != 32:
        raise InvalidInput(f"randomness must be 32 bytes, not {len(random32)}")
    if not any(random32):
        raise RandomnessError("the randomness is all zero: check the random source")
    # The share is hashed in, so that a weak random source alone does not give the polynomial away.
    with secret_tagged_hash(f"{_TAG}/seed", share.view(), random32, dealer.to_bytes(4, "big"), params.context) as seed:
        coefficients = [
            secret_tagged_hash(f"{_TAG}/coefficient", seed.view(), power.to_bytes(4, "big"))
            for power in range(1, params.receivers.t)
        ]
        secnonce = secret_tagged_hash(f"{_TAG}/nonce", seed.view())
    pubnonce = secnonce.public()
    encrypted = []
    try:
        for receiver, key in enumerate(keys):
            binding = _binding(params.context, dealer, pubnonce, receiver, params.receivers.hostpubkeys[receiver])
            with evaluate((share, *coefficients), receiver) as value, _pad(secnonce, key, binding) as pad:
                pad.add(value)
                # The sum with a one-time pad is a ciphertext: public.
                encrypted.append(pad.expose())
        return Dealing(
            commitments=tuple(coefficient.public() for coefficient in coefficients),
            pubnonce=pubnonce,
            encrypted_shares=tuple(encrypted),
        )
    finally:
        for secret in (*coefficients, secnonce):
            secret.wipe()


def _binding(context: bytes, dealer: int, pubnonce: bytes, receiver: int, host_key: bytes) -> bytes:
    """What a pad is bound to besides the shared secret, 106 bytes."""
    return pubnonce + host_key + dealer.to_bytes(4, "big") + receiver.to_bytes(4, "big") + context


def _pad(secret: SecretScalar, peer: Point, binding: bytes) -> SecretScalar:
    with ecdh(secret, peer) as shared:
        return secret_tagged_hash(f"{_TAG}/pad", shared.view(), binding)


def public_faults(params: RedistributionParams, dealings: Mapping[int, Dealing]) -> tuple[DealingFault, ...]:
    """What everybody sees to be wrong with dealings, given by their dealers' identifiers.

    Raises:
        SessionParamsError, RedistributionInputError: the parameters are wrong, or a dealer is no old holder.
    """
    params.validated()
    return _checked(params, dealings)[1]


def combine(params: RedistributionParams, dealings: Mapping[int, Dealing]) -> Transcript:
    """Add the dealings up, each weighted for the set of their dealers.

    Args:
        params: The redistribution.
        dealings: At least as many as the old threshold, by their dealers' identifiers.

    Raises:
        SessionParamsError, RedistributionInputError, TooFewDealersError: the caller's fault.
        FaultyDealingsError: dealings are malformed; everybody sees which.
        CommitmentsCancelError: they add up to a polynomial of lower degree, or to no share for some new holder.
    """
    params.validated()
    checked, faults = _checked(params, dealings)
    if faults:
        raise FaultyDealingsError(faults)
    return _combined(params, dealings, checked)


def _checked(
    params: RedistributionParams, dealings: Mapping[int, Dealing]
) -> tuple[dict[int, CheckedDealing], tuple[DealingFault, ...]]:
    """The dealings that are well formed, and what is wrong with the others, by ascending identifier."""
    checked: dict[int, CheckedDealing] = {}
    faults = []
    for dealer in sorted(dealings):
        if not 0 <= dealer < len(params.public_shares):
            raise RedistributionInputError(f"there is no old holder {dealer}")
        found = dealings[dealer].checked(params, dealer)
        if isinstance(found, DealingFault):
            faults.append(found)
        else:
            checked[dealer] = found
    return checked, tuple(faults)


def _combined(
    params: RedistributionParams, dealings: Mapping[int, Dealing], checked: Mapping[int, CheckedDealing]
) -> Transcript:
    dealers = tuple(checked)
    if len(dealers) < params.threshold_before:
        raise TooFewDealersError(f"there are {len(dealers)} dealings, and {params.threshold_before} are needed")
    weights = lagrange_coefficients(dealers)
    sums = [
        Point.sum(checked[dealer].commitments[power] * weight for dealer, weight in zip(dealers, weights, strict=True))
        for power in range(params.receivers.t)
    ]
    if sums[0].serialise() != params.group_key:
        raise RedistributionInputError("the old public shares do not belong to the group key")
    if any(point.is_infinity for point in sums):
        raise CommitmentsCancelError("the commitments cancel out: a dealer chose its own after it saw the others'")
    transcript = Transcript(
        context=params.context,
        receivers=params.receivers,
        dealers=dealers,
        pubnonces=tuple(dealings[dealer].pubnonce for dealer in dealers),
        commitments=tuple(point.serialise() for point in sums),
        encrypted_shares=tuple(
            _weighted_sum([checked[dealer].encrypted_shares[receiver] for dealer in dealers], weights)
            for receiver in range(params.receivers.n)
        ),
    )
    if None in _public_shares(sums, params.receivers.n):
        raise CommitmentsCancelError(
            "a new holder's public share is infinity: dealers worked together to bring it about"
        )
    return transcript


def _weighted_sum(ciphertexts: Sequence[int], weights: Sequence[int]) -> bytes:
    total = sum(ciphertext * weight for ciphertext, weight in zip(ciphertexts, weights, strict=True)) % ORDER
    return total.to_bytes(32, "big")


def receive(
    host_key: SecretScalar, params: RedistributionParams, dealings: Mapping[int, Dealing]
) -> tuple[Transcript, SecretScalar]:
    """Check every dealing on its own and recover the new share from the transcript.

    The share comes from `recover`, so that whoever got one can get it again from the host key and the transcript.

    Args:
        host_key: The receiver's host secret key; stays the caller's.
        params: The redistribution.
        dealings: At least as many as the old threshold, by their dealers' identifiers.

    Returns:
        The transcript, and the new share, which the caller wipes.

    Raises:
        SessionParamsError, RedistributionInputError, TooFewDealersError: the caller's fault.
        HostSeckeyError: the key belongs to no new holder.
        FaultyDealingsError: these dealings are wrong, all of them named.
        CommitmentsCancelError: the dealings are good, and add up to a polynomial of lower degree.
    """
    params.validated()
    me = params.receivers.id_of(host_key.public())
    checked, public = _checked(params, dealings)
    faults = list(public)
    for dealer, dealing in checked.items():
        binding = _binding(params.context, dealer, dealings[dealer].pubnonce, me, params.receivers.hostpubkeys[me])
        if not _share_fits(host_key, dealing, me, binding):
            problem = "the share that it dealt this receiver does not match its commitments"
            faults.append(DealingFault(dealer=dealer, problem=problem, is_public=False))
    if faults:
        raise FaultyDealingsError(sorted(faults, key=lambda fault: fault.dealer))
    transcript = _combined(params, dealings, checked)
    return transcript, recover(host_key, transcript)


def _share_fits(host_key: SecretScalar, dealing: CheckedDealing, me: int, binding: bytes) -> bool:
    """Whether the share in a dealing is the one that its commitments give this receiver; zero never is."""
    with _pad(host_key, dealing.pubnonce, binding) as share:
        share.negate()
        try:
            share.add_public(dealing.encrypted_shares[me])
        except InvalidScalar:
            return False
        return Point.public_of(share) == evaluate_commitments(dealing.commitments, me)


def public_shares(transcript: Transcript) -> tuple[bytes, ...]:
    """Public share of every new holder, 33 bytes each.

    Raises:
        RecoveryDataError: the transcript is malformed; look for another copy.
    """
    return _parsed(transcript)[1]


def recover(host_key: SecretScalar, transcript: Transcript) -> SecretScalar:
    """Get a new holder's share from its host key and the transcript; the caller wipes it.

    Nothing here says that the transcript is the one in force: compare it with what the log vouches for.

    Raises:
        RecoveryDataError: the transcript is malformed, or the share in it is not the holder's.
        HostSeckeyError: the key belongs to none of the new holders.
    """
    pubnonces, shares = _parsed(transcript)
    me = transcript.receivers.id_of(host_key.public())
    weights = lagrange_coefficients(transcript.dealers)
    pads = []
    try:
        for dealer, pubnonce, weight in zip(transcript.dealers, pubnonces, weights, strict=True):
            binding = _binding(
                transcript.context, dealer, pubnonce.serialise(), me, transcript.receivers.hostpubkeys[me]
            )
            pads.append(_pad(host_key, pubnonce, binding))
            pads[-1].multiply_public(weight)
        share = pads[0].clone()
        for pad in pads[1:]:
            share.add(pad)
        share.negate()
        share.add_public(int.from_bytes(transcript.encrypted_shares[me], "big"))
    except InvalidScalar as error:
        raise RecoveryDataError(f"the share in the recovery data cannot be decrypted: {error.message}") from None
    finally:
        for pad in pads:
            pad.wipe()
    if share.public() != shares[me]:
        share.wipe()
        raise RecoveryDataError("the share in the recovery data does not match the holder's public share")
    return share


def _parsed(transcript: Transcript) -> tuple[tuple[Point, ...], tuple[bytes, ...]]:
    """The encryption nonces as points, and the public share of every new holder."""
    receivers, dealers = transcript.receivers, transcript.dealers
    try:
        receivers.validated()
    except SessionParamsError as error:
        raise RecoveryDataError(f"the new holders in the recovery data are invalid: {error.message}") from None
    if not dealers or list(dealers) != sorted(set(dealers)) or not 0 <= dealers[0] <= dealers[-1] < _MAX_HOLDERS:
        raise RecoveryDataError("the dealers in the recovery data are no ascending identifiers")
    if len(transcript.pubnonces) != len(dealers):
        raise RecoveryDataError("the recovery data has another number of nonces than dealers")
    if len(transcript.commitments) != receivers.t or len(transcript.encrypted_shares) != receivers.n:
        raise RecoveryDataError("the recovery data has another number of commitments or shares than it has holders")
    try:
        pubnonces = tuple(Point.parse(item) for item in transcript.pubnonces)
        shares = _public_shares([Point.parse(item) for item in transcript.commitments], receivers.n)
        for item in transcript.encrypted_shares:
            parse_scalar(item)
    except InvalidInput as error:
        raise RecoveryDataError(f"the recovery data is malformed: {error.message}") from None
    if None in shares:
        raise RecoveryDataError("the recovery data gives some holder no public share")
    return pubnonces, tuple(share for share in shares if share is not None)


def _public_shares(commitments: Sequence[Point], n: int) -> tuple[bytes | None, ...]:
    """Public share of every new holder; None where it is infinity."""
    points = (evaluate_commitments(commitments, receiver) for receiver in range(n))
    return tuple(None if point.is_infinity else point.serialise() for point in points)
