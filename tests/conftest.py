"""Every test starts from the same global seeds: ART's attacks draw from them."""

import pytest

from art_snn.evaluation.seeding import seeded_globals


@pytest.fixture(autouse=True)
def same_seeds():
    with seeded_globals(0):
        yield
