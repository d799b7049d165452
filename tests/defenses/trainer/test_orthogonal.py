import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.defenses.trainer import RAT, Retraction, project_simplex, retract


def test_orthonormal_rows_are_a_fixed_point():
    W = torch.linalg.qr(torch.randn(6, 4, dtype=torch.float64))[0].T
    torch.testing.assert_close(retract(W, 0.3), W, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
@pytest.mark.parametrize("beta", [0.004, 0.5])
def test_singular_values_follow_their_recurrence(shape, beta):
    W = torch.randn(shape, dtype=torch.float64) / 2
    before, after = torch.linalg.svdvals(W), torch.linalg.svdvals(retract(W, beta))
    expected = (before * (1 + beta - beta * before**2)).abs().sort(descending=True).values
    torch.testing.assert_close(after, expected)


def test_it_is_a_gradient_step_on_the_distance_to_orthogonality():
    W = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    loss = 0.25 * ((W @ W.T - torch.eye(3, dtype=torch.float64)) ** 2).sum()
    step = W - 0.01 * torch.autograd.grad(loss, W)[0]
    torch.testing.assert_close(retract(W.detach(), 0.01), step.detach())


def test_retraction_from_below_the_limit_converges_to_one():
    W = torch.randn(4, 8, dtype=torch.float64)
    W *= 0.99 * (1 + 2 / 0.5) ** 0.5 / torch.linalg.matrix_norm(W, 2)
    for _ in range(400):
        W = retract(W, 0.5)
    torch.testing.assert_close(torch.linalg.svdvals(W), torch.ones(4, dtype=torch.float64))


def test_the_guard_refuses_what_would_diverge():
    W = torch.eye(3) * ((1 + 2 / 0.5) ** 0.5 + 1e-3)
    with pytest.raises(ValueError, match="spectral norm"):
        retract(W, 0.5)
    with pytest.raises(ValueError, match="spectral norm"):
        retract(torch.full((2, 2), torch.nan), 0.5)


def test_training_stops_at_the_guard_and_restores(few, classify, same_weights):
    clf = classify(lr=30.0)
    with pytest.raises(ValueError, match=r"smaller beta|learning rate"):
        RAT(clf, eps=0.1, max_iter=1, beta=0.5).fit(*few, batch_size=20, nb_epochs=3)
    assert same_weights(clf, classify(lr=30.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_the_simplex_projection_is_one(values):
    a = torch.tensor(values, dtype=torch.float64)
    p = project_simplex(a)
    assert float(p.min()) >= 0
    assert abs(float(p.sum()) - 1) < 1e-9
    torch.testing.assert_close(project_simplex(p), p)
    for corner in torch.eye(len(a), dtype=torch.float64):
        assert float((a - p) @ (corner - p)) <= 1e-9


def test_the_simplex_projection_shifts_by_a_constant():
    torch.testing.assert_close(project_simplex(torch.tensor([0.6, 0.6])), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(project_simplex(torch.tensor([0.2, 0.8])), torch.tensor([0.2, 0.8]))


def test_large_linear_layers_are_retracted_in_thirty_percent_of_their_rows():
    def rows_changed(seed):
        net = torch.nn.Sequential(torch.nn.Linear(20, 200))
        with torch.no_grad():
            net[0].weight.copy_(torch.ones(200, 20) / 20 + torch.arange(200)[:, None] / 2000)
        before = net[0].weight.detach().clone()
        Retraction(net, 0.01, generator=torch.Generator().manual_seed(seed))()
        return (net[0].weight != before).any(1)

    assert int(rows_changed(0).sum()) == 60
    assert torch.equal(rows_changed(0), rows_changed(0))
    assert not torch.equal(rows_changed(0), rows_changed(1))


def test_convolutions_are_flattened_and_other_layers_left_alone():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    head, kernel = net[2].weight.detach().clone(), net[0].weight.detach().clone()
    Retraction(net, 0.1, layers=["0"])()
    assert torch.equal(net[2].weight, head)
    torch.testing.assert_close(net[0].weight.flatten(1), retract(kernel.flatten(1), 0.1))


def test_convex_weights_stay_on_the_simplex():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    net.register_parameter("mix", torch.nn.Parameter(torch.tensor([2.0, 1.5])))
    Retraction(net, 0.1, simplex=["mix"])()
    torch.testing.assert_close(net.mix.detach(), torch.tensor([0.75, 0.25]))


def test_weight_decay_is_off_while_training_and_on_again(few, classify):
    seen = []

    class Watched(RAT):
        def after_step(self):
            super().after_step()
            seen.append(self.optimizer.param_groups[0]["weight_decay"])

    clf = classify(optimizer=torch.optim.AdamW)
    Watched(clf, eps=0.1, max_iter=1).fit(*few, nb_epochs=1)
    assert set(seen) == {0.0}
    assert clf.optimizer.param_groups[0]["weight_decay"] == 0.01


def test_rat_brings_singular_values_closer_to_one(few, classify):
    def spread(beta):
        clf = classify()
        RAT(clf, eps=0.05, max_iter=1, beta=beta, validation=0.0).fit(*few, batch_size=16, nb_epochs=6)
        return float((torch.linalg.svdvals(clf.model.body[1].weight.detach()) - 1).abs().mean())

    assert spread(0.1) < 0.5 * spread(0.0)
