"""Defenses behind ART's own extension points, each with the attack that knows about it."""
