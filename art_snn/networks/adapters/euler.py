r"""Integrate-and-fire neurons as the differential equations of NIR say, one Euler step of :math:`dt` per time step.

.. math::
   I_t &= I_{t-1} + \tfrac{dt}{\tau_{syn}} (w_{in} x_t - I_{t-1}) \quad\text{(with a synapse; else } I_t = x_t) \\
   u_t &= v_{t-1} + \tfrac{dt}{\tau} (v_{leak} - v_{t-1} + R I_t)
   \quad\text{(without a leak: } u_t = v_{t-1} + dt\, R I_t) \\
   z_t &= 1[u_t > \theta], \qquad v_t = v_{reset} \text{ where } z_t = 1, \text{ else } u_t

Every constant may differ from neuron to neuron. The current is updated first. A membrane begins at :math:`v_{leak}`, or
at :math:`v_{reset}` without a leak, a current at 0. A neuron without threshold puts out :math:`u_t`.

Source: Pedersen et al., "Neuromorphic intermediate representation", 2024 (the equations).
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import surrogate
from torch import Tensor, nn

from art_snn.errors import explain


class EulerNeuron(nn.Module):
    """A layer of neurons, all steps in one call: ``[T, N, *] -> [T, N, *]``.

    :param dt: the time step, in the unit of the time constants.
    :param r: R.
    :param tau: time constant of the membrane; ``None`` for no leak.
    :param v_leak: where a leaking membrane goes.
    :param v_threshold: the threshold; ``None`` for a neuron that does not fire.
    :param v_reset: where a membrane goes after a spike.
    :param tau_syn: time constant of the synapse; ``None`` for none.
    :param w_in: weight of the synapse.
    :param surrogate_function: how a gradient crosses a spike; SpikingJelly's ATan by default.
    :raises ValueError: for a time constant below ``dt``, where Euler's step overshoots.

    >>> EulerNeuron(0.5, r=2.0, v_threshold=0.9)(torch.ones(3, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """

    r: Tensor
    tau: Tensor
    v_leak: Tensor
    v_threshold: Tensor
    v_reset: Tensor
    tau_syn: Tensor
    w_in: Tensor

    def __init__(
        self, dt: float, *, r: Any = 1.0, tau: Any = None, v_leak: Any = 0.0, v_threshold: Any = None,
        v_reset: Any = 0.0, tau_syn: Any = None, w_in: Any = 1.0, surrogate_function: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dt = float(dt)
        self.leaks, self.filters, self.fires = tau is not None, tau_syn is not None, v_threshold is not None
        for name, value in {"tau": tau, "tau_syn": tau_syn}.items():
            if value is not None and not bool((torch.as_tensor(value) >= self.dt).all()):
                came = f"{name} from {float(torch.as_tensor(value).min()):g} with dt = {self.dt:g}"
                raise ValueError(explain(came, "time constants of at least dt", "pass the dt of the exporting library"))
        constants = {
            "r": r, "tau": tau, "v_leak": v_leak, "v_threshold": v_threshold, "v_reset": v_reset, "tau_syn": tau_syn,
            "w_in": w_in,
        }  # fmt: skip
        for name, value in constants.items():
            tensor = None if value is None else torch.as_tensor(value).detach().clone().to(torch.get_default_dtype())
            self.register_buffer(name, tensor)
        if self.fires:
            self.surrogate_function: nn.Module = surrogate_function or surrogate.ATan()

    def forward(self, x: Tensor) -> Tensor:
        """Spikes, or membranes of a neuron that does not fire."""
        start = self.v_leak if self.leaks else self.v_reset
        v, current = torch.zeros_like(x[0]) + start, torch.zeros_like(x[0])
        outputs = []
        for step in x:
            current = current + self.dt / self.tau_syn * (self.w_in * step - current) if self.filters else step
            v = v + self._change(v, current)
            if self.fires:
                z = self._spike(v)
                v = z * self.v_reset + (1 - z) * v
                outputs.append(z)
            else:
                outputs.append(v)
        return torch.stack(outputs)

    def _change(self, v: Tensor, current: Tensor) -> Tensor:
        if self.leaks:
            return self.dt / self.tau * (self.v_leak - v + self.r * current)
        return self.dt * self.r * current

    def _spike(self, v: Tensor) -> Tensor:
        """Surrogates fire at equality, NIR does not: so the threshold is the next number above."""
        above = torch.nextafter(self.v_threshold, torch.full_like(self.v_threshold, torch.inf))
        fired: Tensor = self.surrogate_function(v - above)
        return fired

    def extra_repr(self) -> str:
        """What kind of neuron it is."""
        return f"dt={self.dt:g}, leaks={self.leaks}, filters={self.filters}, fires={self.fires}"
