r"""Networks of Norse as bodies: the state is passed to every call and handed back with the output.

Norse's modules come in two kinds, cells that take one step (``LIFCell``) and layers that loop over the steps themselves
(``LIF``); :class:`NorseBody` takes either, and ``norse.torch.SequentialState`` of one kind. A run begins without state.

Which surrogate a neuron differentiates with is a word in its parameters (``method``). Each neuron's threshold becomes a
:class:`~art_snn.networks.adapters.step.SpikeSite`: while a run lasts, the step function of the neuron sees it in the
place of the library's ``threshold``, with the same spikes and the same gradient. Neurons whose step calls no
``threshold`` of its own (refractory ones, adjoints, leaky integrators) run as they are, and policies do not reach them;
:attr:`NorseBody.unreached` names those that spike.
"""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.adapters.step import NativeSpike, SpikeSite, StatePassing

TIMES = ("outside", "inside")


class MethodSpike(NativeSpike):
    """Norse's threshold with one of its methods.

    :param method: ``super``, ``triangle``, ``tanh``, ``circ`` or ``heavi_erfc``.
    :param alpha: its sharpness.
    """

    def __init__(self, method: str, alpha: float) -> None:
        super().__init__()
        self.method, self.alpha = method, alpha

    def forward(self, v: Tensor) -> Tensor:
        """Spikes, with Norse's own gradient."""
        fired: Tensor = import_module("norse.torch.functional.threshold").threshold(v, self.method, self.alpha)
        return fired

    def extra_repr(self) -> str:
        """Method and sharpness."""
        return f"{self.method}, {self.alpha:g}"


class NorseBody(nn.Module):
    """A network of Norse as a body ``[T, N, *] -> [T, N, K]``.

    The network is shared, not copied: its parameters are trained through the body.

    :param module: ``(x, state) -> (output, state)``, say ``norse.torch.SequentialState(...)``.
    :param time: ``outside``: it takes one step at each call; ``inside``: it takes the whole train.
    :raises ImportError: if Norse is not installed.
    :raises TypeError: if ``module`` is no module; when called, if it does not return a pair.
    :raises ValueError: for another ``time``, or a neuron without gradient (``method="heaviside"``).

    See ``docs/adapters.md``.

    >>> import norse.torch as norse
    >>> body = NorseBody(norse.SequentialState(nn.Linear(3, 4), norse.LIFCell(), nn.Linear(4, 2)))
    >>> body(torch.ones(5, 1, 3)).shape, body.unreached
    (torch.Size([5, 1, 2]), [])
    """

    def __init__(self, module: nn.Module, *, time: str = "outside") -> None:
        super().__init__()
        if time not in TIMES:
            raise ValueError(explain(f"time={time!r}", f"one of {TIMES}", "time='outside'"))
        self.time = time
        self.stepped = StatePassing(module)
        for name, cell in self._cells().items():
            _install(cell, name)

    @property
    def unreached(self) -> list[str]:
        """Neurons whose surrogate a gradient policy cannot replace, by name."""
        return [name for name, cell in self._cells().items() if _spikes(cell.p) and "spike" not in cell._modules]

    def forward(self, s: Tensor) -> Tensor:
        """Output ``[T, N, K]`` of a train ``[T, N, *]``, from no state and leaving none."""
        with self._steered():
            if self.time == "outside":
                return self.stepped(s)  # type: ignore[no-any-return]
            result = self.stepped.module(s)
            if not isinstance(result, tuple) or not isinstance(result[0], Tensor):
                fix = "for cells, which take one step, leave time='outside'"
                raise TypeError(explain(f"a {type(result).__name__}", "a pair (output, state)", fix))
            return result[0]

    def _cells(self) -> dict[str, Any]:
        snn = import_module("norse.torch.module.snn")
        kinds = (snn.SNNCell, snn.SNNRecurrentCell, snn.SNN, snn.SNNRecurrent)
        return {name: m for name, m in self.stepped.module.named_modules() if isinstance(m, kinds)}

    @contextmanager
    def _steered(self) -> Iterator[None]:
        """Let the step function of each neuron spike through its site."""
        covered = [(cell, cell.activation) for cell in self._cells().values() if "spike" in cell._modules]
        try:
            for cell, activation in covered:
                cell.activation = _rebound(activation, cell.spike)
            yield
        finally:
            for cell, activation in covered:
                cell.activation = activation


def _spikes(p: Any) -> bool:
    """Whether parameters, or those inside them, name a surrogate."""
    inner = p if isinstance(p, tuple) else ()
    return hasattr(p, "method") or any(hasattr(part, "method") for part in inner)


def _rebound(activation: Any, site: SpikeSite) -> Callable[..., Any]:
    """The same function, for which ``threshold`` is the site; nothing global is touched."""

    def through(v: Tensor, method: str, alpha: Any) -> Tensor:  # noqa: ARG001 - as norse calls it
        fired: Tensor = site(v)
        return fired

    names = {**activation.__globals__, "threshold": through}
    made = FunctionType(
        activation.__code__, names, activation.__name__, activation.__defaults__, activation.__closure__
    )
    made.__kwdefaults__ = activation.__kwdefaults__
    return made


def _install(cell: Any, name: str) -> None:
    """Give a neuron its site, and its parameters a way to be pickled."""
    _make_picklable(type(cell.p), cell.activation)
    method = getattr(cell.p, "method", None)
    if method == "heaviside":
        fix = "LIFParameters(method='super'), or another with a surrogate"
        raise ValueError(explain(f"neuron {name!r} with method='heaviside'", "a spike with a gradient", fix))
    calls = getattr(getattr(cell.activation, "__code__", None), "co_names", ())
    if method is None or "spike" in cell._modules or "threshold" not in calls:
        return
    if "threshold" in getattr(cell.activation, "__globals__", {}):
        cell.spike = SpikeSite(MethodSpike(str(method), float(torch.as_tensor(cell.p.alpha))))


def _make_picklable(kind: type, activation: Any) -> None:
    """Norse's parameter classes say another module than the one they are in, so pickle does not find them."""
    home = getattr(activation, "__module__", "")
    if getattr(sys.modules.get(home), kind.__name__, None) is kind and kind.__module__ != home:
        copyreg.pickle(kind, lambda value: (parameters, (home, kind.__name__, tuple(value))))  # type: ignore[arg-type]


def parameters(home: str, name: str, values: tuple[Any, ...]) -> Any:
    """Parameters of a Norse neuron from a pickle: the class ``name`` of Norse's module ``home``.

    :raises ValueError: for a module that is not Norse's.
    """
    if not home.startswith("norse."):
        raise ValueError(explain(f"module {home!r}", "a module of norse", "unpickle only what you pickled"))
    return getattr(import_module(home), name)(*values)
