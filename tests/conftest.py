"""Every test starts from the same global seeds: ART's attacks draw from them."""

import pytest

from art_snn.evaluation.seeding import seeded_globals
from art_snn.neurons import compiled


@pytest.fixture(autouse=True)
def same_seeds():
    with seeded_globals(0):
        yield


@pytest.fixture(params=["torch operations", "machine code"], scope="module")
def either_way(request):
    """Layers of any size as torch operations, and as machine code; numba comes with the extra that runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "machine code":
            assert compiled.kernels() is not None
            patch.setattr(compiled, "is_large", lambda x: x.device.type == "cpu" and x.numel() > 0)
        else:
            patch.setattr(compiled, "compiles", lambda *tensors: False)
        yield request.param
