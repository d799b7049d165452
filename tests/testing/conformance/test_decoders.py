"""Every decoder of the package conforms, and one broken on purpose for each contract does not."""

import pytest
import torch
from spikingjelly.activation_based import neuron

from art_snn import coding
from art_snn.coding import (
    TFI,
    TFP,
    Decoder,
    EarlyExit,
    FirstSpike,
    MeanCurrent,
    MembraneLast,
    MembraneMax,
    MembraneMean,
    SpikeCount,
    TimeWeighted,
)  # fmt: skip
from art_snn.testing import ConformanceError, check_decoder
from art_snn.testing.conformance import DECODER


def fires():
    return neuron.IFNode(step_mode="m")


DECODERS = [
    SpikeCount(), SpikeCount(fires()), MembraneMean(), MembraneMean(tau=1.0), MembraneLast(), MembraneMax(),
    MeanCurrent(), FirstSpike(), FirstSpike(fires()), FirstSpike(tie="index"), TimeWeighted(),
    TimeWeighted("event", fires()), EarlyExit(), EarlyExit("confidence", 0.9), EarlyExit("margin", 2.0, fires()),
    TFP(), TFI(),
]  # fmt: skip


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: " ".join(repr(d).split()))
def test_decoders(decoder):
    """The spike camera's estimators read images as well, ``[T, N, *]``."""
    check_decoder(decoder, unless=("rank",) if isinstance(decoder, TFP | TFI) else ())


def test_every_public_decoder_is_here():
    kinds = {kind for name in coding.__all__ if isinstance(kind := getattr(coding, name), type)}
    assert {k for k in kinds if issubclass(k, Decoder) and k is not Decoder} == {type(d) for d in DECODERS}


class Mean(Decoder):
    """A conforming read-out, to be broken in one place each."""

    def decode(self, o):
        return o.mean(0)


class OverSamples(Mean):
    def decode(self, o):
        return o.mean(1)


class AnyRank(Mean):
    def forward(self, o):
        return self.decode(o)


class SinglePrecision(Mean):
    def decode(self, o):
        return o.float().mean(0)


class InPlace(Mean):
    def decode(self, o):
        with torch.no_grad():
            o.add_(1.0)
        return o.mean(0)


class Overflowing(Mean):
    def decode(self, o):
        return o.exp().mean(0)


class FavorsTheFirst(Mean):
    def decode(self, o):
        return o.mean(0) + 0.1 * torch.arange(o.shape[2], 0, -1).to(o)


class TieBreaker(Mean):
    """The first among equals wins, where something happens."""

    def decode(self, o):
        z = o.mean(0)
        return z + (z != 0).to(z) * 1e-3 * torch.arange(z.shape[1], 0, -1).to(z)


class OwnTreatment(Mean):
    def decode(self, o):
        z = o.mean(0)
        return torch.cat([2 * z[:, :1], z[:, 1:]], 1)


class Centered(Mean):
    def decode(self, o):
        z = o.mean(0)
        return z - z.mean(0)


class Probabilities(Mean):
    def decode(self, o):
        return o.mean(0).softmax(1)


class Choice(Mean):
    def decode(self, o):
        return 2 * torch.nn.functional.one_hot(o.mean(0).argmax(1), o.shape[2]).to(o)


class Quantized(Mean):
    def decode(self, o):
        z = o.mean(0)
        return z + 1e-3 * (1e10 * z).detach().floor().remainder(2)


class Closure(Mean):
    def __init__(self):
        super().__init__()
        self.function = lambda o: o


class Nameless(Mean):
    def __init__(self, scale=1.0):
        super().__init__()


BROKEN = {
    "shape": OverSamples(), "rank": AnyRank(), "dtype": SinglePrecision(), "pure": InPlace(), "finite": Overflowing(),
    "silence": FavorsTheFirst(), "ties": TieBreaker(), "classes alike": OwnTreatment(), "each alone": Centered(),
    "no probabilities": Probabilities(), "gradient": Choice(), "continuous": Quantized(), "copies": Closure(),
    "arguments": Nameless(),
}  # fmt: skip


def test_the_decoder_that_is_broken_conforms_before():
    check_decoder(Mean())


def test_there_is_a_broken_decoder_for_every_contract():
    assert set(BROKEN) == set(DECODER.listed)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_decoders_are_found_out(name):
    with pytest.raises(ConformanceError) as raised:
        check_decoder(BROKEN[name])
    assert name in raised.value.broken
    assert f"Fix: {DECODER.listed[name].fix}" in str(raised.value)
