"""Writes a signer's secrets to a file as it uses them, so that a test can look for them in its memory afterwards.

Called in a launcher, before the daemon's code runs. The kernel copies each value from the secret's own buffer straight
into the file: no other buffer of the process ever holds it because of this. One record is a letter and 32 bytes:

    n  a secret nonce, used     g  a secret nonce, when it is made
    d  a value that signing derives from a nonce or from the share
    s  the secret share         h  the host secret        k  the storage key        v  the vote key's seed
    p  a partial signature: public, and what the last derived value becomes
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from strongroom.crypto import frost
from strongroom.crypto.secret import SecretScalar
from strongroom_signer import assembly

__all__ = ["keep_secrets", "kept_secrets"]

_SIZE = 32


class _Keeper:
    """The file, and whether a signature is being made."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.signing = 0

    def note(self, kind: bytes, *buffers: Any) -> None:
        for buffer in buffers:
            os.writev(self._descriptor, [kind, memoryview(buffer)[:_SIZE]])


def keep_secrets(path: Path) -> None:
    """Write every secret that this process uses from here on to the file."""
    keeper = _Keeper(path)
    _watch_signing(keeper)
    _watch_keys(keeper)
    for name in ("add", "multiply_public", "negate"):
        _watch_arithmetic(keeper, name)


def _watch_signing(keeper: _Keeper) -> None:
    sign, generate = frost.sign, frost.nonce_gen

    def watched_sign(nonce: Any, share: Any, my_id: int, session: Any) -> bytes:
        keeper.note(b"n", *(scalar.view() for scalar in nonce._pair[0]))
        keeper.note(b"s", share.view())
        keeper.signing += 1
        try:
            psig = sign(nonce, share, my_id, session)
        finally:
            keeper.signing -= 1
        keeper.note(b"p", psig)
        return psig

    def watched_generate(*arguments: Any, **options: Any) -> Any:
        made = generate(*arguments, **options)
        keeper.note(b"g", *(scalar.view() for scalar in made[0]._pair[0]))
        return made

    _replace(frost, "sign", watched_sign)
    _replace(frost, "nonce_gen", watched_generate)


def _watch_keys(keeper: _Keeper) -> None:
    open_keys = vars(assembly)["open_keys"]

    def watched(*arguments: Any) -> Any:
        keys = open_keys(*arguments)
        for kind, buffer in (
            (b"h", keys.host.view()),
            (b"k", keys.storage.view()),
            (b"v", keys.vote._secret.view()),
        ):
            keeper.note(kind, buffer)
        return keys

    _replace(assembly, "open_keys", watched)


def _watch_arithmetic(keeper: _Keeper, name: str) -> None:
    method = getattr(SecretScalar, name)

    def watched(self: SecretScalar, *arguments: Any) -> None:
        method(self, *arguments)
        if keeper.signing:
            keeper.note(b"d", self.view())

    setattr(SecretScalar, name, watched)


def _replace(module: ModuleType, name: str, function: Callable[..., Any]) -> None:
    setattr(module, name, function)


def kept_secrets(path: Path) -> Mapping[str, set[bytes]]:
    """What a process wrote, by kind; values that became public are left out."""
    data = path.read_bytes()
    kept: dict[str, set[bytes]] = defaultdict(set)
    for start in range(0, len(data), _SIZE + 1):
        kept[chr(data[start])].add(data[start + 1 : start + 1 + _SIZE])
    kept["d"] -= kept["p"]
    return kept
