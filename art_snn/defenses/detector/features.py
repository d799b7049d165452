r"""What a spiking network does while it decides, as numbers: the features of the timing detector.

For each layer with train :math:`s\,[T, N, n]` (the input code too, if it is binary) and membranes
:math:`v = u - \theta`:

* firing rate: mean and standard deviation over the neurons;
* first-spike latency: share of neurons in each of (at most) 4 bins of time, and the share that never fires;
* spikes per neuron in every time step;
* mean inter-spike interval of the neurons that fire at least twice; T if there is none;
* share near the threshold, softly: the mean of :math:`e^{-(v/\delta)^2}`.

For the output: the time of the decision (steps before the final class leads for good) and the number of label flips
over time, on the accumulated evidence. Both are counts; their gradient is that of a soft twin (the time that the final
class lacks of certainty, half the total variation of the softmax). All other features are differentiable as they
stand, through the surrogate of the spikes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from art_snn.coding.early_exit import logits_over_time
from art_snn.coding.straight_through import carry_path
from art_snn.networks.recording import Recording

LATENCY_BINS = 4
NEAR = 0.1
_DUST = 1e-12


def timing_features(seen: Recording, *, with_code: bool) -> Tensor:
    """Features of one recording, ``[N, F]``, finite, differentiable.

    :param seen: what :func:`~art_snn.networks.recording.recorded` returned.
    :param with_code: whether the input train counts as a layer; for binary codes.

    >>> from art_snn.coding import Latency
    >>> from art_snn.networks import mlp, recorded
    >>> net = mlp((1, 8, 8), 10, hidden=(16,), encoder=Latency(T=8))
    >>> timing_features(recorded(net, torch.rand(3, 1, 8, 8)), with_code=True).shape
    torch.Size([3, 35])
    """
    layers: list[tuple[Tensor, Tensor | None]] = [(seen.code, None)] if with_code else []
    layers += [(train, seen.membranes.get(name)) for name, train in seen.spikes.items()]
    parts = [part for train, membrane in layers for part in layer_features(train, membrane)]
    return torch.stack([*parts, *decision_features(seen.outputs)], 1)


def layer_features(s: Tensor, v: Tensor | None = None) -> list[Tensor]:
    """Features of one layer, each ``[N]``.

    :param s: train ``[T, N, *]``.
    :param v: membrane above threshold, of the same shape.
    """
    s = s.flatten(2) if s.dim() > 2 else s.unsqueeze(2)
    rate = s.mean(0)
    spread = (rate.var(1, unbiased=False) + _DUST).sqrt()
    first, never = first_spike_shares(s)
    bins = [part.sum(0).mean(1) for part in first.tensor_split(min(LATENCY_BINS, len(s)))]
    near = [] if v is None else [torch.exp(-((v / NEAR) ** 2)).transpose(0, 1).flatten(1).mean(1)]
    return [rate.mean(1), spread, *bins, never.mean(1), *s.mean(2), mean_interval(s, first), *near]


def first_spike_shares(s: Tensor) -> tuple[Tensor, Tensor]:
    r"""Whether the first spike comes at each step, ``[T, N, n]``, and whether none comes, ``[N, n]``.

    :math:`a_t = s_t \prod_{t' < t} (1 - s_{t'})`: exact on spikes, and differentiable.

    >>> first, never = first_spike_shares(torch.tensor([0.0, 1.0, 1.0]).view(3, 1, 1))
    >>> first.flatten().tolist(), never.item()
    ([0.0, 1.0, 0.0], 0.0)
    """
    alive = torch.cumprod(1 - s, 0)
    before = torch.cat([torch.ones_like(alive[:1]), alive[:-1]])
    return before * s, alive[-1]


def mean_interval(s: Tensor, first: Tensor) -> Tensor:
    """Mean inter-spike interval in steps ``[N]``, over neurons with two spikes or more; T where there is none.

    :param s: train ``[T, N, n]``.
    :param first: where the first spike is, ``[T, N, n]``.

    >>> s = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(4, 1, 1)
    >>> mean_interval(s, first_spike_shares(s)[0]).item(), mean_interval(0 * s, 0 * s).item()
    (3.0, 4.0)
    """
    steps = torch.arange(len(s), device=s.device, dtype=s.dtype).view(-1, 1, 1)
    last = first_spike_shares(s.flip(0))[0].flip(0)
    count = s.sum(0)
    several = (count.detach() > 1.5).to(s.dtype)
    interval = several * ((last - first) * steps).sum(0) / (count - 1).clamp(min=1.0)
    number = several.sum(1)
    return torch.where(number > 0, interval.sum(1) / number.clamp(min=1.0), torch.full_like(number, float(len(s))))


def decision_features(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Time of the decision in steps, and number of label flips, each ``[N]``.

    :param outputs: of the body, ``[T, N, K]``.

    >>> o = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, 1.0]]).view(3, 1, 2)
    >>> [float(value) for value in decision_features(o)]
    [1.0, 1.0]
    """
    z = logits_over_time(outputs)
    label = z.argmax(2)
    wrong = label != label[-1]
    order = torch.arange(1, len(z) + 1, device=z.device)[:, None]
    decided = (wrong * order).amax(0).to(z.dtype)
    flips = (label[1:] != label[:-1]).sum(0).to(z.dtype)
    p = F.softmax(z, 2)
    doubt = (1 - p.gather(2, label[-1].expand(len(z), -1).unsqueeze(2))[..., 0]).sum(0)
    path = (p[1:] - p[:-1]).abs().sum(2).sum(0) / 2
    return carry_path(decided, doubt), carry_path(flips, path)
