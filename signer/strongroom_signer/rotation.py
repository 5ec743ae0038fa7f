"""`rotate-words`: new words for a signer, while the old ones still open the shares of current epochs.

The second host key lies beside the first until nothing needs the first any more: the charter names the second one, and
every vault has an epoch under it. Then the daemon forgets the first at its next start, and the old sheet is worth
nothing for any epoch whose recovery data still exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger.state import State
from strongroom_signer.enrolment import CARD_FILE
from strongroom_signer.keys import SignerKeys, open_keys, seal_again
from strongroom_signer.process import write_private
from strongroom_signer.retirement import require_vote_key
from strongroom_signer.store import Store
from strongroom_signer.tls import request_again

__all__ = ["begin_rotation", "needs_older_words", "retire_older_words"]


def begin_rotation(
    folder: Path,
    store: Store,
    passphrase: SecretBytes,
    *,
    confirm: Callable[[SecretScalar], None],
    cost: Cost,
    random: Callable[[int], bytes],
) -> tuple[Path, bool]:
    """Make a second host key, and a card with it for the administrators. The folder's lock is the caller's.

    Args:
        folder: The data folder.
        store: Its open database.
        passphrase: Opens `signer.sealed`.
        confirm: Shows the new words and raises unless the operator has them; nothing is written before.
        cost: What one guess of the passphrase costs.
        random: Keys and salts.

    Returns:
        The card's path, and whether the key was made now: an unfinished rotation is gone on with.

    Raises:
        WordsNotConfirmed: nothing was changed.
        Retired: nobody waits for a card of this signer any more.
        WrongPassphrase, SealedFileDamaged, KeysDoNotMatch, BadCertificateFile: the folder is not whole.
    """
    name = store.identity().name
    keys = open_keys(folder, store, passphrase)
    try:
        require_vote_key(keys.vote)
        is_new = keys.next_host is None
        request = request_again(folder, name)
        if is_new:
            made = SecretScalar.generate(random)
            confirm(made)
            keys = replace(keys, next_host=made)
            seal_again(folder, name, keys, passphrase, cost=cost, random=random)
        card = keys.card(name, request, random)
    finally:
        keys.wipe()
    write_private(folder / CARD_FILE, card.encode("utf-8"), mode=0o644, replace=True)
    return folder / CARD_FILE, is_new


def needs_older_words(keys: SignerKeys, name: str, final: State) -> tuple[str, ...]:
    """What keeps the older words in use: "charter", and vaults whose current epoch is under them."""
    if keys.next_host is None:
        return ()
    mine = [signer.host_key for signer in final.charter.signers if signer.name == name]
    charter = () if mine == [keys.next_host.public()] else ("charter",)
    older = keys.host.public()
    return (*charter, *(vault.name for vault in final.vaults() if older in vault.host_keys))


def retire_older_words(
    folder: Path,
    store: Store,
    keys: SignerKeys,
    final: State,
    passphrase: SecretBytes,
    *,
    cost: Cost,
    random: Callable[[int], bytes],
) -> SignerKeys:
    """Forget the older host key when nothing needs it any more; returns the keys that are left.

    The database names the newer key first; a kill before the sealed file is replaced leaves what is done again.
    """
    name = store.identity().name
    if keys.next_host is None or needs_older_words(keys, name, final):
        return keys
    with store.commit() as write:
        write.change_host_key(keys.next_host.public())
    left = replace(keys, host=keys.next_host, next_host=None)
    seal_again(folder, name, left, passphrase, cost=cost, random=random)
    keys.host.wipe()
    return left
