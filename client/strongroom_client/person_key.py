"""A person's own key: made once, sealed under a passphrase, and opened to sign endorsements and adoptions.

The folder of a key holds `person.sealed` (the Ed25519 seed), `tls.key` (for the TLS certificate, which grants calls but
no authority) and `card.json` (what goes to whoever writes the charter).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from strongroom.crypto import sealed
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.signed_messages import Adopt, Endorsement, Signed
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, PersonName
from strongroom.protocol.restart import approval_of
from strongroom.protocol.signed import sign_body
from strongroom.wire.cards import Card, make_person_card, parse_card
from strongroom_client.files import FileExists, make_private_folder, read_bytes, write_new
from strongroom_client.pki import make_request

__all__ = ["CARD_FILE", "SEALED_FILE", "TLS_KEY_FILE", "PersonKey", "WrongPerson", "create_person_key"]

SEALED_FILE: Final = "person.sealed"
TLS_KEY_FILE: Final = "tls.key"
CARD_FILE: Final = "card.json"
_KIND: Final = "person"


class WrongPerson(StrongroomError):
    """A key was asked to sign in another's name; nothing was signed."""

    reason = "WRONG_PERSON"
    kind = Kind.INVALID_ARGUMENT
    remedy = "use the key and the profile of the same person"


class PersonKey:
    """An open person key. Use it as a context manager: it is wiped at the end."""

    __slots__ = ("_key", "name")

    name: PersonName

    def __init__(self, name: str, key: SigningKey) -> None:
        self.name = PersonName(name)
        self._key = key

    @classmethod
    def open(cls, folder: Path, passphrase: SecretBytes) -> Self:
        """Open the key in a folder.

        Raises:
            FileProblem: there is no readable `person.sealed`.
            SealedFileDamaged: the file is damaged; restore it from a backup.
            WrongPassphrase: the passphrase does not open it, or the file was changed.
        """
        data = read_bytes(folder / SEALED_FILE, max_bytes=sealed.MAX_FILE_SIZE)
        with sealed.open_sealed(data, passphrase, kind=_KIND) as seed:
            if len(seed) != 32:
                raise sealed.SealedFileDamaged(f"{folder / SEALED_FILE} does not hold an Ed25519 seed")
            key = SigningKey(seed)
        public = sealed.parse(data).public  # vouched for: the same bytes were opened
        if public.get("public") != key.public.hex() or "name" not in public:
            key.wipe()
            raise sealed.SealedFileDamaged(f"{folder / SEALED_FILE} names another public key than its own")
        return cls(public["name"], key)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key.public

    def sign_endorsement(self, endorsement: Endorsement) -> Signed:
        """Sign what this person says of an order.

        Raises:
            WrongPerson: the endorsement names another person or key.
        """
        self._check_author(endorsement.person, endorsement.key)
        return sign_body("endorsement", endorsement, self._key).stored()

    def sign_adoption(self, log_id: LogId) -> Signed:
        """Sign that this person adopts the genesis charter whose hash is the log id."""
        return sign_body("adopt", Adopt(log_id=log_id, person=self.name, key=self.public), self._key).stored()

    def approve_restart(self, restart: Restart) -> Signed:
        """Sign that the log is founded anew as the restart's statement says."""
        return approval_of(restart, person=self.name, key=self.public, sign=self._key.sign)

    def wipe(self) -> None:
        """Overwrite the key; every later signature raises SecretWiped."""
        self._key.wipe()

    def _check_author(self, person: str, key: bytes) -> None:
        if person != self.name or key != self.public:
            raise WrongPerson(f"this is the key of {self.name}, and the endorsement is by {person}: use that one's key")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<PersonKey of {self.name}, {self.public.hex()}>"


def create_person_key(
    folder: Path,
    name: str,
    passphrase: SecretBytes,
    *,
    random: Callable[[int], bytes],
    machine: bool = False,
    cost: sealed.Cost = sealed.PEOPLE,
) -> Card:
    """Make a person's key, TLS key and card in a folder; return the card.

    Args:
        folder: Made if it is not there; nothing in it is overwritten.
        name: `[a-z0-9-]{1,40}`.
        passphrase: 1 to 1,024 bytes.
        random: Returns as many fresh random bytes as asked for.
        machine: The key is an integrator's server's.
        cost: What one guess of the passphrase costs.

    Raises:
        FileExists: the folder holds a key already.
        FileProblem: a file cannot be written.
        CardInvalid: the name has not the form of one.
    """
    for file in (SEALED_FILE, TLS_KEY_FILE, CARD_FILE):
        if (folder / file).exists():
            raise FileExists(f"{folder / file} is there already: choose an empty folder", path=str(folder / file))
    tls_key, request = make_request(name)
    with SigningKey.generate(random) as key:
        card = make_person_card(name, key, request, machine=machine)
        public = {"name": name, "public": key.public.hex()}
        with key.seed() as seed:
            content = sealed.seal(_KIND, public, seed, passphrase, cost=cost, random=random)
    make_private_folder(folder)
    write_new(folder / SEALED_FILE, content)
    write_new(folder / TLS_KEY_FILE, tls_key)
    write_new(folder / CARD_FILE, card, secret=False)
    return parse_card(card)
