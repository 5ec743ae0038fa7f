"""Trial signatures: what shows that new shares sign, before anything rests on them.

Subsets of exactly as many holders as sign later cover all holders who have to answer. Each signs one message, which
follows from the log, the order, the recovery data and the subset alone. `Trials` is the coordinator's side, a value
that grows; `Trier` is a holder's, and lives in memory only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from strongroom.crypto import frost
from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.frost import SecretNonce
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.entry_messages import Trial
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.keygen import KeyOrder, MadeKey, trial_of, trial_session

__all__ = ["Subset", "TrialFailed", "TrialRefused", "Trials", "Trier", "covering_sets"]

Subset = tuple[int, ...]


class TrialFailed(StrongroomError):
    """A trial signature does not hold.

    Attributes:
        suspect: The name of the holder whose contribution is wrong; empty when nobody is named.
        subset: The subset that tried.
    """

    reason = "TRIAL_FAILED"
    kind = Kind.ABORTED

    def __init__(self, subset: Subset, members: Sequence[str], suspect: str, contribution: str) -> None:
        self.subset = subset
        self.suspect = suspect
        super().__init__(f"the trial of {', '.join(members)} failed: {contribution}")


class TrialRefused(StrongroomError):
    """A holder is asked for a trial that it does not take part in, or without a nonce for it."""

    reason = "TRIAL_REFUSED"
    kind = Kind.FAILED_PRECONDITION


def covering_sets(identifiers: Sequence[int], t: int) -> tuple[Subset, ...]:
    """The subsets that try a key: as few as can be, each of exactly t of the identifiers, that cover all of them.

    Args:
        identifiers: Those who have to try it, ascending.
        t: How many sign.

    Raises:
        InvalidInput: not 1 <= t <= number of identifiers; the caller's fault.
    """
    n = len(identifiers)
    if not 1 <= t <= n:
        raise InvalidInput(f"the threshold must be between 1 and {n}, not {t}")
    starts = (min(start, n - t) for start in range(0, n, t))
    return tuple(tuple(identifiers[start : start + t]) for start in starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """All trials of one new key or epoch, as the coordinator carries them."""

    terms: KeyOrder
    made: MadeKey
    names: tuple[str, ...]
    """All holders, in participant order."""
    subsets: tuple[Subset, ...]
    nonces: Mapping[tuple[Subset, str], bytes] = field(default_factory=dict)
    shares: Mapping[tuple[Subset, str], bytes] = field(default_factory=dict)
    signatures: Mapping[Subset, bytes] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every subset has signed."""
        return len(self.signatures) == len(self.subsets)

    @property
    def entries(self) -> tuple[Trial, ...]:
        """The signatures made so far, as they are logged, in the order of the subsets."""
        return tuple(
            Trial(signers=subset, signature=self.signatures[subset])
            for subset in self.subsets
            if subset in self.signatures
        )

    def members(self, subset: Subset) -> tuple[str, ...]:
        """Names of a subset, in participant order."""
        return tuple(self.names[identifier] for identifier in subset)

    def nonces_of(self, subset: Subset) -> tuple[bytes, ...]:
        """The nonces of a subset, in participant order; empty until all are in."""
        members = self.members(subset)
        if any((subset, name) not in self.nonces for name in members):
            return ()
        return tuple(self.nonces[subset, name] for name in members)

    def awaited(self) -> tuple[str, ...]:
        """Who has not given what is asked now, in participant order."""
        late = {
            name
            for subset in self.subsets
            if subset not in self.signatures
            for name in self.members(subset)
            if (subset, name) not in (self.shares if self.nonces_of(subset) else self.nonces)
        }
        return tuple(name for name in self.names if name in late)

    def with_nonce(self, subset: Subset, name: str, nonce: bytes) -> Trials:
        """Take a public nonce (66 bytes) in; the last counts until the nonces of the subset are complete.

        Raises:
            TrialFailed: it is no pair of points; found here, before it makes others refuse.
        """
        key = (subset, name)
        if subset not in self.subsets or name not in self.members(subset) or self.nonces_of(subset):
            return self
        try:
            frost.nonce_agg([nonce])
        except frost.InvalidContribution as error:
            raise TrialFailed(subset, self.members(subset), name, error.contrib) from error
        return replace(self, nonces={**self.nonces, key: nonce})

    def with_share(self, subset: Subset, name: str, share: bytes) -> Trials:
        """Take a signature share (32 bytes) in, and make the signature when all are there.

        Raises:
            TrialFailed: a contribution is wrong; the subset has to begin again.
        """
        key = (subset, name)
        if key not in self.nonces or not self.nonces_of(subset) or key in self.shares:
            return self
        members = self.members(subset)
        taken = replace(self, shares={**self.shares, key: share})
        if any((subset, member) not in taken.shares for member in members):
            return taken
        try:
            session = trial_session(self.terms, self.made, subset, self.nonces_of(subset))
            signature = frost.aggregate([taken.shares[subset, member] for member in members], session)
        except frost.InvalidContribution as error:
            suspect = "" if error.signer_index is None else members[error.signer_index]
            raise TrialFailed(subset, members, suspect, error.contrib) from error
        return replace(taken, signatures={**self.signatures, subset: signature})

    def again(self, subset: Subset) -> Trials:
        """The same without what a subset gave for an unfinished trial: nonces sign once, so all start over."""
        if subset in self.signatures:
            return self
        return replace(
            self,
            nonces={key: nonce for key, nonce in self.nonces.items() if key[0] != subset},
            shares={key: share for key, share in self.shares.items() if key[0] != subset},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trier:
    """A holder's side: a fresh share, and one unused nonce for each subset.

    Attributes:
        terms: What the key is made for, from the own log.
        made: The public side of the key, and the recovery data.
        share: The own share; wiped with the rest.
        subsets: The subsets that this holder tries.
        session: Names the attempt; mixed into the nonces.
    """

    terms: KeyOrder
    made: MadeKey
    share: SecretScalar
    identifier: int
    subsets: tuple[Subset, ...]
    session: bytes
    nonces: Mapping[Subset, SecretNonce] = field(default_factory=dict, repr=False)

    def commit(self, subset: Subset, random32: bytes) -> tuple[Trier, bytes]:
        """Commit for the trial of one subset; returns the public nonce, 66 bytes. An unused nonce is replaced.

        Raises:
            TrialRefused: it is none of the subsets this holder tries.
            InvalidInput: the randomness is not 32 bytes.
        """
        self._require(subset)
        nonce, public = frost.nonce_gen(
            random32,
            secshare=self.share,
            pubshare=self.share.public(),
            thresh_pk_xonly=self.made.key.commitments[0][1:],
            message=trial_of(self.terms, self.made, subset),
            extra=self.session,
        )
        earlier = self.nonces.get(subset)
        if earlier is not None:
            earlier.wipe()
        return replace(self, nonces={**self.nonces, subset: nonce}), public

    def sign(self, subset: Subset, nonces: tuple[bytes, ...]) -> tuple[Trier, bytes]:
        """Give the trial signature share of one subset, 32 bytes; the nonce is used up, also when it fails.

        This is the only signature without a plan: the share is fresh, and the message is made here.

        Raises:
            TrialRefused: not its subset, or there is no unused nonce for it.
            InvalidInput, InvalidContribution: the nonces are malformed, or do not hold the own one.
        """
        self._require(subset)
        nonce = self.nonces.get(subset)
        if nonce is None:
            raise TrialRefused(f"no unused nonce for the trial of {subset}: commit first")
        try:
            given = frost.sign(nonce, self.share, self.identifier, trial_session(self.terms, self.made, subset, nonces))
        finally:
            nonce.wipe()
        left = {key: value for key, value in self.nonces.items() if key != subset}
        return replace(self, nonces=left), given

    def wipe(self) -> None:
        """Destroy the share and the nonces. Wiping twice is harmless."""
        for nonce in self.nonces.values():
            nonce.wipe()
        self.share.wipe()

    def _require(self, subset: Subset) -> None:
        if subset not in self.subsets or self.identifier not in subset:
            raise TrialRefused(f"{subset} is none of the subsets that holder {self.identifier} tries")
