"""The services for people and integrators."""
