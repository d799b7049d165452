"""Work, energy and decision time, by hand."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SpikingNetwork, compare
from art_snn.coding import Direct, FirstSpike, MeanCurrent, MembraneMean, Poisson
from art_snn.conversion import QCFS, SRP, convert
from art_snn.evaluation.cost import ENERGY_MODELS, decision_steps, logits_at_each_step, work
from art_snn.evaluation.cost.energy import EnergyModel, energy_model
from art_snn.evaluation.cost.timing import correct_at_each_step
from art_snn.networks import ann_twin, mlp


def spiking(T=5):
    """Three inputs, four neurons that fire at every step, two outputs; all weights one."""
    body = nn.Sequential(
        layer.Linear(3, 4, bias=False, step_mode="m"),
        neuron.IFNode(v_threshold=0.5, step_mode="m"),
        layer.Linear(4, 2, bias=False, step_mode="m"),
    )
    for one in (body[0], body[2]):
        one.weight.data.fill_(1.0)
    return SpikingNetwork(Direct(T=T), body, MeanCurrent())


def test_a_spiking_network_by_hand():
    done = work(spiking(), torch.tensor([[1.0, 0.0, 0.5], [0.3, 0.3, 0.3]]))
    assert done.macs == 5 * (2 * 4 + 3 * 4) / 2
    assert done.macs_cached == (2 * 4 + 3 * 4) / 2
    assert done.acs == 5 * 4 * 2
    assert done.dense == 5 * (12 + 8)
    assert done.updates == 5 * 4
    assert done.parameters == 20
    assert done.rates == {"body.1": 1.0}
    energy = done.energy("45nm-fp32")
    assert energy.compute == pytest.approx(4.6 * 50 + 0.9 * (40 + 20))
    assert energy.memory == pytest.approx(24.96 * 4 * (50 + 40 + 40))
    assert done.energy("45nm-int8", cached=True).compute == pytest.approx(0.23 * 10 + 0.03 * 60)


def test_the_twin_multiplies_once_and_skips_zeros():
    net = spiking()
    net.body[0].weight.data[0] = -1.0  # one of four neurons is silenced by ReLU
    done = work(ann_twin(net), torch.tensor([[1.0, 0.0, 0.5]]))
    assert done.macs == done.macs_cached == 2 * 4 + 3 * 2
    assert (done.acs, done.updates, done.rate) == (0, 0, None)


def test_presimulation_is_work():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), QCFS(4, 1.0), nn.Linear(8, 3))
    x = torch.rand(4, 6) + 0.1
    plain, longer = (work(convert(model, T=4, method=method), x) for method in ("qcfs", SRP(pre=4)))
    assert (longer.macs, longer.updates) == (2 * plain.macs, 2 * plain.updates)
    assert longer.acs > plain.acs


def test_batches_draws_and_mode_do_not_matter():
    net = mlp((1, 4, 4), 3, hidden=(7,), encoder=Poisson(T=3, seed=1)).train()
    x = np.ones((130, 1, 4, 4), dtype=np.float32)  # probability 1
    net.votes = 3
    one, all_of_them = work(net, x[:1]), work(net, x)
    assert all_of_them.acs == pytest.approx(one.acs)
    assert all_of_them.updates == one.updates
    assert net.training


def test_an_energy_model_of_ones_own_is_taken_as_it_is():
    own = EnergyModel("mine", 1.0, 0.5, 2.0, 4)
    assert energy_model(own) is own


def test_energy_models_are_named():
    assert set(ENERGY_MODELS) == {"45nm-fp32", "45nm-fp16", "45nm-int8"}
    with pytest.raises(ValueError, match="did you mean '45nm-fp32'"):
        energy_model("45nm-fp3")


def test_decisions_by_hand():
    answers = np.array([[0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]])  # [T, N]
    assert decision_steps(np.eye(2)[answers]).tolist() == [2, 1, 4, 1]
    waiting = np.eye(2)[answers].astype(float)
    waiting[:2] = np.nan  # pre-simulation
    assert decision_steps(waiting).tolist() == [3, 3, 4, 3]
    assert correct_at_each_step(waiting, np.array([1, 1, 1, 1])).tolist()[2] == [True, True, False, False]
    assert not correct_at_each_step(waiting, np.array([1, 1, 1, 0]))[:2].any()


@pytest.mark.parametrize("decoder", [MembraneMean(), MeanCurrent(), MeanCurrent(skip=2), FirstSpike()])
def test_the_last_step_is_the_networks_answer(decoder):
    net = mlp((1, 4, 4), 3, hidden=(9,), encoder=Direct(T=5), decoder=decoder)
    x = np.random.default_rng(0).random((4, 1, 4, 4), dtype=np.float32)
    z = logits_at_each_step(net, x)
    with torch.no_grad():
        np.testing.assert_allclose(z[-1], net(torch.as_tensor(x)).numpy(), rtol=1e-6)
    assert np.isnan(z[:2]).all() == (getattr(decoder, "skip", 0) == 2)
    steps = decision_steps(z)
    assert ((steps >= 1) & (steps <= 5)).all()


def test_a_network_that_cannot_be_counted_is_compared_all_the_same(ann, samples, tmp_path):
    class Folded(nn.Module):
        """Its layer sees neither the batch nor the steps in front."""

        def __init__(self, inner):
            super().__init__()
            self.inner, self.odd = inner, nn.Linear(1, 1)

        def forward(self, x):
            return self.inner(x) + 0 * self.odd(x.flatten()[:, None]).sum()

    odd = PyTorchClassifier(Folded(ann.model), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    result = compare({"ann": ann, "odd": odd}, *samples, [0.1], attacks=["fgsm"], out=tmp_path, verbose=False)
    assert result.work("odd") == {}
    assert result.work("ann")["macs"] > 0
    assert "Operations of odd were not counted" in (tmp_path / "report.html").read_text()
