"""Average pooling by strided additions against torch's own: the same values and gradients bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer
from torch.nn import functional

from art_snn.networks.pooling import halved, halves, pool

pytestmark = pytest.mark.usefixtures("either_way")

sizes = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31), st.booleans())
def test_values_and_gradients_are_torchs(count, channels, height, width, seed, wide):
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float64 if wide else torch.float32
    x = torch.randn((count, channels, 2 * height, 2 * width), generator=generator, dtype=dtype).requires_grad_(True)
    weight = torch.randn((count, channels, height, width), generator=generator, dtype=dtype)
    ours, theirs = halved(x), functional.avg_pool2d(x, 2)
    assert torch.equal(ours, theirs)
    one, other = (torch.autograd.grad(y, x, weight)[0] for y in (ours, theirs))
    assert torch.equal(one, other)


def test_second_derivatives_and_batched_cotangents():
    x = torch.randn((2, 1, 4, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: halved(v).pow(3), x)
    y = halved(x)
    eye = torch.eye(12, dtype=torch.float64).view(12, 2, 1, 2, 3)
    together = torch.autograd.grad(y, x, eye, is_grads_batched=True, retain_graph=True)[0]
    assert torch.equal(together[5], torch.autograd.grad(y, x, eye[5])[0])


@pytest.mark.parametrize(
    "module",
    [
        layer.AvgPool2d(3, step_mode="m"), layer.AvgPool2d(2, stride=1, step_mode="m"),
        layer.AvgPool2d(2, padding=1, step_mode="m"), layer.AvgPool2d(2, ceil_mode=True, step_mode="m"),
        layer.AvgPool2d(2, divisor_override=3, step_mode="m"), layer.AvgPool2d(2), layer.MaxPool2d(2, step_mode="m"),
    ],
    ids=repr,
)  # fmt: skip
def test_other_pools_are_left_alone(module):
    assert not halves(module)


@pytest.mark.parametrize("shape", [(3, 2, 1, 7, 8), (3, 2, 1, 8, 7), (3, 2, 1, 8, 6)])
def test_odd_sizes_and_views(shape):
    module = layer.AvgPool2d(2, step_mode="m")
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert halves(module)
    for train in (x, x[:1].expand(5, *shape[1:]), x.transpose(0, 1)):
        assert torch.equal(pool(module, train), module(train))
