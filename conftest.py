"""Pytest settings that need code."""

collect_ignore = ["art_snn/defences.py"]
