from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import surrogate as sj

from art_snn.gradients import FAMILIES, surrogate
from art_snn.gradients.slopes import slope_of

THEIRS = {
    "atan": sj.ATan,
    "triangle": sj.PiecewiseQuadratic,
    "rect": sj.Rect,
    "sigmoid": sj.Sigmoid,
    "erf": sj.Erf,
    "exponential": sj.PiecewiseExp,
    "soft_sign": sj.SoftSign,
    "q_pseudo_spike": sj.QPseudoSpike,
    "super_spike": sj.SuperSpike,
    "log_abs": sj.NonzeroSignLogAbs,
}
BOUNDED = [name for name, family in FAMILIES.items() if math.isfinite(family.area(2.0))]
SHARP = [name for name, family in FAMILIES.items() if family.reach is not None]


def integral(family: str, alpha: float, reach: float) -> float:
    """Trapezoids in logarithmic steps, both sides; accurate for heavy tails."""
    t = torch.linspace(math.log(1e-9), math.log(reach), 200_001, dtype=torch.float64)
    v = torch.exp(t)
    kind = FAMILIES[family]
    both = kind.slope(v, alpha) + kind.slope(-v, alpha)
    return float(torch.trapezoid(both * v, t))


@pytest.mark.parametrize("family", BOUNDED)
@pytest.mark.parametrize("alpha", [2.0, 7.0])
def test_area(family: str, alpha: float) -> None:
    assert integral(family, alpha, 1e7) == pytest.approx(FAMILIES[family].area(alpha), rel=1e-4)


@pytest.mark.parametrize("family", SHARP)
def test_mass_is_the_integral_and_reach_its_inverse(family: str) -> None:
    kind = FAMILIES[family]
    for degree in (0.3, 0.85, 0.9):
        w = kind.reach(degree)
        assert float(kind.mass(torch.tensor(w, dtype=torch.float64))) == pytest.approx(degree, abs=1e-12)
        assert integral(family, 3.0, w / 3.0) == pytest.approx(degree, abs=1e-4)


@pytest.mark.parametrize("family", SHARP)
def test_slope_is_the_derivative_of_its_primitive(family: str) -> None:
    kind = FAMILIES[family]
    v = torch.tensor([-1.7, -0.61, -0.13, 0.07, 0.31, 0.9, 2.3], dtype=torch.float64)

    def primitive(v: torch.Tensor) -> torch.Tensor:
        return (1 + v.sign() * kind.mass(2.0 * v.abs())) / 2

    step = 1e-6
    numeric = (primitive(v + step) - primitive(v - step)) / (2 * step)
    assert torch.allclose(kind.slope(v, 2.0), numeric, atol=1e-8)


@pytest.mark.parametrize("family", list(THEIRS))
def test_agrees_with_spikingjelly(family: str) -> None:
    v = torch.linspace(-3, 3, 601, dtype=torch.float64) + 1e-3
    ours = surrogate(family, 3.0).slope(v)
    assert torch.allclose(ours, slope_of(THEIRS[family](alpha=3.0), v), rtol=1e-9, atol=1e-14)


def test_defaults_are_spikingjellys() -> None:
    for family, theirs in THEIRS.items():
        assert surrogate(family).alpha == theirs().alpha, family


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "s2nn"])
def test_symmetric(family: str) -> None:
    v = torch.logspace(-3, 1, 50)
    slope = surrogate(family).slope
    assert torch.equal(slope(v), slope(-v))


def test_sigmoid_does_not_vanish_on_one_side() -> None:
    v = torch.tensor([-8.0, 8.0])
    theirs = slope_of(sj.Sigmoid(4.0), v)
    assert theirs[0] > 0
    assert theirs[1] == 0
    assert bool((surrogate("sigmoid", 4.0).slope(v) > 0).all())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tensor_sharpness_is_elementwise(family: str) -> None:
    v = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    alpha = torch.rand(4, 3, generator=torch.Generator().manual_seed(1)) * 3 + 1.5
    slope = FAMILIES[family].slope
    one_by_one = torch.stack([slope(a, b.item()) for a, b in zip(v.flatten(), alpha.flatten(), strict=True)])
    assert torch.allclose(slope(v, alpha).flatten(), one_by_one, rtol=1e-5)


def test_flat_is_dense_and_sharp_is_zero() -> None:
    v = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    zeros = [float((surrogate("triangle", alpha).slope(v) == 0).float().mean()) for alpha in (1e-3, 1.0, 1e4)]
    assert zeros[0] == 0
    assert 0.2 < zeros[1] < 0.5
    assert zeros[2] > 0.99


@pytest.mark.parametrize(
    ("family", "sharpness"), [("atn", 1.0), ("atan", 0.0), ("atan", math.nan), ("q_pseudo_spike", 1)]
)
def test_refuses(family: str, sharpness: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        surrogate(family, sharpness)
