"""One pure module per chain: bytes in, bytes out."""
