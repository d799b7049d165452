"""What cannot be a network is refused at once, and the message says what came, what was expected, and what to do."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, EventFrames, Latency
from art_snn.networks import cnn, mlp


def body(width=64, mode="s"):
    return nn.Sequential(layer.Flatten(step_mode=mode), layer.Linear(width, 3, step_mode=mode))


def test_a_spiking_network_that_is_a_sequential_cannot_even_be_defined():
    with pytest.raises(TypeError, match=r"Trap, a SpikingNetwork and an nn.Sequential.*child by child"):
        type("Trap", (SpikingNetwork, nn.Sequential), {})


class OwnForward(nn.Sequential):
    def forward(self, x):
        return super().forward(x * 2)


def test_a_sequential_body_with_a_forward_of_its_own():
    with pytest.raises(TypeError, match=r"OwnForward, an nn.Sequential with a forward of its own.*inner nn.Sequential"):
        SpikingNetwork(Direct(T=2), OwnForward(nn.Flatten(2), nn.Linear(64, 3)))


def test_a_library_sequential_is_no_trap():
    online = layer.OTTTSequential(nn.Flatten(), nn.Linear(64, 8), neuron.OTTTLIFNode(), nn.Linear(8, 3))
    assert SpikingNetwork(Direct(T=2), online)(torch.rand(2, 1, 8, 8)).shape == (2, 3)
    boxed = layer.SeqToANNContainer(nn.Flatten(), nn.Linear(64, 3))
    assert SpikingNetwork(Direct(T=2), boxed)(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def test_the_network_is_not_unrolled_by_art():
    assert not isinstance(mlp((1, 8, 8), 10), nn.Sequential)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nn.Identity(), body()), "an art_snn.coding.Encoder"),
        ((Latency, body()), "an art_snn.coding.Encoder"),
        ((Direct(T=2), lambda s: s), r"an nn.Module \[T, N, \*\] -> \[T, N, K\]"),
        ((Direct(T=2), SpikingNetwork(Direct(T=2), body())), "pass net.body"),
        ((Direct(T=2), body(), nn.Identity()), "an art_snn.coding.Decoder"),
    ],
)
def test_parts_of_the_wrong_kind(arguments, message):
    with pytest.raises(TypeError, match=message):
        SpikingNetwork(*arguments)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_first_layer_that_does_not_fit_is_named_with_both_shapes(mode):
    net = SpikingNetwork(Direct(T=2), body(63, mode))
    with pytest.raises(ValueError, match=r"\[T, N, \*\] = \[2, 5, 1, 8, 8\].*64.*63.*set_step_mode"):
        net(torch.rand(5, 1, 8, 8))


def test_a_convolution_with_other_channels():
    net = SpikingNetwork(Direct(T=2), layer.Conv2d(3, 4, 3, step_mode="m"))
    with pytest.raises(ValueError, match=r"\[2, 5, 1, 8, 8\].*to have 3 channels, but got 1 channels"):
        net(torch.rand(5, 1, 8, 8))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (nn.Flatten(1), r"output \[2, 320\] from the body for a spike train \[2, 5, 1, 8, 8\]"),
        (nn.Identity(), r"output \[2, 5, 1, 8, 8\] from the body"),
        (nn.Flatten(0, 1), r"\[T, N, K\] = \[2, 5, K\]"),
    ],
)
def test_an_output_of_the_wrong_shape_is_named_with_both_shapes(wrong, message):
    with pytest.raises(ValueError, match=message):
        SpikingNetwork(Direct(T=2), wrong)(torch.rand(5, 1, 8, 8))


class Tuple(nn.Module):
    def forward(self, s):
        return s.flatten(2), None


def test_an_output_that_is_no_tensor():
    with pytest.raises(TypeError, match="a tuple from the body"):
        SpikingNetwork(Direct(T=2), Tuple())(torch.rand(5, 1, 8, 8))


class Fails(nn.Module):
    def forward(self, s):
        raise RuntimeError("the reactor is hot")


def test_an_error_that_is_not_about_shapes_is_passed_on():
    with pytest.raises(RuntimeError, match=r"^the reactor is hot$"):
        SpikingNetwork(Direct(T=2), Fails())(torch.rand(5, 1, 8, 8))


def test_integer_images():
    with pytest.raises(TypeError, match=r"x.float\(\) / 255"):
        mlp((1, 8, 8), 10)(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_integer_event_counts_are_meant():
    net = SpikingNetwork(EventFrames(T=2), body(64))
    counts = torch.randint(0, 3, (5, 2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(counts), net(counts.float()))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("encoder", [Direct(T=2), Latency(T=2)])
def test_values_that_are_not_finite(encoder, value):
    x = torch.rand(2, 1, 8, 8)
    x[1, 0, 3, 3] = value
    with pytest.raises(ValueError, match=r"with 1 non-finite values|finite"):
        mlp((1, 8, 8), 10, encoder=encoder)(x)


def test_the_wrong_number_of_event_frames():
    net = SpikingNetwork(EventFrames(T=2), body(64))
    with pytest.raises(ValueError, match=r"\(5, 3, 1, 8, 8\).*\[N, T=2, \*\]"):
        net(torch.rand(5, 3, 1, 8, 8))


def test_gradient_wants_a_policy_object():
    with pytest.raises(TypeError, match="GradientPolicy instance"), mlp((1, 8, 8), 10).gradient("atan"):
        pass


def test_an_image_too_small_for_its_pooled_blocks():
    with pytest.raises(ValueError, match=r"a 6 x 8 image for 3 pooled blocks.*at least 8 x 8\. Fix: pass fewer"):
        cnn((1, 6, 8), 10, channels=(2, 2, 2))
    assert cnn((1, 6, 8), 10, channels=(2, 2), hidden=4)(torch.rand(2, 1, 6, 8)).shape == (2, 10)


def test_a_surrogate_that_has_no_name_here():
    with pytest.raises(ValueError, match=r"surrogate_function='step'; expected one of .*'atan'.*Fix: .*build the body"):
        mlp((1, 8, 8), 10, surrogate_function="step")


def test_a_class_of_ones_own_derives_from_the_network_alone():
    class Louder(SpikingNetwork):
        def forward(self, x):
            return 2 * super().forward(x)

    one, other = Louder(Direct(T=2), nn.Flatten(2)), SpikingNetwork(Direct(T=2), nn.Flatten(2))
    x = torch.rand(3, 1, 2, 2)
    assert torch.equal(one(x), 2 * other(x))
