"""The coordinator's view of the chains: what it asks of a node, and how."""
