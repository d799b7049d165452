r"""Bodies whose state is passed in and handed back at every step, :math:`(x_t, m_{t-1}) \to (o_t, m_t)`.

Every run begins without state and keeps none, so a network around such a body is reset by construction: no membrane or
graph survives a call. What the library spikes with can be put in the hands of gradient policies by a
:class:`SpikeSite`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain, summary


class StatePassing(nn.Module):
    """A stepped module that takes its state and returns it, as a body.

    :param module: ``module(x_t [N, *], state) -> (o_t [N, *], state)``; it is given ``None`` at the first step.
    :raises TypeError: if ``module`` is no module; when called, if it returns anything else.

    >>> body = StatePassing(nn.LSTMCell(4, 3)).eval()
    Traceback (most recent call last):
    ...
    TypeError: got an LSTMCell, whose output is its state; expected a module (x, state) -> (output, state). \
Fix: wrap it in a module that returns both.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            fix = "StatePassing(norse.torch.SequentialState(...))"
            raise TypeError(explain(f"a {type(module).__name__}", "a module (x, state) -> (output, state)", fix))
        if isinstance(module, nn.RNNCellBase):
            came = f"an {type(module).__name__}, whose output is its state"
            fix = "wrap it in a module that returns both"
            raise TypeError(explain(came, "a module (x, state) -> (output, state)", fix))
        self.module = module

    def forward(self, s: Tensor) -> Tensor:
        """Output ``[T, N, *]`` for a train ``[T, N, *]``."""
        state: Any = None
        outputs: list[Tensor] = []
        for step in s:
            result = self.module(step, state)
            if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Tensor):
                came = f"a {type(result).__name__} from {type(self.module).__name__} at step {len(outputs)}"
                fix = "for a library with hidden states use its own adapter, e.g. SNNTorchBody"
                raise TypeError(explain(came, "a pair (output, state)", fix))
            output, state = result
            outputs.append(output)
        return torch.stack(outputs)


class NativeSpike(nn.Module):
    """Base class of a library's own spike with its own surrogate, as a module that can be copied and pickled."""


class SpikeSite(nn.Module):
    """The place where a neuron of another library spikes, :math:`s = 1[v > 0]`, with a surrogate that can be swapped.

    A gradient policy sees it as a neuron with a ``surrogate_function``. Those of this package fire at :math:`v = 0`,
    these libraries do not; so a zero is moved below the threshold, by the smallest normal number.

    :param native: the library's own spike.

    >>> from art_snn.gradients import surrogate
    >>> site = SpikeSite(NativeSpike())
    >>> site.surrogate_function = surrogate("triangle", 1.0)
    >>> site(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.0, 1.0]
    """

    steps_only = True
    """The membrane lies outside: whoever needs it cannot follow."""

    def __init__(self, native: NativeSpike) -> None:
        super().__init__()
        self.surrogate_function: nn.Module = native

    def forward(self, v: Tensor) -> Tensor:
        """Spikes of the membrane above threshold, in its dtype."""
        spike = self.surrogate_function
        if not isinstance(spike, NativeSpike):
            v = torch.where(v == 0, v - torch.finfo(v.dtype).tiny, v)
        fired: Tensor = spike(v)
        return fired.to(v.dtype)


def check_step_function(spike: Any, name: str) -> None:
    """Refuse a spike that is not the step function.

    :raises ValueError: naming it.
    """
    v = torch.tensor([-2.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 2.0])
    with torch.no_grad():
        fired = spike(v)
    if not isinstance(fired, Tensor) or not torch.equal(fired.to(v.dtype), (v > 0).to(v.dtype)):
        came = f"{name}, which answers {summary(fired) if isinstance(fired, Tensor) else fired!r}"
        fix = "use one of the library's own surrogates, whose forward is the step function"
        raise ValueError(explain(came, "a spike exactly where the membrane is above its threshold", fix))
