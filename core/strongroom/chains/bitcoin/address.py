"""Address text and output scripts, one for one: what decodes also encodes back to the very same text.

Five kinds of output script have an address here: P2PKH, P2SH (base58check), P2WPKH, P2WSH (bech32, BIP-173) and P2TR
(bech32m, BIP-350). Everything else is refused, so an address in a signed order has exactly one reading.
"""

from __future__ import annotations

from typing import Final

from strongroom.chains.bitcoin.networks import NETWORKS, Network
from strongroom.chains.bitcoin.policy import ScriptType, script_type
from strongroom.crypto import bech32, bip32
from strongroom.crypto.errors import InvalidEncoding
from strongroom.model.errors import Kind, StrongroomError

_BASE58_MAX_LETTERS: Final = 35


class BadAddress(StrongroomError):
    """Text that is not a canonical address of the network, or a script that has none; the message says why."""

    reason = "BAD_ADDRESS"
    kind = Kind.INVALID_ARGUMENT
    remedy = "copy the whole address again from where you got it"


def script_of(address: str, network: Network) -> bytes:
    """Decode an address into its output script: 22 to 34 bytes.

    Raises:
        BadAddress: malformed, wrong checksum, another network, an unknown witness version, or not the canonical
            spelling. Whoever wrote the address is at fault.
    """
    if not address or not address.isascii() or not address.isprintable() or " " in address:
        raise BadAddress("an address is printable ASCII text without spaces")
    prefix = address.lower().rpartition("1")[0]
    hrps = {known.hrp for known in NETWORKS}
    script = _segwit_script(address, prefix, network) if prefix in hrps else _base58_script(address, network)
    if address_of(script, network) != address:
        raise BadAddress(f"{address} is not the canonical spelling, which is {address_of(script, network)}")
    return script


def address_of(script: bytes, network: Network) -> str:
    """Encode an output script as the network's address.

    Raises:
        BadAddress: a script of none of the five kinds.
    """
    match script_type(script):
        case ScriptType.P2PKH:
            return bip32.base58check_encode(bytes([network.p2pkh_version]) + script[3:23])
        case ScriptType.P2SH:
            return bip32.base58check_encode(bytes([network.p2sh_version]) + script[2:22])
        case ScriptType.P2WPKH | ScriptType.P2WSH:
            return bech32.encode_segwit(network.hrp, 0, script[2:])
        case ScriptType.P2TR:
            return bech32.encode_segwit(network.hrp, 1, script[2:])
        case None:
            raise BadAddress("the script is none of P2PKH, P2SH, P2WPKH, P2WSH and P2TR")


def _base58_script(address: str, network: Network) -> bytes:
    if len(address) > _BASE58_MAX_LETTERS:
        raise BadAddress(f"{address} is neither a segwit address of a known network nor a base58 address")
    try:
        payload = bip32.base58check_decode(address)
    except InvalidEncoding as error:
        raise BadAddress(f"{address}: {error.message}, and no known segwit prefix starts it") from error
    if len(payload) != 21:
        raise BadAddress(f"{address}: {len(payload)} bytes of payload instead of a version and a 20-byte hash")
    version, digest = payload[0], payload[1:]
    if version == network.p2pkh_version:
        return b"\x76\xa9\x14" + digest + b"\x88\xac"
    if version == network.p2sh_version:
        return b"\xa9\x14" + digest + b"\x87"
    raise BadAddress(f"{address} is not an address of {network.name}")


def _segwit_script(address: str, prefix: str, network: Network) -> bytes:
    if prefix != network.hrp:
        raise BadAddress(f"{address} is not an address of {network.name}: its prefix is {prefix}, not {network.hrp}")
    if address not in (address.lower(), address.upper()):
        raise BadAddress(f"{address} mixes upper and lower case")
    try:
        version, program = bech32.decode_segwit(network.hrp, address)
    except bech32.InvalidBech32 as error:
        raise BadAddress(f"{address}: {error.message}") from error
    if version > 1:
        raise BadAddress(f"{address}: witness version {version} has no known meaning, its coins could be lost")
    if version == 1 and len(program) != 32:
        raise BadAddress(f"{address}: a witness program of version 1 has 32 bytes, not {len(program)}")
    return (b"\x51\x20" if version == 1 else bytes([0, len(program)])) + program
