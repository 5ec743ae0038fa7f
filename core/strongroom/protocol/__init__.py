"""Sessions as pure state machines: terms, append, sign, key generation."""
