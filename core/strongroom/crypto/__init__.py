"""Threshold signatures and their parts, on libsecp256k1 and libsodium."""
