"""Defenses of spiking networks, in ART's interface."""
