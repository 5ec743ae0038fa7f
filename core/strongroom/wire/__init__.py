"""Protobuf envelopes to and from the model."""
