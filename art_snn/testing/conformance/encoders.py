"""Is this a spike code that an attack can be trusted on?"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.draws import keyed_draws
from art_snn.testing.conformance.contracts import Contracts, global_streams, maker, raised

ENCODER = Contracts("encoder")
"""What a conforming encoder keeps."""

_SAMPLES = 3
_INSIDE = 0.05
_REACHED = 0.99
_ROUNDING = 1e-5
_DRAWS = 10


@dataclass(frozen=True)
class EncoderCase:
    """An encoder under examination: ``make`` gives fresh ones, ``x [N, *]`` is legal input off the borders."""

    make: Callable[[], Encoder]
    x: Tensor

    @property
    def leaf(self) -> Tensor:
        """The input, with a gradient."""
        return self.x.clone().requires_grad_(True)


def check_encoder(
    encoder: Encoder | Callable[[], Encoder], input_shape: tuple[int, ...] = (1, 6, 6), *, unless: Collection[str] = ()
) -> tuple[str, ...]:
    """Check every contract of an encoder.

    :param encoder: an instance, or a function that makes one.
    :param input_shape: shape of one sample that it accepts.
    :param unless: names of contracts that it does not claim to keep.
    :return: names of the contracts that it keeps.
    :raises ConformanceError: naming each broken contract and its repair.
    :raises TypeError: if ``encoder`` is no encoder.
    :raises ValueError: for an unknown name in ``unless``.

    >>> from art_snn.coding import Latency
    >>> "gradient" in check_encoder(Latency(T=8))
    True
    """
    make = maker(encoder, Encoder)
    code = make()
    return ENCODER.check(EncoderCase(make, _legal(code, input_shape)), type(code).__name__, unless)


def _legal(code: Encoder, shape: tuple[int, ...]) -> Tensor:
    """Different values in every place, off the ends of the domain; 0 and 1 for a code of binary input."""
    u = torch.rand((_SAMPLES, *shape), generator=torch.Generator().manual_seed(0))
    if code.binary_input:
        return (u < 0.5).float()
    low, high = code.domain or (-1.5, 1.5)
    return low + (high - low) * (_INSIDE + (1 - 2 * _INSIDE) * u)


def _weights(s: Tensor) -> Tensor:
    """A gradient for every spike, the same for equal shapes."""
    return torch.randn(s.shape, generator=torch.Generator().manual_seed(1)).to(s)


def _gradient(code: Encoder, x: Tensor) -> Tensor | None:
    leaf = x.detach().clone().requires_grad_(True)
    s = code(leaf)
    return torch.autograd.grad((s * _weights(s)).sum(), leaf, allow_unused=True)[0] if s.requires_grad else None


def _hides(code: Encoder) -> bool:
    return bool(code.obfuscates)


@ENCODER.contract("shape", "a train [T, N, *], time first", "stack the steps in front: torch.stack(steps, dim=0)")
def _shape(case: EncoderCase) -> str | None:
    code = case.make()
    s = code(case.x)
    wanted = (code.T, len(case.x))
    return None if s.dim() >= 2 and tuple(s.shape[:2]) == wanted else f"shape {tuple(s.shape)} for (T, N) = {wanted}"


@ENCODER.contract(
    "binary", "only 0 and 1 where is_binary says so, and finite values", "set is_binary = False, or emit whole spikes"
)
def _binary(case: EncoderCase) -> str | None:
    code = case.make()
    s = code(case.x)
    if not bool(torch.isfinite(s).all()):
        return "values that are not finite"
    return "other values than 0 and 1" if code.is_binary and not bool(((s == 0) | (s == 1)).all()) else None


@ENCODER.contract("dtype", "dtype and device of the input", "build new tensors with torch.zeros_like(x) or .to(x)")
def _dtype(case: EncoderCase) -> str | None:
    for dtype in (torch.float32, torch.float64):
        s = case.make()(case.x.to(dtype))
        if s.dtype != dtype or s.device != case.x.device:
            return f"{s.dtype} on {s.device} for {dtype} on {case.x.device}"
    return None


@ENCODER.contract("pure", "an input that is not modified", "copy before writing: no x.clamp_(), no x[...] = ...")
def _pure(case: EncoderCase) -> str | None:
    x = case.x.clone()
    case.make()(x)
    return None if torch.equal(x, case.x) else "an input that was changed in place"


@ENCODER.contract(
    "repeats", "the same spikes at every call, or is_stochastic = True and the same ones from the same seed",
    "draw from self.draws (SeededDraws) and set is_stochastic = True; keep nothing between calls",
)  # fmt: skip
def _repeats(case: EncoderCase) -> str | None:
    code, twin = case.make(), case.make()
    first = code(case.x)
    if not torch.equal(first, twin(case.x)):
        return "two fresh encoders that differ"
    if not code.is_stochastic:
        return None if torch.equal(first, code(case.x)) else "a second call that differs"
    code.reseed(7)
    again = code(case.x)
    code.reseed(7)
    if not torch.equal(again, code(case.x)):
        return "reseed(7) twice, and different spikes"
    same = all(torch.equal(again, code(case.x)) for _ in range(_DRAWS))
    return "draws that repeat the first" if same else None


@ENCODER.contract(
    "own stream",
    "global random generators that are left alone",
    "draw from self.draws, never from torch.rand(...) alone",
)
def _own_stream(case: EncoderCase) -> str | None:
    before = global_streams()
    _gradient(case.make(), case.x)
    return None if global_streams() == before else "a global generator that moved"


@ENCODER.contract(
    "spikes stay", "the same spikes with and without a gradient",
    "let autograd see the hard value: carry_gradient(spikes, x, slope)",
)  # fmt: skip
def _spikes_stay(case: EncoderCase) -> str | None:
    same = torch.equal(case.make()(case.leaf).detach(), case.make()(case.x))
    return None if same else "other spikes where a gradient is taken"


@ENCODER.contract(
    "backward", "a finite gradient of the shape of the input",
    "give the code a slope: art_snn.coding.straight_through.carry_gradient(spikes, x, slope)",
)  # fmt: skip
def _backward(case: EncoderCase) -> str | None:
    grad = _gradient(case.make(), case.x)
    if grad is None:
        return "no gradient at all"
    return None if bool(torch.isfinite(grad).all()) else "a gradient that is not finite"


@ENCODER.contract(
    "gradient",
    "a gradient on more than 99 % of the pixels off the borders (over ten draws of a stochastic code), or a backward "
    "that is named as hiding it",
    "give silent pixels a slope too (shift, soft kernel, identity), or name the rule 'masked' or 'none'",
)  # fmt: skip
def _reaches(case: EncoderCase) -> str | None:
    code = case.make()
    grads = [_gradient(code, case.x) for _ in range(_DRAWS if code.is_stochastic else 1)]
    reached = sum(torch.zeros_like(case.x) if grad is None else grad.abs() for grad in grads)
    share = float((torch.as_tensor(reached) != 0).double().mean())
    return None if share > _REACHED or _hides(code) else f"a gradient on {share:.1%} of the pixels"


@ENCODER.contract(
    "named backward", "backward among backwards, and another name refused with ValueError",
    "set the class attribute backwards, and hand backward= to super().__init__",
)  # fmt: skip
def _named(case: EncoderCase) -> str | None:
    code = case.make()
    if code.backward not in code.backwards:
        return f"backward={code.backward!r}, which is not in {code.backwards}"
    settings = code.config()
    return raised(lambda: type(code)(**{**settings, "backward": "?"}), ValueError) if "backward" in settings else None


@ENCODER.contract(
    "borders", "a gradient on black and on white pixels, and just beyond them",
    "clamp by clamp_straight_through(x, low, high): torch.clamp has none at its bounds",
)  # fmt: skip
def _borders(case: EncoderCase) -> str | None:
    code = case.make()
    if code.domain is None or _hides(code):
        return None
    for value in (*code.domain, code.domain[0] - 1e-8, code.domain[1] + 1e-7):
        x = case.x.clone().double()
        x[..., ::2] = value
        grad = _gradient(case.make(), x)
        there = torch.zeros(()) if grad is None else grad[..., ::2]
        if not bool((there != 0).any()):
            return f"no gradient at x = {value:g}"
    return None


@ENCODER.contract(
    "domain", "a ValueError for NaN, inf and values outside the domain",
    "call Encoder.forward (it checks), and implement encode; set the class attribute domain",
)  # fmt: skip
def _domain(case: EncoderCase) -> str | None:
    code = case.make()
    bad = [float("nan"), float("inf")]
    bad += [] if code.domain is None else [code.domain[0] - 0.01, code.domain[1] + 0.01]
    for value in bad:
        x = case.x.clone()
        x.view(-1)[0] = value
        wrong = raised(lambda x=x: case.make()(x), ValueError)  # type: ignore[misc]
        if wrong:
            return f"{wrong} for x = {value:g}"
    return None


@ENCODER.contract(
    "integers", "a TypeError for integer images, unless integer_input = True",
    "call Encoder.forward (it checks), and implement encode",
)  # fmt: skip
def _integers(case: EncoderCase) -> str | None:
    x = torch.zeros_like(case.x, dtype=torch.uint8)
    return raised(lambda: case.make()(x), TypeError) if not case.make().integer_input else None


@ENCODER.contract(
    "each alone", "a train that depends on its own sample only, in any batch",
    "no statistics over the batch axis; draw sample by sample (SeededDraws.uniform does)",
)  # fmt: skip
def _alone(case: EncoderCase) -> str | None:
    whole, code = case.make()(case.x), case.make()
    apart = torch.cat([code(case.x[n : n + 1]) for n in range(len(case.x))], dim=1)
    if whole.shape != apart.shape or not torch.allclose(whole, apart, atol=_ROUNDING):
        return "other spikes in a batch of one"
    changed = case.x.clone()
    changed[1:] = case.x[1:].flip(-1)
    return None if torch.allclose(case.make()(changed)[:, 0], whole[:, 0], atol=_ROUNDING) else "rows that mix"


@ENCODER.contract(
    "keys", "rows that depend on their key alone inside keyed_draws, for a stochastic code",
    "keep the stream as an attribute of the module (self.draws), so that keyed_draws finds it",
)  # fmt: skip
def _keys(case: EncoderCase) -> str | None:
    code = case.make()
    if not code.is_stochastic:
        return None
    with keyed_draws(code, range(len(case.x))):
        whole = code(case.x)
    with keyed_draws(code, [1]):
        alone = code(case.x[1:2])
    return None if torch.equal(whole[:, 1:2], alone) else "a row that depends on more than its key"


@ENCODER.contract(
    "one step", "T = 1 and N = 1 that work, or a T that is refused with ValueError",
    "do not divide by T - 1, and do not squeeze",
)  # fmt: skip
def _one_step(case: EncoderCase) -> str | None:
    code = case.make()
    if code(case.x[:1]).shape[1] != 1:
        return "another batch axis for N = 1"
    settings = code.config()
    fits = case.x.shape[1] != code.T or not code.integer_input
    if "T" not in settings or code.T == 1 or not fits:
        return None
    try:
        single = type(code)(**{**settings, "T": 1})
    except ValueError:
        return None
    x = case.x[:1]
    try:
        s = single(x)
    except ValueError:
        s = single(x[:, :1])
    return None if s.shape[0] == 1 and bool(torch.isfinite(s).all()) else f"{tuple(s.shape)} for T = 1"


@ENCODER.contract(
    "empty batch", "an empty train [T, 0, *], or a ValueError, for an empty batch", "check x.numel() before reductions"
)
def _empty(case: EncoderCase) -> str | None:
    code = case.make()
    try:
        s = code(case.x[:0])
    except ValueError:
        return None
    return None if tuple(s.shape[:2]) == (code.T, 0) else f"shape {tuple(s.shape)}"


@ENCODER.contract(
    "copies", "deepcopy and pickle that go on where the original goes on, also after a gradient",
    "keep no graph, closure or generator outside SeededDraws on the module",
)  # fmt: skip
def _copies(case: EncoderCase) -> str | None:
    code = case.make()
    _gradient(code, case.x)
    copied = copy.deepcopy(code)
    restored = pickle.loads(pickle.dumps(code))  # noqa: S301 - what was pickled one line above
    expected = code(case.x)
    for what, twin in (("deepcopy", copied), ("pickle", restored)):
        if not torch.equal(twin(case.x), expected):
            return f"other spikes from a {what}"
    return None


@ENCODER.contract(
    "arguments", "constructor arguments as attributes of the same name, from which it can be rebuilt",
    "store every argument under its own name: config() reads them",
)  # fmt: skip
def _arguments(case: EncoderCase) -> str | None:
    code = case.make()
    again = type(code)(**code.config())
    return None if repr(again) == repr(code) else f"{again!r} rebuilt from {code!r}"


@ENCODER.contract(
    "decode", "a finite estimate of the input's shape where there is an inverse",
    "return [N, *], or raise NotImplementedError where the code has no inverse",
)  # fmt: skip
def _decode(case: EncoderCase) -> str | None:
    code = case.make()
    try:
        estimate = code.decode(code(case.x))
    except NotImplementedError:
        return None
    if estimate.shape != case.x.shape:
        return f"an estimate of shape {tuple(estimate.shape)} for input {tuple(case.x.shape)}"
    return None if bool(torch.isfinite(estimate).all()) else "an estimate that is not finite"
