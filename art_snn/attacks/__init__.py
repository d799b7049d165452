"""Attacks on spiking networks, as ART attacks."""
