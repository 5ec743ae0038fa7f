"""What opens `signer.sealed`: a passphrase, a key file, a credential of systemd, or a key inside a PKCS#11 token.

Each kind gives one secret, from which argon2id makes the key of the file. The choice is made at `init` and stands in
signer.toml; nothing of the secret does. With a token, the secret is HMAC-SHA-256 under a key that never leaves it.

Spec: systemd.exec(5), "Credentials"; PKCS #11 v3.0, CKM_SHA256_HMAC.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from strongroom.crypto.secret import SecretBytes
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.config import BadConfig, Seal, SealKind
from strongroom_signer.passphrase import NoPassphrase, read_passphrase
from strongroom_signer.process import write_private

__all__ = ["SealKeyMissing", "TokenFailed", "add_seal_options", "seal_of", "unlock"]

_KEY_SIZE: Final = 32
_MAX_CREDENTIAL: Final = 1_024
_HMAC_INPUT: Final = b"strongroom/signer.sealed/v1"


class SealKeyMissing(StrongroomError):
    """The key file or the credential that opens this signer is not there, or not what it must be."""

    reason = "SEAL_KEY_MISSING"
    kind = Kind.FAILED_PRECONDITION
    remedy = "put the key file or the credential where the configuration says"


class TokenFailed(StrongroomError):
    """The PKCS#11 token did not do what is asked of it; the message says what, never its PIN."""

    reason = "TOKEN_FAILED"
    kind = Kind.UNAVAILABLE


def add_seal_options(command: argparse.ArgumentParser) -> None:
    """Let a new signer's operator choose."""
    kinds = [kind.value for kind in SealKind]
    command.add_argument("--seal", choices=kinds, default=kinds[0], help="what opens signer.sealed; see signer.toml")
    command.add_argument(
        "--seal-key-file", default="", metavar="FILE", help="made when there is none; keep it elsewhere"
    )
    command.add_argument("--seal-credential", default="", metavar="NAME", help="of systemd, in $CREDENTIALS_DIRECTORY")
    command.add_argument("--seal-module", default="", metavar="FILE", help="PKCS#11 module; its PIN is the passphrase")
    command.add_argument("--seal-token", default="", metavar="LABEL", help="label of the PKCS#11 token")
    command.add_argument(
        "--seal-key", default="", metavar="LABEL", help="label of the key in it; made when there is none"
    )


def seal_of(options: argparse.Namespace) -> Seal:
    """The choice on the command line.

    Raises:
        BadConfig: an option that the kind needs is missing.
    """
    seal = Seal(
        kind=SealKind(options.seal),
        key_file=options.seal_key_file and str(Path(options.seal_key_file).absolute()),
        credential=options.seal_credential,
        module=options.seal_module,
        token=options.seal_token,
        key=options.seal_key,
    )
    if seal.missing():
        wanted = " and ".join(f"--seal-{name.replace('_', '-')}" for name in seal.missing())
        raise BadConfig(f"--seal {options.seal} needs {wanted}")
    return seal


def unlock(
    seal: Seal, folder: Path, passphrase_file: Path | None, *, new: bool, random: Callable[[int], bytes]
) -> SecretBytes:
    """Get the secret that opens `signer.sealed`.

    Args:
        seal: The operator's choice.
        folder: The data folder; a relative path of a key file begins there.
        passphrase_file: Holds the passphrase, or the token's PIN; the terminal asks when it is None.
        new: A new signer: a key file is made when there is none, and a key in the token likewise.
        random: Makes a new key file.

    Raises:
        NoPassphrase: the kind takes one, and none was given, or takes none, and a file was given.
        SealKeyMissing: there is no key file or credential.
        TokenFailed: the token refuses.
        BadConfig: PKCS#11 is chosen, and the program was installed without it.
    """
    if passphrase_file is not None and seal.kind in (SealKind.KEY_FILE, SealKind.CREDENTIAL):
        raise NoPassphrase(f"this signer is sealed by a {seal.kind.value}: leave --passphrase-file out")
    if seal.kind is SealKind.KEY_FILE:
        return _from_key_file(folder / seal.key_file, new=new, random=random)
    if seal.kind is SealKind.CREDENTIAL:
        return _from_credential(seal.credential)
    if seal.kind is SealKind.PKCS11:
        with read_passphrase(passphrase_file, what="PIN of the token") as pin:
            return _from_token(seal, pin, new=new)
    return read_passphrase(passphrase_file, new=new)


def _from_key_file(path: Path, *, new: bool, random: Callable[[int], bytes]) -> SecretBytes:
    if new and not path.exists():
        with SecretBytes.generate(_KEY_SIZE, random) as key:
            write_private(path, key.expose())
    key = _read(path, _KEY_SIZE + 1, f"key file {path}")
    if len(key) != _KEY_SIZE:
        raise SealKeyMissing(
            f"key file {path} must hold {_KEY_SIZE} bytes: put the right one back; nothing else opens it"
        )
    return key


def _from_credential(name: str) -> SecretBytes:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SealKeyMissing(
            f"there is no $CREDENTIALS_DIRECTORY: start this under systemd with LoadCredentialEncrypted={name}:..."
        )
    secret = _read(Path(folder) / name, _MAX_CREDENTIAL + 1, f"credential {name}")
    if not 1 <= len(secret) <= _MAX_CREDENTIAL:
        raise SealKeyMissing(f"credential {name} must hold 1 to {_MAX_CREDENTIAL} bytes")
    return secret


def _read(path: Path, most: int, what: str) -> SecretBytes:
    data = bytearray(most)
    try:
        with path.open("rb", buffering=0) as opened:
            del data[opened.readinto(data) :]
    except OSError as error:
        raise SealKeyMissing(f"{what} cannot be read: {error.strerror}") from None
    return SecretBytes.take_over(data)


def _from_token(seal: Seal, pin: SecretBytes, *, new: bool) -> SecretBytes:
    try:
        import pkcs11  # noqa: PLC0415 - an extra that most signers run without
    except ModuleNotFoundError:
        raise BadConfig('seal.kind is "pkcs11", which needs the extra: requirements/signer-pkcs11.lock') from None
    try:
        token = pkcs11.lib(seal.module).get_token(token_label=seal.token)
        # The library wants the PIN as text; it is gone with this process, or when the session is open.
        with token.open(rw=new, user_pin=pin.expose().decode("utf-8", "replace")) as session:
            key = _token_key(pkcs11, session, seal.key, new=new)
            mac = bytearray(key.sign(_HMAC_INPUT, mechanism=pkcs11.Mechanism.SHA256_HMAC))
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise TokenFailed(f"token {seal.token!r} of {seal.module}: {type(error).__name__}") from None
    if len(mac) != _KEY_SIZE:
        raise TokenFailed(f"token {seal.token!r} gave {len(mac)} bytes instead of {_KEY_SIZE}")
    return SecretBytes.take_over(mac)


def _token_key(pkcs11: Any, session: Any, label: str, *, new: bool) -> Any:
    """The HMAC key with this label; a new one is made inside the token and can never be read out of it."""
    found = list(
        session.get_objects({pkcs11.Attribute.LABEL: label, pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY})
    )
    if len(found) == 1:
        return found[0]
    if found or not new:
        raise TokenFailed(f"the token has {len(found)} keys with the label {label!r}, where one must be")
    return session.generate_key(
        pkcs11.KeyType.GENERIC_SECRET,
        256,
        label=label,
        store=True,
        capabilities=pkcs11.MechanismFlag.SIGN,
        mechanism=pkcs11.Mechanism.GENERIC_SECRET_KEY_GEN,
        template={pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
    )
