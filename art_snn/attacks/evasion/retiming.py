"""What the attacks on spike times share: the budgets, the inputs they can work on, and starts inside the threat."""

from __future__ import annotations

from typing import Any, cast

import torch
from art.config import ART_NUMPY_DTYPE
from torch import Tensor

from art_snn.attacks.evasion.arguments import masked, numeric
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.summary import Writer
from art_snn.coding import Encoder, EventFrames, Transformed
from art_snn.errors import explain, summary
from art_snn.gradients.base import GradientPolicy
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.threats import Retiming

_GAINS = 31


class RetimingAttack(NativeAttack):
    """Base class: a :class:`~art_snn.attacks.evasion.native.NativeAttack` under a :class:`~art_snn.threats.Retiming`.

    :param estimator: a classifier of event frames or spike trains ``[N, T, *]``: an ``SNNClassifier`` whose encoder is
        ``EventFrames``, or ``classifier.at_spikes()`` of any other.
    :param jitter: most time steps that a spike may move; ``None``: any number.
    :param delay: most time steps that all spikes of a sample may move together; ``None``: any number.
    :param moves: most spikes of a sample that may move; ``None``: any number.
    :param causal: spikes may come later, never earlier.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.native.NativeAttack`.

    :raises ValueError: for a parameter out of range, no budget at all, or a network whose input has no time.
    """

    attack_params = ["jitter", "delay", "moves", "causal", *NativeAttack.attack_params]  # noqa: RUF012 - ART's own idiom

    def __init__(
        self, estimator: Any, jitter: int | None = None, delay: int | None = None, moves: int | None = None,
        causal: bool = False, max_iter: int = 40, nb_random_init: int = 1, loss_type: str = "ce",
        policy: GradientPolicy | None = None, targeted: bool = False, batch_size: int = 64, seed: int = 0,
        eot: int | None = None, votes: int | None = None, nb_targets: int = 9, verbose: bool = False,
        summary_writer: Writer = False,
    ) -> None:  # fmt: skip
        self.jitter, self.delay, self.moves, self.causal = jitter, delay, moves, causal
        super().__init__(
            estimator, max_iter, nb_random_init, loss_type, policy, targeted, batch_size, seed, eot, votes, nb_targets,
            verbose, summary_writer,
        )  # fmt: skip

    def _check_params(self) -> None:
        super()._check_params()
        if self.jitter is None and self.delay is None and self.moves is None:
            fix = f"{type(self).__name__}(estimator, jitter=1)"
            raise ValueError(explain("no budget", "jitter, delay or moves", fix))
        _ = self.threat
        net = self.estimator.model
        if isinstance(net, SpikingNetwork) and not takes_trains(net.encoder):
            came = f"a network whose input goes through {net.encoder!r}"
            fix = "attack estimator.at_spikes(), on x = its spike trains [N, T, *]"
            raise ValueError(explain(came, "spike trains or event frames as input", fix))

    @property
    def threat(self) -> Retiming:
        """The threat model: which spikes may come when."""
        return Retiming(self.jitter, self.delay, self.moves, self.causal)

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial spike trains; see :meth:`art_snn.attacks.evasion.native.NativeAttack.generate`.

        :raises ValueError: for an empty batch, values that are no whole numbers, or a recording in which no spike has
            room to move (no spike at all, one time step, or constant lines): its robustness would mean nothing.
        """
        clean = torch.as_tensor(numeric(x).astype(ART_NUMPY_DTYPE))
        _check_trains(clean)
        if not self.threat.is_zero:
            self._check_room(clean, kwargs.get("mask"))
        return super().generate(x, y, **kwargs)

    def _check_room(self, clean: Tensor, mask: Any) -> None:
        allowed = masked(mask, clean)
        room = torch.ones_like(clean) if allowed is None else (allowed != 0).to(clean)
        free = ((clean != 0) & (room != 0)).any(1) & ((clean == 0) & (room != 0)).any(1)
        rigid = (~free.reshape(len(free), -1).any(1)).nonzero()[:, 0].tolist()
        if rigid:
            came = f"{len(rigid)} recordings in which no spike can move (the first is number {rigid[0]})"
            fix = "leave these recordings out, or bin them into more time steps"
            raise ValueError(explain(came, "in each a spike with an empty time step of its pixel", fix))


class RetimingSearch(Search):
    """A search that knows the threat, and begins at the clean sample or at a random retiming of it."""

    @property
    def threat(self) -> Retiming:
        """The threat model of the problem."""
        return cast(Retiming, self.problem.threat)

    def step(self, gain: Tensor) -> Tensor:
        """The legal retiming of largest gain, within the mask."""
        return self.threat.step(self.problem.x, gain, self.problem.mask)

    def random(self, number: int) -> Tensor:
        """A random legal retiming: the best for random gains."""
        return self.step(self.problem.uniform(*self.problem.x.shape[1:], salt=_GAINS + number))


def inside(problem: Problem) -> Problem:
    """The same problem, whose points are brought back by one linear step that knows the mask."""
    return _Retimed(**vars(problem))


class _Retimed(Problem):
    def project(self, point: Tensor) -> Tensor:
        """The legal train that has most in common with ``point``; trains that are legal stay."""
        threat = cast(Retiming, self.threat)
        legal = threat.contains(self.x, point)
        if self.mask is not None:
            legal &= ((point == self.x) | (self.mask != 0)).flatten(1).all(1)
        rows = (~legal).nonzero()[:, 0]
        out = point.clone()
        out[rows] = threat.step(self.x[rows], point[rows], None if self.mask is None else self.mask[rows])
        return out


def _check_trains(clean: Tensor) -> None:
    if clean.dim() < 2 or clean.numel() == 0:
        raise ValueError(explain(summary(clean), "spike trains [N, T, *] of at least one recording", "check x"))
    if not bool((torch.isfinite(clean) & (clean == clean.round())).all()):
        came = f"{summary(clean)}, not all of them whole numbers"
        fix = "pass spikes (0 and 1) or event counts; an analog code has no spikes to move"
        raise ValueError(explain(came, "spikes or counts of events", fix))


def takes_trains(code: Encoder) -> bool:
    """Whether the input of a code is the train itself, perhaps with a transform behind it.

    >>> from art_snn.coding import Latency, SpikeJitter
    >>> [takes_trains(code) for code in (Transformed(EventFrames(4), SpikeJitter(1)), Latency(4))]
    [True, False]
    """
    return isinstance(code, EventFrames) or (isinstance(code, Transformed) and takes_trains(code.encoder))
