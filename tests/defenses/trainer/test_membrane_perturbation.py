import pytest
import torch
from spikingjelly.activation_based import neuron

from art_snn.defenses.trainer import MembranePerturbation, membrane_perturbation
from art_snn.defenses.trainer.membrane_perturbation import leak_of


def test_it_is_zero_only_for_equal_currents():
    a = torch.randn(5, 2, 3)
    assert membrane_perturbation(a, a, 0.9).item() == 0
    b = a.clone()
    b[-1, 0, 0] += 1e-2
    assert membrane_perturbation(a, b, 0.9).item() > 0


def test_it_is_symmetric_and_a_square_of_something_linear():
    a, b = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    V = membrane_perturbation(a, b, 0.8)
    torch.testing.assert_close(V, membrane_perturbation(b, a, 0.8))
    torch.testing.assert_close(membrane_perturbation(3 * a, 3 * b, 0.8), 9 * V)
    torch.testing.assert_close(membrane_perturbation(a - b, torch.zeros_like(a), 0.8), V)


def test_by_hand():
    a = torch.tensor([1.0, -1.0, 2.0])
    e = [1.0, -0.5, 1.75]
    assert membrane_perturbation(a, torch.zeros(3), 0.5).item() == pytest.approx(sum(v * v for v in e) / 3)


def test_e_is_the_difference_of_two_integrators_without_spikes():
    a, b = torch.randn(2, 6, 4, dtype=torch.float64)
    traces = []
    for current in (a, b):
        node = neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=1e9, v_reset=None)
        steps = []
        for step in current:
            node(step)
            steps.append(node.v.clone())
        traces.append(torch.stack(steps))
    expected = ((traces[0] - traces[1]) ** 2).mean()
    torch.testing.assert_close(membrane_perturbation(a, b, leak_of(node)), expected)


def test_the_loss_is_put_together_as_stated(few, classify):
    clf = classify("dlif")
    x, y = torch.tensor(few[0]), torch.tensor(few[1])

    def value(alpha, kappa):
        clf.model.train()
        return float(
            MembranePerturbation(clf, layer="body.2", eps=0.1, alpha=alpha, kappa=kappa, seed=1).loss(x, y).detach()
        )

    clean, perturbed = value(0.0, 1.0), value(0.0, 0.0)
    assert perturbed > clean
    assert value(0.0, 0.25) == pytest.approx(0.25 * clean + 0.75 * perturbed, rel=1e-5)
    V = value(1.0, 1.0) - clean
    assert V > 0
    assert value(3.0, 0.25) == pytest.approx(0.25 * clean + 0.75 * perturbed + 3 * V, rel=1e-4)


def after_training(data, clf, alpha, perturbation="gaussian", nb_epochs=8, **kwargs):
    """V of the trained network, for the perturbation that it was trained with."""
    x, y = data[0][:300], data[1][:300]
    kwargs = {"layer": "body.2", "eps": 0.1, "perturbation": perturbation, "validation": 0.0, **kwargs}
    MembranePerturbation(clf, alpha=alpha, **kwargs).fit(x, y, nb_epochs=nb_epochs)
    probe, base = (MembranePerturbation(clf, alpha=a, kappa=1.0, **kwargs) for a in (1.0, 0.0))
    a, b = torch.tensor(x), torch.tensor(y)
    return (probe.loss(a, b) - base.loss(a, b)).item()


@pytest.mark.parametrize("perturbation", ["gaussian", "adversarial"])
def test_training_makes_the_perturbation_smaller(digits, classify, perturbation):
    regular, plain = (after_training(digits, classify("dlif", lr=5e-3), a, perturbation) for a in (10.0, 0.0))
    assert regular < 0.5 * plain


def test_a_clean_current_held_constant_is_no_descent_direction(digits, classify):
    """The reason why the default lets the gradient through both currents: the held one is nearly orthogonal to it."""
    clf = classify("dlif")
    x, y = torch.tensor(digits[0][:300]), torch.tensor(digits[1][:300])
    weight, found = clf.model.body[1].weight, []
    for detach_clean in (False, True):
        kwargs = {"layer": "body.2", "eps": 0.1, "kappa": 1.0, "detach_clean": detach_clean}
        losses = [MembranePerturbation(clf, alpha=alpha, **kwargs).loss(x, y) for alpha in (1.0, 0.0)]
        found.append(torch.autograd.grad(losses[0] - losses[1], weight)[0].flatten())
    assert float(torch.cosine_similarity(*found, dim=0)) < 0.3


def test_the_layer_has_to_be_a_spiking_neuron(classify):
    with pytest.raises(ValueError, match=r"body\.2"):
        MembranePerturbation(classify(), layer="body.1")
    with pytest.raises(ValueError, match="kappa"):
        MembranePerturbation(classify(), layer="body.2", kappa=2.0)
    with pytest.raises(ValueError, match="perturbation"):
        MembranePerturbation(classify(), layer="body.2", perturbation="uniform")


def test_leaks():
    assert leak_of(neuron.IFNode()) == 1
    assert leak_of(neuron.ParametricLIFNode(init_tau=4.0)) == pytest.approx(0.75)


def test_trains_of_two_shapes_and_leaks_that_grow_are_refused(classify):
    a = torch.rand(4, 3)
    with pytest.raises(ValueError, match=r"shape \[4, 3\] and \[3, 3\].*Fix: record both at the same layer"):
        membrane_perturbation(a, a[:3], 0.9)
    for leak in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"expected a factor in \[0, 1\]\. Fix: leak=0\.99"):
            membrane_perturbation(a, a, leak)
        with pytest.raises(ValueError, match=r"expected a factor in \[0, 1\], or None\. Fix: leak=0\.99"):
            MembranePerturbation(classify(), layer="body.2", leak=leak)
