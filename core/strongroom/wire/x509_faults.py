"""What the X.509 library raises for certificates, requests and lists that are malformed.

It reads most fields only when they are asked for, and has no common class for what is wrong with them.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

__all__ = ["MALFORMED"]

MALFORMED: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""For an `except` clause around reading any part of an X.509 object; the maker of the object is at fault."""
