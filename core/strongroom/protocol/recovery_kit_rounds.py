"""Both rounds of a sweep: commitments to nonces, then signature shares; and whoever has all of them makes signatures.

A holder's part lives in one process: its share and its nonces are never stored, its nonces sign once, and when the
process ends before they have, all who sign begin again with fresh ones. The shares of t holders meet only as signature
shares, so the key is never in one place.

What comes from the other holders is signed with their host keys, so that nobody who carries the files can blame one for
what another did. Safety does not rest on that: nonces that were swapped give shares that fit nothing.

Spec: BIP-445; docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final, NoReturn, Self, TypeVar

from strongroom.chains.bitcoin.spend import BadSignature
from strongroom.crypto import frost
from strongroom.crypto.errors import InvalidContribution
from strongroom.crypto.frost import SecretNonce
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.records import VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.backup import recovered_share
from strongroom.protocol.recovery_kit_plan import OpenedPlan
from strongroom.protocol.recovery_kit_records import SweepCommitments, SweepShares
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES, BadWord, open_word, sign_word
from strongroom.protocol.signed import SignedBody

__all__ = ["NotThisHolder", "SweepHolder", "SweepLiar", "SweepSetMismatch", "combine", "holder_share"]

_SESSION_BYTES: Final = 16

W = TypeVar("W", SweepCommitments, SweepShares)


class NotThisHolder(StrongroomError):
    """The words, the name and the plan do not belong together. Nothing was signed."""

    reason = "SWEEP_HOLDER_MISMATCH"
    kind = Kind.FAILED_PRECONDITION


class SweepSetMismatch(StrongroomError):
    """The files are not of one round: replayed, swapped on the way, or of an attempt that was broken off.

    Nobody is proven to be at fault. Begin again in an empty folder.
    """

    reason = "SWEEP_SET_MISMATCH"
    kind = Kind.ABORTED


class SweepLiar(StrongroomError):
    """Holders signed what is wrong: their word under their own host key says so. Sign again without them.

    Attributes:
        culprits: Their names.
    """

    reason = "SWEEP_SHARE_WRONG"
    kind = Kind.ABORTED

    def __init__(self, message: str, *, culprits: frozenset[str]) -> None:
        super().__init__(message, culprits=", ".join(sorted(culprits)))
        self.culprits = culprits


def holder_share(vault: VaultRecord, name: str, host: SecretScalar, recovery: bytes) -> SecretScalar:
    """The share of a named holder of the vault's current epoch, from the host key of its words; the caller wipes it.

    Raises:
        NotThisHolder: the vault has no such holder, or these are another holder's words.
        ShareNotRecovered: the words are of another time, or the recovery data does not give the share.
    """
    if name not in vault.signers:
        raise NotThisHolder(
            f"{name} holds no share of vault {vault.name}: its holders are {', '.join(vault.signers)}", name=name
        )
    public = host.public()
    owner = next((who for who, key in zip(vault.signers, vault.host_keys, strict=True) if key == public), name)
    if owner != name:
        raise NotThisHolder(f"these are the words of {owner}, not of {name}: take its sheet", name=name)
    return recovered_share(host, vault, recovery)


class SweepHolder:
    """One holder in one attempt at one plan. Use it as a context manager: share and nonces are wiped at the end.

    Attributes:
        name: The holder's name.
        commitments: Its word of the first round, to be written where the others find it.
    """

    __slots__ = ("_host", "_nonces", "_opened", "_share", "commitments", "name")

    def __init__(
        self,
        opened: OpenedPlan,
        name: str,
        *,
        host: SecretScalar,
        share: SecretScalar,
        random: Callable[[int], bytes],
    ) -> None:
        """Make fresh nonces for every input.

        Args:
            opened: The plan, judged by `check_plan`.
            name: The holder's name.
            host: Its host secret key; stays the caller's.
            share: Its share of the plan's epoch; taken over.
            random: Returns as many fresh random bytes as asked for.

        Raises:
            NotThisHolder: the plan does not name this holder among those who sign, or it has another key there.
            InvalidInput: the random source failed.
        """
        self._share = share
        self._nonces: list[SecretNonce] = []
        self._host = host
        self._opened = opened
        self.name = name
        try:
            _require_signing(opened, name, host, share)
            self.commitments = self._committed(random)
        except BaseException:
            self.wipe()
            raise

    def shares(self, words: Mapping[str, SignedBody], *, aux32: bytes) -> SignedBody:
        """Sign, once: the word of the second round. The nonces are gone afterwards, whatever happens.

        Args:
            words: The first round's word of each holder who signs, by name, the own one among them.
            aux32: 32 fresh random bytes, for the signature under the word.

        Raises:
            NonceAlreadyUsed: it was called before.
            SweepSetMismatch: the words are not of exactly those who sign, or the own one is another than was made.
            BadWord: a word is not its holder's for this plan.
            SweepLiar: a holder committed to what are no nonces.
            SelfCheckFailed: a share made here did not verify here. Nothing is released.
        """
        nonces, self._nonces = self._nonces, []
        try:
            if not nonces:
                raise frost.NonceAlreadyUsed("these nonces have signed already: begin again with fresh ones")
            if words.get(self.name) != self.commitments:
                raise SweepSetMismatch(f"the commitments under the name {self.name} are not those made here")
            opened = _opened_commitments(self._opened, words)
            sessions = _sessions(self._opened, opened)
            number = self._opened.plan.holders.index(self.name)
            made = tuple(
                frost.sign(nonce, self._share, number, session) for nonce, session in zip(nonces, sessions, strict=True)
            )
        finally:
            for nonce in nonces:
                nonce.wipe()
        word = SweepShares(
            log_id=self._opened.plan.log_id,
            plan_hash=self._opened.hash,
            session=opened[self.name].session,
            commitments_hashes=_hashes(self._opened, words),
            shares=made,
            signer=self.name,
        )
        return sign_word(SHARES, word, self._host, aux32)

    def wipe(self) -> None:
        """Destroy share and nonces; again is harmless."""
        for nonce in self._nonces:
            nonce.wipe()
        self._nonces = []
        self._share.wipe()

    def _committed(self, random: Callable[[int], bytes]) -> SignedBody:
        session = random(_SESSION_BYTES)
        spend, plan = self._opened.spend, self._opened.plan
        public_share = self._share.public()
        for position, (key, digest) in enumerate(zip(spend.keys, spend.digests(), strict=True)):
            nonce, _ = frost.nonce_gen(
                random(32),
                secshare=self._share,
                pubshare=public_share,
                thresh_pk_xonly=key.output_key,
                message=digest,
                extra=self._opened.hash + session + position.to_bytes(4, "big"),
            )
            self._nonces.append(nonce)
        word = SweepCommitments(
            log_id=plan.log_id,
            plan_hash=self._opened.hash,
            session=session,
            nonces=tuple(nonce.public for nonce in self._nonces),
            signer=self.name,
        )
        return sign_word(COMMITMENTS, word, self._host, random(32))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<SweepHolder {self.name}, redacted>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("SweepHolder cannot be copied, pickled or serialised")


def combine(opened: OpenedPlan, commitments: Mapping[str, SignedBody], shares: Mapping[str, SignedBody]) -> bytes:
    """Verify every share, and make the finished transaction of them: serialised, ready to send.

    Args:
        opened: The plan.
        commitments: The first round's word of each holder who signs, by name.
        shares: The second round's.

    Raises:
        SweepSetMismatch: the words are not of one round of exactly those who sign.
        BadWord: a word is not its holder's for this plan.
        SweepLiar: shares, or commitments, are wrong; names everybody whose are.
    """
    committed = _opened_commitments(opened, commitments)
    sessions = _sessions(opened, committed)
    given = _opened_shares(opened, committed, shares, _hashes(opened, commitments))
    liars = frozenset(
        name
        for position, name in enumerate(opened.names)
        if not all(
            frost.partial_sig_verify(share, position, session)
            for share, session in zip(given[name].shares, sessions, strict=True)
        )
    )
    if liars:
        raise SweepLiar(
            f"the signature shares of {', '.join(sorted(liars))} are wrong: their machines are broken or they cheat",
            culprits=liars,
        )
    signatures = [
        frost.partial_sig_agg([given[name].shares[position] for name in opened.names], session)
        for position, session in enumerate(sessions)
    ]
    try:
        return opened.spend.finalise(signatures)
    except BadSignature as error:
        raise frost.InvalidSignature(f"every share verifies, the signature does not: {error.message}") from error


def _require_signing(opened: OpenedPlan, name: str, host: SecretScalar, share: SecretScalar) -> None:
    if name not in opened.names:
        raise NotThisHolder(f"the plan has {', '.join(opened.names)} sign, not {name}: plan again, with its name")
    if opened.host_key(name) != host.public():
        raise NotThisHolder(f"the plan has another host key for {name} than these words give", name=name)
    if opened.context.pubshares[opened.names.index(name)] != share.public():
        raise NotThisHolder(f"the plan has another public share for {name} than these words give", name=name)


def _opened_commitments(opened: OpenedPlan, words: Mapping[str, SignedBody]) -> dict[str, SweepCommitments]:
    _require_set(opened, words, "commitments")
    found = {name: _opened_word(COMMITMENTS, SweepCommitments, opened, name, words[name]) for name in opened.names}
    for name, word in found.items():
        _require_count(opened, name, len(word.nonces), "commitments")
    return found


def _opened_shares(
    opened: OpenedPlan,
    committed: Mapping[str, SweepCommitments],
    words: Mapping[str, SignedBody],
    hashes: tuple[bytes, ...],
) -> dict[str, SweepShares]:
    _require_set(opened, words, "shares")
    found = {name: _opened_word(SHARES, SweepShares, opened, name, words[name]) for name in opened.names}
    for name, word in found.items():
        _require_same(opened, name, word, committed[name].session, hashes)
        _require_count(opened, name, len(word.shares), "shares")
    return found


def _require_same(opened: OpenedPlan, name: str, word: SweepShares, session: bytes, hashes: tuple[bytes, ...]) -> None:
    """Check that shares are over the commitments that lie beside them.

    Raises:
        SweepSetMismatch: says whose differ. Their author signed two sets, or whoever carries the files mixed two
            attempts, or this holder names what it was never given: the file that it was given, if it has one, tells.
    """
    given = word.commitments_hashes
    if len(given) != len(hashes):
        raise SweepSetMismatch(f"{name} made its shares over {len(given)} commitments, where {len(hashes)} sign")
    differ = [who for who, one, other in zip(opened.names, given, hashes, strict=True) if one != other]
    if differ or word.session != session:
        whose = ", ".join(differ) or name
        raise SweepSetMismatch(
            f"{name} made its shares over other commitments of {whose} than those beside them: they are of an earlier "
            f"attempt, or {whose} signed two sets, or {name} does not tell the truth. If {name} cannot show a file "
            f"with the other commitments, signed by {whose}, it is {name}. Begin again, all of you, in an empty folder",
            name=name,
            whose=whose,
        )


def _opened_word(kind: str, cls: type[W], opened: OpenedPlan, name: str, signed: SignedBody) -> W:
    try:
        word: W = open_word(kind, cls, signed, host_key=opened.host_key(name))
    except BadWord as error:
        raise BadWord(f"the {kind.removeprefix('sweep-')} of {name}: {error.message}", name=name) from error
    if word.signer != name or word.log_id != opened.plan.log_id or word.plan_hash != opened.hash:
        raise BadWord(f"the {kind.removeprefix('sweep-')} of {name} are for another plan or another name", name=name)
    return word


def _require_set(opened: OpenedPlan, words: Mapping[str, SignedBody], what: str) -> None:
    if words.keys() != set(opened.names):
        raise SweepSetMismatch(
            f"there are {what} of {', '.join(sorted(words)) or 'nobody'}; by the plan {', '.join(opened.names)} sign"
        )


def _require_count(opened: OpenedPlan, name: str, count: int, what: str) -> None:
    if count != len(opened.plan.inputs):
        raise SweepLiar(
            f"{name} signed {count} {what} for a plan of {len(opened.plan.inputs)} inputs", culprits=frozenset({name})
        )


def _sessions(opened: OpenedPlan, committed: Mapping[str, SweepCommitments]) -> tuple[frost.Session, ...]:
    """One signing session for each input."""
    sessions = []
    for position, (tweaks, digest) in enumerate(zip(opened.spend.tweaks, opened.spend.digests(), strict=True)):
        nonces = [committed[name].nonces[position] for name in opened.names]
        try:
            sessions.append(frost.Session.from_public_nonces(nonces, opened.context, tweaks, digest))
        except InvalidContribution as error:
            liar = opened.names[error.signer_index or 0]
            raise SweepLiar(
                f"what {liar} committed to for input {position} are no nonces", culprits=frozenset({liar})
            ) from error
    return tuple(sessions)


def _hashes(opened: OpenedPlan, words: Mapping[str, SignedBody]) -> tuple[bytes, ...]:
    """SHA-256 of the commitments' body of each who signs, in participant order."""
    return tuple(sha256(words[name].body).digest() for name in opened.names)
