import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.threats import L0, pixel_budget


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 1, 3, math.inf]), st.sampled_from([(3, 4, 4), (2, 2, 3, 3), (9,)]))
def test_projected_points_are_contained_and_stay(seed, k, shape):
    gen = torch.Generator().manual_seed(seed)
    x = torch.rand(3, *shape, generator=gen)
    point = L0(k).project(x, x + torch.randn(3, *shape, generator=gen))
    assert bool(L0(k).contains(x, point).all())
    assert torch.equal(L0(k).project(x, point), point)
    assert float(L0(k).usage(x, point).max()) <= k
    assert 0 <= float(point.min()) <= float(point.max()) <= 1


def test_no_choice_of_pixels_is_nearer():
    gen = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 2, 3, generator=gen).double()
    far = x + torch.randn(1, 3, 2, 3, generator=gen)
    best = float((L0(2).project(x, far) - far).norm())
    clipped = far.clamp(0, 1)
    for chosen in combinations(range(6), 2):
        mask = torch.zeros(6, dtype=torch.bool)
        mask[list(chosen)] = True
        point = torch.where(mask.view(1, 1, 2, 3), clipped, x)
        # the budget keeps the largest change, which is the nearest point where nothing is clipped
        assert float((point - clipped).norm()) >= float((L0(2).project(x, clipped) - clipped).norm()) - 1e-12
    assert best >= 0


def test_all_channels_of_a_pixel_count_as_one():
    x = np.zeros((1, 3, 2, 2), dtype=np.float32)
    point = x.copy()
    point[0, :, 0, 0] = 1.0
    assert L0(1).usage(x, point)[0] == 1
    point[0, 1, 1, 1] = 0.5
    assert L0(1).usage(x, point)[0] == 2
    assert not L0(1).contains(x, point)[0]
    assert not L0(4).contains(x, point * 2)[0]


def test_its_name_in_words_of_art():
    assert isinstance(pixel_budget(0, 5), L0)
    assert repr(L0(5)) == "L0(5)"
    assert L0(0).is_zero
    with pytest.raises(ValueError, match="radius"):
        L0(-1)
