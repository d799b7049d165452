"""Every encoder of the package conforms, and one broken on purpose for each contract does not."""

import pytest
import torch

from art_snn import coding
from art_snn.coding import (
    Burst,
    Delta,
    Direct,
    EarlyBurst,
    Encoder,
    EventFrames,
    Filtered,
    FrameDrop,
    Frequency,
    Fusion,
    LateBurst,
    Latency,
    MeanOverTime,
    Poisson,
    Population,
    Quantized,
    RankOrder,
    RateSyn,
    SignedPoisson,
    SpikeCamera,
    SpikeDropout,
    SpikeJitter,
    TimeWarp,
    Transformed,
    WeightedPhase,
    ZTime,
)  # fmt: skip
from art_snn.coding.straight_through import carry_gradient
from art_snn.testing import ConformanceError, check_encoder
from art_snn.testing.conformance import ENCODER

IMAGE, VIDEO = (1, 6, 6), (6, 2, 4, 4)
ENCODERS = {
    "direct": Direct(6), "quantized": Quantized(6), "poisson": Poisson(6), "signed poisson": SignedPoisson(6),
    "rate_syn": RateSyn(6), "early burst": EarlyBurst(6), "late burst": LateBurst(6),
    **{name: Latency(6, name) for name in ("floor", "linear", "log", "edl")},
    "s4nn": Latency(256, "s4nn"), "antlr": Latency(300, "antlr"), "soft": Latency(6, backward="soft_latency"),
    "dark first": Latency(6, polarity="dark_first", drop_below=0.1), "masked": Latency(6, backward="masked"),
    "phase": WeightedPhase(6), "clipped phase": WeightedPhase(6, clip=True), "burst": Burst(6, max_spikes=4),
    "rank order": RankOrder(6), "population": Population(6, m=4), "population, if": Population(6, m=4, variant="if"),
    "population, bernoulli": Population(6, m=4, variant="bernoulli"), "camera": SpikeCamera(6),
    "camera, random": SpikeCamera(6, start="random"), "filtered": Filtered(Latency(6), 2.0), "z": ZTime(),
    "fusion": Fusion([Direct(6), Latency(6), Poisson(6)]), "frequency": Frequency(6), "mean": MeanOverTime(Poisson(6)),
    "jitter": Transformed(Latency(6), SpikeJitter(1)), "dropout": Transformed(Latency(6), SpikeDropout(0.8)),
    "frame drop": Transformed(Latency(6), FrameDrop(4, 6)), "warp": Transformed(Latency(6), TimeWarp(0.5)),
}  # fmt: skip
EVENTS = {
    "event frames": EventFrames(6), "delta": Delta(6), "signed delta": Delta(6, signed=True),
    "event jitter": Transformed(EventFrames(6), SpikeJitter(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_codes_of_images(name):
    check_encoder(ENCODERS[name], IMAGE)


@pytest.mark.parametrize("name", EVENTS)
def test_codes_of_events(name):
    check_encoder(EVENTS[name], VIDEO)


def test_every_public_code_is_here():
    kinds = {kind for name in coding.__all__ if isinstance(kind := getattr(coding, name), type)}
    public = {kind for kind in kinds if issubclass(kind, Encoder) and kind is not Encoder}
    assert public == {type(code) for code in (*ENCODERS.values(), *EVENTS.values())}


def test_the_mean_of_first_spikes_holds_no_intensity():
    """A latency code fires once, so its mean is the same for every grey level but the silent one: no gradient."""
    with pytest.raises(ConformanceError) as raised:
        check_encoder(MeanOverTime(Latency(6)))
    assert set(raised.value.broken) == {"gradient", "borders"}
    check_encoder(MeanOverTime(Latency(6)), unless=("gradient", "borders"))


class Plain(Encoder):
    """A conforming code, to be broken in one place each."""

    def encode(self, x):
        return carry_gradient(self.spikes(x.detach()), x)

    def spikes(self, x):
        steps = torch.arange(self.T, device=x.device, dtype=x.dtype).view(-1, *[1] * x.dim())
        return (x * self.T > steps).to(x.dtype)


class BatchFirst(Plain):
    def encode(self, x):
        return super().encode(x).transpose(0, 1)


class NotBinary(Plain):
    def spikes(self, x):
        return 0.5 * super().spikes(x)


class SinglePrecision(Plain):
    def encode(self, x):
        return super().encode(x.float())


class InPlace(Plain):
    def forward(self, x):
        with torch.no_grad():
            x.mul_(0.5)
        return super().forward(x)


class Undeclared(Plain):
    is_stochastic = False

    def spikes(self, x):
        return (self.draws.uniform(self.T, x) < x).to(x.dtype)


class Frozen(Undeclared):
    is_stochastic = True

    def spikes(self, x):
        self.reseed(0)
        return super().spikes(x)


class GlobalDraws(Plain):
    is_stochastic = True

    def spikes(self, x):
        torch.manual_seed(self.draws.uniform(1, x).sum().item() * 1e6)
        return (torch.rand(self.T, *x.shape).to(x) < x).to(x.dtype)


class OtherSpikes(Plain):
    def encode(self, x):
        return super().encode(x) * (0.0 if x.requires_grad else 1.0)


class NoBackward(Plain):
    def encode(self, x):
        return self.spikes(x.detach())


class NotFinite(Plain):
    def encode(self, x):
        return carry_gradient(self.spikes(x.detach()), x, torch.full_like(x, torch.inf))


class Masked(Plain):
    """A masked slope under an honest name."""

    def encode(self, x):
        spikes = self.spikes(x.detach())
        return carry_gradient(spikes, x, spikes * torch.arange(self.T).view(-1, *[1] * x.dim()))


class Unnamed(Plain):
    def __init__(self, T, *, backward="other", seed=None):
        super().__init__(T, seed=seed)
        self.backward = backward


class HardClamp(Plain):
    """A gradient that ends at the borders."""

    def encode(self, x):
        inside = ((x > 0) & (x < 1)).to(x)
        return carry_gradient(self.spikes(x.detach()), x, inside)


class Unchecked(Plain):
    def forward(self, x):
        return self.encode(x)


class TakesIntegers(Plain):
    def forward(self, x):
        return super().forward(x.float())


class BatchStatistics(Plain):
    def spikes(self, x):
        return super().spikes(x / x.amax())


class NoKeys(Plain):
    """A stream that keyed_draws does not find."""

    is_stochastic = True

    def __init__(self, T, *, backward=None, seed=None):
        super().__init__(T, backward=backward, seed=seed)
        self.hidden = [self.draws]
        del self.draws

    def reseed(self, seed=None):
        self.hidden[0].reseed(seed or 0)

    def spikes(self, x):
        return (self.hidden[0].uniform(self.T, x) < x).to(x.dtype)


class Normalized(Plain):
    """Divides by T - 1."""

    def spikes(self, x):
        return torch.nan_to_num(super().spikes(x) * (self.T - 1) / (self.T - 1), nan=1.0) if self.T > 1 else x[None] / 0


class Reducing(Plain):
    def spikes(self, x):
        x.max()
        return super().spikes(x)


class Closure(Plain):
    def __init__(self, T, *, backward=None, seed=None):
        super().__init__(T, backward=backward, seed=seed)
        self.function = lambda x: x


class Nameless(Plain):
    def __init__(self, steps, *, backward=None, seed=None):
        super().__init__(steps, backward=backward, seed=seed)


class WrongInverse(Plain):
    def decode(self, s):
        return s.mean()


class Infinite(Plain):
    def spikes(self, x):
        return super().spikes(x) / 0


class Numbered(Plain):
    """Every second call of any encoder of this kind is silent."""

    calls = 0

    def spikes(self, x):
        Numbered.calls += 1
        return super().spikes(x) * (Numbered.calls % 2)


class IgnoresSeed(Undeclared):
    is_stochastic = True

    def reseed(self, seed=None):
        """Forgotten."""


class Fading(Plain):
    """A copy of a copy has lost a step."""

    copies = 0

    def __deepcopy__(self, memo):
        made = type(self)(self.T)
        made.copies = self.copies + 1
        return made

    def spikes(self, x):
        spikes = super().spikes(x)
        spikes[: self.copies] = 0
        return spikes


OTHERWISE = [
    ("binary", Infinite(6), "values that are not finite"), ("repeats", Numbered(6), "two fresh encoders that differ"),
    ("repeats", IgnoresSeed(6), "reseed(7) twice, and different spikes"),
    ("copies", Fading(6), "other spikes from a deepcopy"), ("backward", NoBackward(6), "no gradient at all"),
    ("repeats", Frozen(6), "draws that repeat the first"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "said"), OTHERWISE)
def test_each_way_to_break_a_contract_has_its_own_words(name, code, said):
    with pytest.raises(ConformanceError) as raised:
        check_encoder(code)
    assert said in raised.value.broken[name]
    assert f"Fix: {ENCODER.listed[name].fix}" in raised.value.broken[name]


BROKEN = {
    "shape": BatchFirst(6), "binary": NotBinary(6), "dtype": SinglePrecision(6), "pure": InPlace(6),
    "repeats": Undeclared(6), "own stream": GlobalDraws(6), "spikes stay": OtherSpikes(6), "backward": NotFinite(6),
    "gradient": Masked(6), "named backward": Unnamed(6), "borders": HardClamp(6), "domain": Unchecked(6),
    "integers": TakesIntegers(6), "each alone": BatchStatistics(6), "keys": NoKeys(6), "one step": Normalized(6),
    "empty batch": Reducing(6), "copies": Closure(6), "arguments": Nameless(6), "decode": WrongInverse(6),
}  # fmt: skip


def test_the_code_that_is_broken_conforms_before():
    check_encoder(Plain(6))


def test_there_is_a_broken_code_for_every_contract():
    assert set(BROKEN) == set(ENCODER.listed)


@pytest.mark.parametrize(("name", "code"), [*BROKEN.items(), ("repeats", Frozen(6)), ("backward", NoBackward(6))])
def test_broken_codes_are_found_out(name, code):
    with pytest.raises(ConformanceError) as raised:
        check_encoder(code)
    assert name in raised.value.broken
    assert ENCODER.listed[name].promise in str(raised.value)
    assert f"Fix: {ENCODER.listed[name].fix}" in str(raised.value)
    if name not in raised.value.broken or len(raised.value.broken) == 1:
        assert name in check_encoder(Plain(6))
        check_encoder(code, unless=(name,))


def test_functions_make_fresh_codes_and_others_are_refused():
    assert len(check_encoder(lambda: Poisson(6))) == len(ENCODER.listed)
    for wrong in (Latency, 3, lambda: 3):
        with pytest.raises(TypeError, match="Fix:"):
            check_encoder(wrong)
    with pytest.raises(ValueError, match="did you mean 'gradient'"):
        check_encoder(Direct(6), unless=("gradien",))
