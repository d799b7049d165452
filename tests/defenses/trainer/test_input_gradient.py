import pytest
import torch

from art_snn.coding import Poisson
from art_snn.defenses.trainer import SparseGradient, input_gradient_l1
from art_snn.defenses.trainer.input_gradient import confidence, runner_up
from art_snn.networks import mlp


def test_on_a_linear_model_it_is_the_l1_norm_for_any_step():
    w = torch.randn(12, dtype=torch.float64)
    x = torch.rand(5, 12, dtype=torch.float64)
    for h in (1e-3, 0.1, 2.0):
        norm = input_gradient_l1(lambda p: p @ w + 3, x, h)
        torch.testing.assert_close(norm, w.abs().sum().expand(5))


def test_on_a_smooth_model_it_converges_linearly_in_the_step():
    w = torch.randn(12, dtype=torch.float64)
    x = torch.rand(5, 12, dtype=torch.float64, requires_grad=True)
    exact = torch.autograd.grad((x @ w).tanh().sum(), x)[0].abs().sum(1)
    error = [(input_gradient_l1(lambda p: (p @ w).tanh(), x, h) - exact).abs().max().item() for h in (1e-3, 1e-4)]
    assert error[1] < 0.11 * error[0]


def test_directions_out_of_the_range_do_not_count():
    w = torch.tensor([1.0, -2.0])
    x = torch.tensor([[1.0, 0.5]])
    assert input_gradient_l1(lambda p: p @ w, x, 0.01, (0.0, 1.0)).item() == pytest.approx(2.0, rel=1e-4)


def test_its_gradient_reaches_the_parameters_without_double_backward():
    w = torch.randn(6, dtype=torch.float64, requires_grad=True)
    x = torch.rand(3, 6, dtype=torch.float64)
    penalty = (input_gradient_l1(lambda p: p @ w, x, 0.01) ** 2).mean()
    grad = torch.autograd.grad(penalty, w)[0]
    torch.testing.assert_close(grad, 2 * w.detach().abs().sum() * w.detach().sign())


def test_confidence_is_one_half_at_margin_zero_and_finite_far_out():
    z = torch.tensor([[3.0, 3.0, 1.0], [200.0, -200.0, -200.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    y = torch.zeros(3, dtype=torch.long)
    f = confidence(z, y, runner_up(z, y))
    assert f[0].item() == 0.5
    assert f.tolist()[1:] == [1.0, 0.0]
    grad = torch.autograd.grad(f.sum(), z)[0]
    assert bool(torch.isfinite(f).all())
    assert bool(torch.isfinite(grad).all())


def test_the_runner_up_is_fixed_by_the_clean_pass():
    """A step that makes another class the runner-up does not change which difference is measured."""

    class Two(torch.nn.Module):
        def forward(self, x):
            a = x[:, 0]
            return torch.stack([0 * a, 0.1 - 0.1 * a, 2 * a], 1)

    from art.estimators.classification import PyTorchClassifier

    net = torch.nn.Sequential(torch.nn.Linear(1, 1), Two())
    torch.nn.init.ones_(net[0].weight)
    torch.nn.init.zeros_(net[0].bias)
    clf = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), (1,), 3, torch.optim.SGD(net.parameters(), lr=0.1), device_type="cpu"
    )
    x, y = torch.tensor([[0.0]]), torch.tensor([0])
    assert int(runner_up(net(x), y)) == 1
    assert int(runner_up(net(x + 0.5), y)) == 2
    before, after = torch.sigmoid(torch.tensor([-0.1, -0.05]))
    expected = torch.nn.functional.cross_entropy(net(x), y) + 3 * ((after - before) / 0.5) ** 2
    torch.testing.assert_close(SparseGradient(clf, beta=3.0, h=0.5).loss(x, y), expected)


def test_the_penalty_of_a_linear_classifier_is_analytic():
    from art.estimators.classification import PyTorchClassifier

    net = torch.nn.Linear(4, 3).double()
    clf = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), (4,), 3, torch.optim.SGD(net.parameters(), lr=0.1), device_type="cpu"
    )
    x, y = torch.rand(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    trainer = SparseGradient(clf, beta=2.0, h=1e-6)
    z = net(x)
    other = runner_up(z, y)
    f = confidence(z, y, other)
    slope = (net.weight[y] - net.weight[other]).abs().sum(1)
    exact = ((f * (1 - f) * slope) ** 2).mean()
    expected = torch.nn.functional.cross_entropy(z, y) + 2 * exact
    torch.testing.assert_close(trainer.loss(x, y), expected, rtol=1e-5, atol=0)


def test_random_networks_are_measured_without_their_noise(few, classify):
    """With fresh draws in the second pass, the difference over h would be noise over h: hundreds, not a gradient."""
    clf = classify(encoder=Poisson(T=4, seed=0))
    x, y = torch.tensor(few[0]), torch.tensor(few[1])
    trainer = SparseGradient(clf, beta=1.0, h=1e-9)
    penalty = (trainer.loss(x, y) - SparseGradient(clf, beta=1e-12, h=1e-9).loss(x, y)).item()
    assert penalty == 0.0


def test_the_penalty_lowers_the_gradient_it_names(digits, classify):
    x, y = digits[0][:400], digits[1][:400]

    def norm(beta):
        clf = classify(hidden=32)
        SparseGradient(clf, beta=beta, validation=0.0).fit(x, y, nb_epochs=10)
        z = torch.tensor(x, requires_grad=True)
        logits = clf.model(z)
        f = confidence(logits, torch.tensor(y), runner_up(logits, torch.tensor(y)))
        return float(torch.autograd.grad(f.sum(), z)[0].abs().flatten(1).sum(1).mean())

    assert norm(1.0) < 0.8 * norm(0.0)


def test_wrong_outputs_are_refused():
    with pytest.raises(ValueError, match="one number per sample"):
        input_gradient_l1(mlp((1, 8, 8), 10, hidden=(8,)), torch.rand(2, 1, 8, 8), 0.01)
    with pytest.raises(ValueError, match="positive step"):
        input_gradient_l1(lambda x: x.sum(1), torch.rand(2, 3), 0.0)
