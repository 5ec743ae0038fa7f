"""Reading the positional or named parameters of a call, strictly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from strongroom.chains.bitcoin.address import BadAddress, script_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.transaction import InvalidTransaction, Transaction, parse, txid_bytes
from strongroom_regtest.errors import Code, RpcError

_MISSING: Final = object()


class Parameters:
    """The parameters of one call by name."""

    def __init__(self, names: Sequence[str], given: object) -> None:
        """Match what was given with the method's names.

        Raises:
            RpcError: too many, unknown names, or neither an array nor an object.
        """
        if given is None:
            given = []
        if isinstance(given, list):
            if len(given) > len(names):
                raise RpcError(Code.MISC_ERROR, f"at most {len(names)} parameters: {', '.join(names)}")
            self._values: dict[str, Any] = dict(zip(names, given, strict=False))
        elif isinstance(given, dict):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise RpcError(Code.INVALID_PARAMETER, f"Unknown named parameter {unknown[0]}")
            self._values = given
        else:
            raise RpcError(Code.INVALID_REQUEST, "Params must be an array or object")

    def _get(self, name: str, default: object) -> Any:
        value = self._values.get(name)
        if value is not None:
            return value
        if default is _MISSING:
            raise RpcError(Code.MISC_ERROR, f"parameter {name} is required")
        return default

    def text(self, name: str, default: object = _MISSING) -> Any:
        """A string."""
        value = self._get(name, default)
        if value is not default and not isinstance(value, str):
            raise RpcError(Code.TYPE_ERROR, f"{name} must be a string")
        return value

    def integer(self, name: str, default: object = _MISSING, *, least: int = 0, most: int = 2**31 - 1) -> Any:
        """An integer between two bounds."""
        value = self._get(name, default)
        if value is default:
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise RpcError(Code.TYPE_ERROR, f"{name} must be an integer")
        if not least <= value <= most:
            raise RpcError(Code.INVALID_PARAMETER, f"{name} must lie between {least} and {most}")
        return value

    def number(self, name: str, default: float) -> float:
        """A number that is not negative; Bitcoin Core takes amounts as strings too."""
        value = self._get(name, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RpcError(Code.TYPE_ERROR, f"{name} must be a number") from None
        if not 0 <= number < 21_000_000:
            raise RpcError(Code.TYPE_ERROR, f"{name} is out of range")
        return number

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise RpcError(Code.TYPE_ERROR, f"{name} must be true or false")
        return value

    def verbosity(self, name: str, default: int) -> int:
        """A level, or a boolean standing for 0 or 1."""
        value = self._get(name, default)
        if not isinstance(value, int):
            raise RpcError(Code.TYPE_ERROR, f"{name} must be an integer")
        return int(value)

    def items(self, name: str) -> list[Any]:
        """An array."""
        value = self._get(name, _MISSING)
        if not isinstance(value, list):
            raise RpcError(Code.TYPE_ERROR, f"{name} must be an array")
        return value

    def hash(self, name: str) -> bytes:
        """A displayed transaction id or block hash, as 32 bytes in internal order."""
        text = self.text(name)
        try:
            return txid_bytes(text.lower())
        except InvalidTransaction:
            raise RpcError(Code.INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}) and hex") from None

    def script(self, name: str) -> bytes:
        """An address, as its output script."""
        try:
            return script_of(self.text(name), REGTEST)
        except BadAddress as error:
            raise RpcError(Code.INVALID_ADDRESS_OR_KEY, f"Error: Invalid address: {error.message}") from error


def transaction_of(text: object) -> Transaction:
    """Decode a transaction given in hex.

    Raises:
        RpcError: not hex, or not one transaction.
    """
    try:
        if not isinstance(text, str):
            raise TypeError
        return parse(bytes.fromhex(text))
    except (ValueError, TypeError):
        raise RpcError(Code.DESERIALIZATION_ERROR, "TX decode failed: not a hex string") from None
    except InvalidTransaction as error:
        raise RpcError(Code.DESERIALIZATION_ERROR, f"TX decode failed: {error.message}") from error
