"""A signer's keys: where each one lives, and how the daemon gets them into memory.

- Host secret (secp256k1; two while the words are being replaced), storage key: `signer.sealed`, under the passphrase.
- Vote and witness seeds (Ed25519): random, only in signer.db, under the storage key. They are never derived from
  anything that a backup holds, so a restored machine cannot vote with them by accident. The vote seed is erased when
  the signer has left the witness set.
- Key shares: signer.db, under the storage key.
- TLS key (P-256): `tls.key`. It grants calls, never authority.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.crypto import sealed
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire import cards
from strongroom_signer.box import KEY_SIZE, open_box, seal_box
from strongroom_signer.process import write_private
from strongroom_signer.store import Identity, Store

__all__ = [
    "SEALED_FILE",
    "KeysDoNotMatch",
    "SignerKeys",
    "copy_keys",
    "create_keys",
    "forget_vote_key",
    "open_keys",
    "public_host_keys",
    "seal_again",
]

SEALED_FILE: Final = "signer.sealed"
_KIND: Final = "signer"
_HOST_KEY: Final = re.compile(r"[0-9a-f]{66}")
_VOTE: Final = "vote"
_WITNESS: Final = "witness"
_VOTE_ERASED: Final = "vote_key_erased"


class KeysDoNotMatch(StrongroomError):
    """The sealed file and the database are of different signers."""

    reason = "KEYS_DO_NOT_MATCH"
    kind = Kind.DATA_LOSS
    remedy = "put back the sealed file and the database of one signer; else `recover` from its words"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKeys:
    """The open keys of a running signer. Nothing here can be printed or copied."""

    host: SecretScalar
    """Of the words in use; while they are being replaced, of the older ones."""
    vote: SigningKey
    witness: SigningKey
    storage: SecretBytes
    """32 bytes: seals what the database holds."""
    next_host: SecretScalar | None = None
    """Of the newer words, until nothing needs the older ones any more."""

    @property
    def hosts(self) -> tuple[SecretScalar, ...]:
        """The host keys, the newer one last."""
        return (self.host,) if self.next_host is None else (self.host, self.next_host)

    def host_among(self, public_keys: Collection[bytes]) -> SecretScalar:
        """The host key that is one of these, the older one when neither is: what uses it then says so."""
        return next((host for host in reversed(self.hosts) if host.public() in public_keys), self.host)

    def card(self, name: str, request: str, random: Callable[[int], bytes]) -> str:
        """The card by which administrators take this signer into the charter, with the newer host key.

        Args:
            name: The signer's name.
            request: Its TLS certificate request, PEM.
            random: 32 bytes for the host key's signature under the card.
        """
        return cards.make_signer_card(
            name,
            host=self.hosts[-1],
            vote=self.vote,
            witness=self.witness,
            certificate_request=request,
            aux32=random(32),
        )

    def wipe(self) -> None:
        """Overwrite all of them."""
        for host in self.hosts:
            host.wipe()
        for key in (self.vote, self.witness, self.storage):
            key.wipe()


def create_keys(
    folder: Path,
    store: Store,
    name: str,
    passphrase: SecretBytes,
    *,
    host: SecretScalar,
    cost: sealed.Cost,
    random: Callable[[int], bytes],
) -> SignerKeys:
    """Make the other keys of a signer with this host key; write the database rows first and `signer.sealed` last.

    The host key is what the words on paper say. The vote, witness and storage keys are new and have no backup.
    """
    storage = SecretBytes.generate(KEY_SIZE, random)
    vote, witness = SigningKey.generate(random), SigningKey.generate(random)
    with store.commit() as write:
        for what, key in ((_VOTE, vote), (_WITNESS, witness)):
            with key.seed() as seed:
                write.add_secret(what, seal_box(storage, _label(what), seed, random=random))
        write.set_identity(
            Identity(name=name, host_key=host.public(), vote_key=vote.public, witness_key=witness.public)
        )
    keys = SignerKeys(host=host, vote=vote, witness=witness, storage=storage)
    write_private(folder / SEALED_FILE, _sealed(name, keys, passphrase, cost=cost, random=random))
    return keys


def seal_again(
    folder: Path,
    name: str,
    keys: SignerKeys,
    passphrase: SecretBytes,
    *,
    cost: sealed.Cost,
    random: Callable[[int], bytes],
) -> None:
    """Replace `signer.sealed`, as a whole or not at all, with the host keys that there are now."""
    write_private(folder / SEALED_FILE, _sealed(name, keys, passphrase, cost=cost, random=random), replace=True)


def _sealed(
    name: str, keys: SignerKeys, passphrase: SecretBytes, *, cost: sealed.Cost, random: Callable[[int], bytes]
) -> bytes:
    """The sealed file: the host secret, the storage key, and perhaps the newer host secret, 32 bytes each."""
    public = {"name": name, "host": keys.host.public().hex()}
    secret = bytearray(keys.host.view()) + bytearray(keys.storage.view())
    if keys.next_host is not None:
        public["next_host"] = keys.next_host.public().hex()
        secret += bytearray(keys.next_host.view())
    with SecretBytes.take_over(secret) as whole:
        return sealed.seal(_KIND, public, whole, passphrase, cost=cost, random=random)


def copy_keys(made: Store, new: Store) -> None:
    """Write a signer's identity and sealed keys into another database of the same signer."""
    with new.commit() as write:
        for what in (_VOTE, _WITNESS):
            write.add_secret(what, made.secret(what))
        write.set_identity(made.identity())


def open_keys(folder: Path, store: Store, passphrase: SecretBytes) -> SignerKeys:
    """Open all keys of the signer in `folder`.

    Raises:
        WrongPassphrase: the passphrase does not open `signer.sealed`.
        SealedFileDamaged: the file is missing, malformed, or not a signer's.
        KeysDoNotMatch: file and database are of different signers.
        BoxDamaged: a stored secret does not open.
    """
    path = folder / SEALED_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise sealed.SealedFileDamaged(f"there is no {path}: run `strongroom-signer init` first") from None
    identity = store.identity()
    try:
        opened = sealed.open_sealed(data, passphrase, kind=_KIND)
    except sealed.SealedFileDamaged as error:
        raise sealed.SealedFileDamaged(
            f"{path} is damaged ({error.message}): put back the file that `init` made; nothing else opens this signer"
        ) from None
    except sealed.WrongPassphrase as error:
        raise sealed.WrongPassphrase(f"{path}: {error.message}") from None
    with opened as whole:
        if len(whole) not in (32 + KEY_SIZE, 64 + KEY_SIZE):
            raise sealed.SealedFileDamaged(f"{path} holds {len(whole)} secret bytes instead of {32 + KEY_SIZE}")
        view = whole.view()
        host, storage = SecretScalar.from_bytes(view[:32]), SecretBytes(view[32:64])
        next_host = SecretScalar.from_bytes(view[64:]) if len(whole) > 64 else None
        view.release()
    # Between the two writes that retire the older words, the database names the newer key already.
    if identity.host_key not in [one.public() for one in (host, next_host) if one is not None]:
        raise KeysDoNotMatch(f"{path} is not of signer {identity.name} in {store.path}: put the right file back")
    witness = _open_key(store, storage, _WITNESS)
    is_erased = store.counter(_VOTE_ERASED) > 0
    vote = SigningKey.erased(identity.vote_key) if is_erased else _open_key(store, storage, _VOTE)
    if (vote.public, witness.public) != (identity.vote_key, identity.witness_key):
        raise KeysDoNotMatch(f"the keys in {store.path} are not those it names: the database was changed")
    return SignerKeys(host=host, vote=vote, witness=witness, storage=storage, next_host=next_host)


def forget_vote_key(store: Store, keys: SignerKeys) -> None:
    """Erase the vote key on disk, then in memory: a signer that left the witness set has no use for it."""
    with store.commit() as write:
        write.remove_secret(_VOTE)
        write.set_counter(_VOTE_ERASED, 1)
    keys.vote.wipe()


def public_host_keys(folder: Path, store: Store) -> tuple[bytes, ...]:
    """The public host keys of a stopped signer, without opening anything; 33 bytes each.

    Raises:
        SealedFileDamaged: the sealed file is malformed.
    """
    next_host = sealed.parse((folder / SEALED_FILE).read_bytes()).public.get("next_host", "")
    known = (store.identity().host_key, bytes.fromhex(next_host) if _HOST_KEY.fullmatch(next_host) else b"")
    return tuple(dict.fromkeys(key for key in known if key))


def _open_key(store: Store, storage: SecretBytes, what: str) -> SigningKey:
    with open_box(storage, _label(what), store.secret(what)) as seed:
        return SigningKey(seed)


def _label(what: str) -> bytes:
    return b"strongroom/signer/" + what.encode("ascii")
