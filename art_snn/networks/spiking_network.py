r"""A spiking network as one pure module: a batch of inputs to logits.

.. math:: x\,[N, *] \xrightarrow{encoder} s\,[T, N, *] \xrightarrow{body} o\,[T, N, K] \xrightarrow{decoder}
          z\,[N, K]

Everything that makes a spiking network differ from any other classifier is inside: the reset before and after, the
encoder with its gradient, the time loop, the decoder, the gradient policy and the averaging over randomness. So the
object works unchanged in ART (whose stronger attacks rebuild their own classifier around the bare module),
torchattacks, Foolbox, or a plain loop.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.coding.base import Decoder, Encoder, check_domain
from art_snn.coding.direct import Direct, Quantized
from art_snn.coding.draws import keyed_draws
from art_snn.coding.frames import EventFrames
from art_snn.coding.membrane import MembraneMean
from art_snn.coding.straight_through import clamp_straight_through, is_traced
from art_snn.coding.transform import Transformed
from art_snn.errors import StepModeWarning, explain, guarded, summary
from art_snn.gradients.base import GradientPolicy
from art_snn.networks.body import body_step_mode, check_body, step_mode_mismatches
from art_snn.networks.fast import accelerated
from art_snn.networks.memory import DEFAULT, Footprint, Pieces, deaf, footprint, in_pieces, surely_whole
from art_snn.networks.partition import ALWAYS, Drawing, parts_now, when_parted
from art_snn.networks.plan import Plan, plan
from art_snn.networks.repeats import Repeats
from art_snn.networks.replay import replayed
from art_snn.neurons.fused import is_wrapped
from art_snn.spiking import neuron_parameters, reset_state, surrogates_kept

_SHAPE_WORDS = re.compile(r"shape|size|dimension|channel|dims|out of range|expected \d", re.IGNORECASE)


class SpikingNetwork(nn.Module):
    """Encoder, body and decoder as one ``nn.Module``, ``x [N, *] -> logits [N, K]``.

    * Calls are independent: state is reset before and cleared after each, also when an exception passes.
    * Gradients flow in ``train()`` and ``eval()``; batch norm and dropout follow the mode.
    * A gradient policy (:meth:`gradient`) never changes a spike.
    * A stochastic encoder draws from its own seeded stream; :meth:`reseed` rewinds it. Each call takes fresh draws:
      a frozen draw is another, deterministic classifier.

    :param encoder: inputs to spike trains; inputs beyond its domain are clamped, with a gradient that passes.
    :param body: any SpikingJelly network, in single-step or multi-step mode, or any module ``[T, N, *] -> [T, N, K]``.
    :param decoder: output trains to logits; :class:`~art_snn.coding.MembraneMean` by default.
    :param eot: number of draws whose logits are averaged when an input gradient is taken (expectation over
        transformation), and in training.
    :param votes: number of draws whose logits are averaged otherwise. Both matter for stochastic networks only.
    :param fast: run neurons and the layers before them in faster ways where the numbers stay the same
        (:meth:`plan` says where); off, every module runs as it is.
    :param max_memory: bytes that the activations and the gradient of one call may take; a larger batch goes through in
        pieces, and with gradients each piece runs twice. The batch itself comes on top: it is the caller's. In eval
        mode, for policies without state, and where each piece draws what it would draw within the whole batch;
        otherwise a batch runs whole. ``None`` is no limit.
    :raises TypeError: if a part is of the wrong kind, or the input has integers where the code wants intensities.
    :raises ValueError: for a body of mixed step modes, or shapes that do not fit; the message names both shapes.

    >>> from spikingjelly.activation_based import layer, neuron
    >>> from art_snn.coding import Latency, MembraneMean
    >>> body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), neuron.LIFNode(), nn.Linear(32, 10))
    >>> net = SpikingNetwork(Latency(T=8), body, MembraneMean())
    >>> net(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """

    @guarded
    def __init__(
        self, encoder: Encoder, body: nn.Module, decoder: Decoder | None = None, *, eot: int = 1, votes: int = 1,
        fast: bool = True, max_memory: int | None = DEFAULT,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(encoder, Encoder):
            fix = "SpikingNetwork(Direct(T=8), body)"
            raise TypeError(explain(f"encoder {encoder!r}", "an art_snn.coding.Encoder", fix))
        decoder = MembraneMean() if decoder is None else decoder
        if not isinstance(decoder, Decoder):
            fix = "SpikingNetwork(encoder, body, MembraneMean())"
            raise TypeError(explain(f"decoder {decoder!r}", "an art_snn.coding.Decoder", fix))
        check_body(body, refused=SpikingNetwork)
        self.encoder = encoder
        self.body = body
        self.decoder = decoder
        self.eot = eot
        self.votes = votes
        self.fast = fast
        self.max_memory = max_memory
        self._footprints: dict[tuple[Any, ...], tuple[Footprint, int]] = {}
        self.recipe: dict[str, Any] | None = None
        self.policies: list[GradientPolicy] = []
        self._initial = {name: value.detach().clone() for name, value in neuron_parameters(self).items()}
        for name, reason in step_mode_mismatches(body).items():
            warnings.warn(f"neuron {name!r}: {reason}", StepModeWarning, stacklevel=2)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if issubclass(cls, nn.Sequential):
            fix = "derive from SpikingNetwork alone: ART runs a Sequential child by child, past its resets"
            raise TypeError(explain(f"{cls.__name__}, a SpikingNetwork and an nn.Sequential", "one of the two", fix))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("eot", "votes") and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(explain(f"{name} = {value!r}", "a whole number of draws, at least 1", f"net.{name} = 10"))
        if name == "fast" and not isinstance(value, bool):
            raise TypeError(explain(f"fast = {value!r}", "True or False", "net.fast = False"))
        if name == "max_memory" and value is not None and (isinstance(value, bool) or not int(value) == value >= 1):
            fix = "net.max_memory = 2 * 1024**3"
            raise ValueError(explain(f"max_memory = {value!r}", "a number of bytes, at least 1, or None", fix))
        super().__setattr__(name, value)

    @property
    def T(self) -> int:
        """Number of time steps."""
        return self.encoder.T

    @property
    def is_stochastic(self) -> bool:
        """Whether two calls can differ: the encoder, or a module of the body that says so, draws random numbers."""
        return any(getattr(module, "is_stochastic", False) for module in self.modules() if module is not self)

    def reseed(self, seed: int | None = None) -> None:
        """Rewind every random stream, to ``seed`` or to the seed it was made with."""
        for module in self.modules():
            restart = None if module is self else getattr(module, "reseed", None)
            if callable(restart):
                restart(seed)

    def reset_parameters(self) -> None:
        """Put learnable neuron parameters (time constants, thresholds) back to what they were when this was built.

        Layers start anew by a method of the same name of their own; neurons have none. ``net.apply`` in ART's ``reset``
        calls them all.
        """
        with torch.no_grad():
            for name, value in neuron_parameters(self).items():
                value.copy_(self._initial[name])

    def plan(self) -> Plan:
        """Which modules run in a faster way, and why the others do not; ``print`` shows a table.

        >>> from art_snn.networks import mlp
        >>> net = mlp((1, 8, 8), 10, hidden=(32,))
        >>> net.fast = True
        >>> print(net.plan())  # doctest: +ELLIPSIS
        module  class    runs        because
        0       Flatten  once        its input is the same at every step
        1       Linear   once        its input is the same at every step
        2       LIFNode  fused       all steps at once, in place, same spikes
        3       Linear   left alone  its input changes from step to step
        large layers on a CPU run as ...
        """
        constant = isinstance(self.encoder, Direct | Quantized)
        return plan(self.body, fast=self.fast, constant=constant)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, K]`` of a batch ``[N, *]``; averaged over draws where the network is stochastic."""
        x = self._cast(x)
        policy = self._policy()
        if self.is_stochastic:
            return self._conducted(x, policy)
        return self._parted(x, policy, lambda part: self._conducted(part, policy))

    def _conducted(self, x: Tensor, policy: GradientPolicy | None) -> Tensor:
        return self.run(x) if policy is None else policy.conduct(self, x)

    def _parted(self, x: Tensor, policy: GradientPolicy | None, run: Callable[[Tensor], Tensor]) -> Tensor:
        """``run(x)``, in pieces where the batch takes more than :attr:`max_memory` or than runs at full speed."""
        pieces = self._pieces(x, policy)
        if pieces is None:
            return run(x)

        def first(part: Tensor) -> Tensor:
            """Logits of a piece that will run again; a policy that bends the forward needs its gradient for that."""
            if policy is None or not policy.modifies_forward:
                return self._run(part)
            with torch.enable_grad():
                return run(part.detach().requires_grad_(True)).detach()

        values = [p for p in self.parameters() if p.requires_grad] if pieces.again else []
        start = first if pieces.again else run
        if not self.is_stochastic:
            return in_pieces(lambda part, _: start(part), lambda part, _: run(part), x, pieces, values)
        drawing = Drawing(self)
        return in_pieces(drawing.once(start, noted=pieces.again), drawing.again(run), x, pieces, values)

    def _pieces(self, x: Tensor, policy: GradientPolicy | None) -> Pieces | None:
        """How the batch is parted; ``None`` if it is not, or cannot be."""
        swift = self.fast and x.device.type == "cpu"
        if self.training or (policy is not None and policy.is_stateful) or is_wrapped(x):
            return None
        if surely_whole(x, self.T, self.max_memory, swift=swift) or not all(p.is_leaf for p in self.parameters()):
            return None
        swift = swift and not self._watched()
        taken, when = self._footprint(x)
        if self.is_stochastic and not parts_now(self, when, x.device):
            return None
        gradient = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in self.parameters()))
        each = x[0].numel() * x.element_size() if gradient else None
        return taken.pieces(len(x), self.max_memory, gradient=each, swift=swift)

    def _watched(self) -> bool:
        """Whether somebody's hooks would see pieces of a batch."""
        return any(m._forward_hooks or m._forward_pre_hooks for m in self.modules() if m is not self)

    def _footprint(self, x: Tensor) -> tuple[Footprint, int]:
        kind = (tuple(x.shape[1:]), x.dtype, self.T, self.fast)
        if kind not in self._footprints:

            def one() -> Tensor:
                return self._run(x[:1].detach())

            with self.replay(), deaf(self), keyed_draws(self, [0]):
                when = when_parted(self, one) if self.is_stochastic else ALWAYS
                self._footprints[kind] = footprint(self, one, fast=self.fast), when
        return self._footprints[kind]

    def run(self, x: Tensor, policy: GradientPolicy | None = None) -> Tensor:
        """:meth:`forward` with ``policy`` steering each draw; policies call it, other callers use :meth:`gradient`."""
        draws = self.draws(x)
        if draws == 1:
            return self._drawn(x, policy, 0)
        return torch.stack([self._drawn(x, policy, draw) for draw in range(draws)]).mean(0)

    def _drawn(self, x: Tensor, policy: GradientPolicy | None, draw: int) -> Tensor:
        """One draw; a stochastic network is parted here, so that its streams are asked in the order of the draws."""
        if not self.is_stochastic:
            return self._run(x, policy, draw)
        return self._parted(x, policy, lambda part: self._run(part, policy, draw))

    def replay(self) -> AbstractContextManager[None]:
        """Inside, runs draw the random numbers that the next run would draw, and use none of them up.

        Buffers that a run in training mode changes (batch norm statistics) are restored as well.
        """
        return replayed(self)

    def encode(self, x: Tensor) -> Tensor:
        """The spike train ``[T, N, *]`` that the body sees."""
        x = self._cast(x)
        if self.encoder.domain is not None:
            check_domain(x, None, type(self.encoder).__name__)
            x = clamp_straight_through(x, *self.encoder.domain)
        return self.encoder(x)

    def simulate(self, s: Tensor) -> Tensor:
        """Output of the body, ``[T, N, K]``, for a spike train ``[T, N, *]``, from a clean state and leaving one."""
        with self._fresh_state(), self._steered(self._policy()), self._accelerated(s):
            return self._steps(s)

    @contextmanager
    def gradient(self, policy: GradientPolicy) -> Iterator[SpikingNetwork]:
        """Take gradients under ``policy`` inside the context; spikes, weights and state_dict stay as they are.

        >>> from spikingjelly.activation_based.surrogate import ATan
        >>> from art_snn.gradients import Surrogate
        >>> from art_snn.networks import mlp
        >>> net = mlp((1, 8, 8), 10)
        >>> with net.gradient(Surrogate(ATan(), sharpness=8.0)):
        ...     z = net(torch.rand(2, 1, 8, 8))
        """
        if not isinstance(policy, GradientPolicy):
            fix = "with net.gradient(Surrogate(surrogate.ATan(alpha=4.0))):"
            raise TypeError(explain(repr(policy), "an art_snn.gradients.GradientPolicy instance", fix))
        with policy.applied(self):
            yield self

    def at_spikes(self) -> SpikingNetwork:
        """The same network seen after its encoder: its input is the spike train, batch first ``[N, T, *]``.

        Body, decoder and gradient policies are shared, not copied. A transform behind the code stays part of the
        network.
        """
        code = self.encoder.after() if isinstance(self.encoder, Transformed) else EventFrames(self.T)
        edge = SpikingNetwork(
            code, self.body, self.decoder, eot=self.eot, votes=self.votes, fast=self.fast, max_memory=self.max_memory
        )
        edge.policies = self.policies
        edge._initial = self._initial
        return edge.train(self.training)

    def _policy(self) -> GradientPolicy | None:
        """The policy that steers now: the innermost one, and none where no gradient is taken."""
        return self.policies[-1] if self.policies and torch.is_grad_enabled() else None

    def _steered(self, policy: GradientPolicy | None, draw: int = 0) -> AbstractContextManager[None]:
        return nullcontext() if policy is None else policy.steer(self, draw)

    def _run(self, x: Tensor, policy: GradientPolicy | None = None, draw: int = 0) -> Tensor:
        with self._fresh_state(), self._steered(policy, draw):
            s = self.encode(x)
            with self._accelerated(s):
                logits: Tensor = self.decoder(self._steps(s))
                return logits

    def _accelerated(self, s: Tensor) -> AbstractContextManager[None]:
        return accelerated(self, self._repeated(s)) if self.fast else nullcontext()

    @staticmethod
    def _repeated(s: Tensor) -> Repeats | None:
        """A train that is a view of one step, and that step."""
        if s.dim() < 2 or len(s) < 2 or s.stride(0) != 0 or is_wrapped(s):
            return None
        repeats = Repeats()
        repeats.note(s, s[:1])
        return repeats

    def _steps(self, s: Tensor) -> Tensor:
        together = body_step_mode(self.body) == "m"
        try:
            o = self.body(s) if together else torch.stack([self.body(step) for step in s])
        except (RuntimeError, ValueError, IndexError) as error:
            if not _SHAPE_WORDS.search(str(error)):
                raise
            pace = "at once" if together else "one step at a time"
            came = f"a spike train [T, N, *] = {list(s.shape)}, given {pace}, on which the body failed ({error})"
            fix = "match the first layer to the encoded input, or set the mode: functional.set_step_mode(body, 'm')"
            raise ValueError(explain(came, "a body [T, N, *] -> [T, N, K]", fix)) from error
        return self._check_output(o, s)

    @staticmethod
    def _check_output(o: Any, s: Tensor) -> Tensor:
        fix = "return one row of K outputs per sample and time step"
        if not isinstance(o, Tensor):
            raise TypeError(explain(f"a {type(o).__name__} from the body", "a tensor [T, N, K]", fix))
        if o.dim() != 3 or o.shape[:2] != s.shape[:2]:
            came = f"output {list(o.shape)} from the body for a spike train {list(s.shape)}"
            raise ValueError(explain(came, f"[T, N, K] = [{s.shape[0]}, {s.shape[1]}, K]", fix))
        return o

    @contextmanager
    def _fresh_state(self) -> Iterator[None]:
        reset_state(self)
        try:
            with surrogates_kept(self):
                yield
        finally:
            reset_state(self)

    def draws(self, x: Tensor) -> int:
        """How often :meth:`forward` runs the network on ``x``: :attr:`eot`, :attr:`votes`, or once."""
        if not self.is_stochastic:
            return 1
        if torch.is_grad_enabled() and (self.training or is_traced(x)):
            return self.eot
        return self.votes

    def _cast(self, x: Tensor) -> Tensor:
        if not x.is_floating_point() and not self.encoder.integer_input:
            fix = "pass intensities as floating point: x.float() / 255"
            raise TypeError(explain(summary(x), f"floating-point input for {type(self.encoder).__name__}", fix))
        parameter = next((p for p in self.parameters() if p.is_floating_point()), None)
        if parameter is not None:
            return x.to(parameter.dtype)
        return x if x.is_floating_point() else x.to(torch.get_default_dtype())
