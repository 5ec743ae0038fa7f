"""Bitcoin: vault keys, addresses, spends, digests, transactions. Pure: nothing here reads a clock, a file or a node."""
