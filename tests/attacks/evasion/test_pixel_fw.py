from itertools import combinations

import numpy as np
import pytest
import torch

from art_snn.attacks.evasion import SNNAutoAttack, SNNAutoPGD, SNNSquare
from art_snn.attacks.evasion.pixel_fw import PixelFrankWolfe
from art_snn.attacks.evasion.search import Problem
from art_snn.threats import L0


def test_no_choice_of_pixels_gains_more():
    gen = torch.Generator().manual_seed(0)
    for _ in range(30):
        x, g = torch.rand(1, 2, 2, 3, generator=gen).double(), torch.randn(1, 2, 2, 3, generator=gen).double()
        rows = torch.arange(1)
        search = PixelFrankWolfe(Problem(x, rows, rows, rows, None, [0], [0], L0(2)))
        ours = float((g * (search._corner(g) - x)).sum())
        corner = (g > 0).double()
        gains = (g * (corner - x)).sum(1).flatten()
        assert ours == pytest.approx(max(float(gains[list(c)].sum()) for c in combinations(range(6), 2)))


def test_few_pixels_break_the_network_and_keep_the_budget(digits):
    attack = SNNAutoPGD(digits.snn, norm=0, eps=1, max_iter=15)
    x_adv = attack.generate(digits.x, digits.y)
    assert ((x_adv != digits.x).any(1).reshape(len(x_adv), -1).sum(1) <= 1).all()
    assert attack.last_run.threat == "L0(1)"
    single = SNNAutoPGD(digits.snn, norm=0, eps=1, max_iter=1)
    single.generate(digits.x, digits.y)
    assert attack.last_run.success.any()
    assert attack.last_run.success.sum() >= single.last_run.success.sum()
    assert np.array_equal(SNNAutoPGD(digits.snn, norm=0, eps=0).generate(digits.x, digits.y), digits.x)
    mask = np.zeros((1, 8, 8))
    mask[..., 4:] = 1
    kept = SNNAutoPGD(digits.snn, norm=0, eps=4, max_iter=5).generate(digits.x, digits.y, mask=mask)
    assert np.array_equal(kept[..., :4], digits.x[..., :4])


def test_attacks_without_a_form_for_pixels_say_so(digits):
    for kind in (SNNSquare, SNNAutoAttack):
        with pytest.raises(ValueError, match="norm=0"):
            kind(digits.snn, norm=0, eps=4)
