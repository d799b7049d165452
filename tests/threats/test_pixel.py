import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from art_snn.threats import L1, L2, Linf, pixel_budget
from art_snn.threats.projection import l1

KINDS = (Linf, L2, L1)
EPS = (0.0, 1e-3, 8 / 255, 0.3, 2.0, math.inf)


def pair(seed, n=20, shape=(1, 4, 4), spread=0.5):
    gen = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *shape, generator=gen)
    return x, x + spread * torch.randn(n, *shape, generator=gen)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eps", EPS)
def test_projected_points_are_contained_without_any_tolerance(kind, eps):
    x, far = pair(0)
    threat = kind(eps)
    point = threat.project(x, far)
    assert point.dtype == x.dtype
    assert bool(threat.contains(x, point).all())
    slack = 1e-12 if kind is not Linf else 0.0
    assert float(threat.usage(x, point).max()) <= eps * (1 + slack)
    assert float(point.min()) >= 0.0
    assert float(point.max()) <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_points_inside_stay_and_projecting_twice_changes_nothing(kind):
    x, far = pair(1, spread=1e-3)
    threat = kind(1.0)
    inside = far.clamp(0, 1)
    torch.testing.assert_close(threat.project(x, inside), inside, rtol=0, atol=1e-7)
    once = kind(0.01).project(x, far)
    torch.testing.assert_close(kind(0.01).project(x, once), once, rtol=0, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([8 / 255, 0.1, 0.5, 1.5]), st.sampled_from(KINDS))
def test_float32_rounding_never_leaves_the_ball(seed, eps, kind):
    x, far = pair(seed, n=4, spread=1.0)
    point = kind(eps).project(x, far)
    delta = (point.double() - x.double()).flatten(1)
    norm = {Linf: math.inf, L2: 2, L1: 1}[kind]
    assert float(torch.linalg.vector_norm(delta, norm, dim=1).max()) <= eps * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_l1_projection_is_the_nearest_point_of_ball_and_box(seed):
    rng = np.random.default_rng(seed)
    size, eps = 6, float(rng.uniform(0.2, 1.5))
    x, target = rng.random(size), rng.normal(0.5, 1.0, size)
    parts = torch.tensor(np.stack([target - x, x, 1 - x]))[:, None]
    ours = x + l1(parts[0], eps, parts[1], parts[2])[0].numpy()
    # the same problem in positive and negative parts, which is smooth
    room = np.concatenate([1 - x, x])
    found = minimize(
        lambda p: 0.5 * ((x + p[:size] - p[size:] - target) ** 2).sum(), np.zeros(2 * size),
        jac=lambda p: np.tile(x + p[:size] - p[size:] - target, 2) * np.repeat([1, -1], size),
        bounds=[(0, r) for r in room], method="SLSQP", options={"maxiter": 500, "ftol": 1e-14},
        constraints={"type": "ineq", "fun": lambda p: eps - p.sum(), "jac": lambda p: -np.ones_like(p)},
    )  # fmt: skip
    reference = x + found.x[:size] - found.x[size:]
    np.testing.assert_allclose(ours, reference, atol=2e-5)
    assert np.abs(ours - x).sum() <= eps + 1e-12
    assert ((ours - target) ** 2).sum() <= ((reference - target) ** 2).sum() + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_no_random_legal_point_is_nearer_than_the_l1_projection(seed):
    x, far = pair(seed, n=3, shape=(5,))
    threat = L1(0.7)
    ours = (threat.project(x.double(), far.double()) - far.double()).norm(dim=1)
    others = threat.project(x.double(), x.double() + torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)))
    assert bool(((others - far.double()).norm(dim=1) >= ours - 1e-9).all())


def test_usage_is_the_norm():
    x = np.zeros((1, 2), dtype=np.float32)
    far = np.array([[0.3, 0.4]], dtype=np.float32)
    assert Linf(1).usage(x, far)[0] == pytest.approx(0.4)
    assert L2(1).usage(x, far)[0] == pytest.approx(0.5)
    assert L1(1).usage(x, far)[0] == pytest.approx(0.7)
    assert L1(1).usage(x, far).dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
def test_contains_refuses_far_points_nan_and_values_out_of_range(kind):
    x = torch.full((3, 4), 0.5)
    bad = x.clone()
    bad[0, 0] = math.nan
    bad[1, 0] = 1.01
    bad[2, 0] += 1.1 * 0.2
    threat = kind(0.2)
    assert threat.contains(x, bad).tolist() == [False, False, False]
    assert threat.contains(x, x).tolist() == [True, True, True]


def test_kind_of_array_is_kept():
    x, far = pair(2)
    assert isinstance(Linf(0.1).project(x.numpy(), far.numpy()), np.ndarray)
    assert isinstance(Linf(0.1).contains(x, far), torch.Tensor)


def test_ranges_by_channel_and_no_range():
    high = np.array([1.0, 0.5]).reshape(2, 1, 1)
    x = torch.full((1, 2, 2, 2), 0.4)
    point = Linf(9.0, (0.0, high)).project(x, x + 5)
    assert point[0, 0].unique().item() == 1.0
    assert point[0, 1].unique().item() == 0.5
    assert Linf(9.0, None).project(x, x + 5).max().item() == pytest.approx(5.4)


def test_threats_print_themselves():
    assert repr(Linf(8 / 255)) == "Linf(0.0313725)"


def test_norms_in_words_of_art():
    assert isinstance(pixel_budget(np.inf, 1), Linf)
    assert isinstance(pixel_budget("inf", 1), Linf)
    assert isinstance(pixel_budget(2, 1), L2)
    assert isinstance(pixel_budget(1, 1), L1)
    with pytest.raises(ValueError, match=r"norm=3"):
        pixel_budget(3, 1)


@pytest.mark.parametrize("eps", [-1, math.nan])
def test_negative_radius_is_refused(eps):
    with pytest.raises(ValueError, match="radius"):
        Linf(eps)


def test_empty_range_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="low <= high"):
        Linf(0.1, (1.0, 0.0))
    with pytest.raises(ValueError, match="one shape"):
        Linf(0.1).usage(torch.zeros(1, 2), torch.zeros(1, 3))


def test_a_reversed_view_is_measured_like_its_copy():
    x = np.random.default_rng(0).random((2, 6), dtype=np.float32)
    assert (Linf(1.0).usage(x[:, ::-1], x) == Linf(1.0).usage(x[:, ::-1].copy(), x)).all()
