"""Is this a read-out whose logits an attack can follow?"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from art_snn.coding.base import Decoder
from art_snn.testing.conformance.contracts import Contracts, clean, maker, raised

DECODER = Contracts("decoder")
"""What a conforming decoder keeps."""

_T, _N = 6, 5
_STEP, _JUMP = 1e-9, 1e-6


@dataclass(frozen=True)
class DecoderCase:
    """A decoder under examination: ``make`` gives fresh ones, for output trains of ``classes`` classes."""

    make: Callable[[], Decoder]
    classes: int

    def logits(self, o: Tensor, decoder: Decoder | None = None) -> Tensor:
        """Logits from a clean state."""
        z: Tensor = clean(self.make() if decoder is None else decoder)(o)
        return z

    def currents(self, steps: int = _T, samples: int = _N) -> Tensor:
        """Output currents, float64."""
        shape = (steps, samples, self.classes)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def spikes(self) -> Tensor:
        """Output spikes, float64."""
        return (self.currents() > 0.5).double()


def check_decoder(
    decoder: Decoder | Callable[[], Decoder], classes: int = 4, *, unless: Collection[str] = ()
) -> tuple[str, ...]:
    """Check every contract of a decoder.

    :param decoder: an instance, or a function that makes one.
    :param classes: number of classes to read.
    :param unless: names of contracts that it does not claim to keep.
    :return: names of the contracts that it keeps.
    :raises ConformanceError: naming each broken contract and its repair.
    :raises TypeError: if ``decoder`` is no decoder.
    :raises ValueError: for an unknown name in ``unless``.

    >>> from art_snn.coding import MembraneMean
    >>> "silence" in check_decoder(MembraneMean())
    True
    """
    make = maker(decoder, Decoder)
    return DECODER.check(DecoderCase(make, classes), type(make()).__name__, unless)


@DECODER.contract("shape", "logits [N, K] for an output [T, N, K]", "reduce the time axis, dim 0, and no other")
def _shape(case: DecoderCase) -> str | None:
    for o in (case.currents(), case.currents(1), case.currents(_T, 1)):
        z = case.logits(o)
        if z.shape != o.shape[1:]:
            return f"logits {tuple(z.shape)} for {tuple(o.shape)}"
    return None


@DECODER.contract("rank", "a ValueError for anything but [T, N, K]", "implement decode, and leave forward as it is")
def _rank(case: DecoderCase) -> str | None:
    return raised(lambda: case.logits(torch.zeros(_N, case.classes)), ValueError)


@DECODER.contract("dtype", "dtype of the output", "build new tensors with torch.zeros_like(o) or .to(o)")
def _dtype(case: DecoderCase) -> str | None:
    kinds = {dtype: case.logits(case.currents().to(dtype)).dtype for dtype in (torch.float32, torch.float64)}
    wrong = {kind: got for kind, got in kinds.items() if kind != got}
    return f"{wrong}" if wrong else None


@DECODER.contract("pure", "an output that is not modified, and no state that matters to the next call",
                  "copy before writing; keep states in SpikingJelly modules, which the network resets")  # fmt: skip
def _pure(case: DecoderCase) -> str | None:
    o, decoder = case.currents(), case.make()
    first = case.logits(o, decoder)
    if not torch.equal(o, case.currents()):
        return "an output that was changed in place"
    return None if torch.equal(first, case.logits(o, decoder)) else "a second call that differs"


@DECODER.contract(
    "finite", "finite logits, for loud outputs and for silence", "guard divisions, no -inf for silent classes"
)
def _finite(case: DecoderCase) -> str | None:
    loud, quiet = 1e4 * case.currents(), torch.zeros_like(case.currents())
    for name, o in {"loud": loud, "silent": quiet, "negative": -loud.abs(), "spiking": case.spikes()}.items():
        if not bool(torch.isfinite(case.logits(o)).all()):
            return f"logits that are not finite for {name} outputs"
    return None


@DECODER.contract(
    "silence", "equal logits where every class is silent", "no class may win by being the first in the list"
)
def _silence(case: DecoderCase) -> str | None:
    z = case.logits(torch.zeros_like(case.currents()))
    return None if torch.allclose(z, z[:, :1].expand_as(z)) else "a silent output that favors a class"


@DECODER.contract("ties", "equal logits for classes of equal trains", "treat every class alike; break ties by evidence")
def _ties(case: DecoderCase) -> str | None:
    for o in (case.currents(), case.spikes()):
        tied = o[:, :, :1].expand_as(o).contiguous()
        z = case.logits(tied)
        if not torch.allclose(z, z[:, :1].expand_as(z)):
            return "classes of equal trains with different logits"
    return None


@DECODER.contract("classes alike", "logits that move with their class", "treat every class alike")
def _alike(case: DecoderCase) -> str | None:
    order = torch.arange(case.classes).flip(0)
    o = case.currents()
    same = torch.allclose(case.logits(o[:, :, order]), case.logits(o)[:, order])
    return None if same else "other logits after the classes were renumbered"


@DECODER.contract("each alone", "logits that depend on their own sample only", "no statistics over the batch axis")
def _alone(case: DecoderCase) -> str | None:
    o = case.currents()
    apart = torch.cat([case.logits(o[:, n : n + 1]) for n in range(_N)])
    return None if torch.allclose(case.logits(o), apart) else "other logits in a batch of one"


@DECODER.contract("no probabilities", "real-valued logits, never probabilities", "leave softmax to the loss")
def _logits(case: DecoderCase) -> str | None:
    rows = torch.cat([case.logits(case.currents()), case.logits(3 * case.currents())])
    sums = bool(((rows.sum(1) - 1).abs() < 1e-6).all()) and bool((rows >= 0).all())
    return "rows that sum to one" if sums else None


@DECODER.contract(
    "gradient", "a finite gradient that is not zero, for every sample", "read currents or surrogate spikes; no argmax"
)
def _gradient(case: DecoderCase) -> str | None:
    leaf = case.currents().requires_grad_(True)
    z = case.logits(leaf)
    if not z.requires_grad:
        return "no gradient at all"
    grad = torch.autograd.grad((z * torch.arange(1.0, case.classes + 1).to(z)).sum(), leaf)[0]
    if not bool(torch.isfinite(grad).all()):
        return "a gradient that is not finite"
    blind = int((grad == 0).all(2).all(0).sum())
    return f"{blind} of {_N} samples without gradient" if blind else None


@DECODER.contract(
    "continuous", "logits that move little where the output moves little",
    "use weights or surrogates in time instead of a hard choice; jumps are for rare borders only",
)  # fmt: skip
def _continuous(case: DecoderCase) -> str | None:
    o = case.currents()
    moved = case.logits(o + _STEP * case.currents().flip(0)) - case.logits(o)
    most = float(moved.abs().max())
    return None if most < _JUMP else f"logits that move by {most:.2g} where the output moves by {_STEP:g}"


@DECODER.contract("copies", "deepcopy and pickle that decode alike", "keep no closure or graph on the module")
def _copies(case: DecoderCase) -> str | None:
    o, decoder = case.currents(), case.make()
    expected = case.logits(o, decoder).detach()
    clean(decoder)
    for what, twin in (("deepcopy", copy.deepcopy(decoder)), ("pickle", pickle.loads(pickle.dumps(decoder)))):  # noqa: S301
        if not torch.equal(case.logits(o, twin).detach(), expected):
            return f"other logits from a {what}"
    return None


@DECODER.contract("arguments", "constructor arguments as attributes of the same name, from which it can be rebuilt",
                  "store every argument under its own name: config() reads them")  # fmt: skip
def _arguments(case: DecoderCase) -> str | None:
    decoder = case.make()
    again = type(decoder)(**decoder.config())
    return None if repr(again) == repr(decoder) else f"{again!r} rebuilt from {decoder!r}"
