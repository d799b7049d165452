"""Networks of Norse: the library's own loop, attacks, copies, policies."""

import copy
import pickle

import pytest
import torch
from torch import nn

from art_snn import SNNAutoPGD
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, Surrogate
from art_snn.networks.adapters import NorseBody, StatePassing
from art_snn.networks.adapters.norse import parameters
from art_snn.testing import check_estimator, check_policy

norse = pytest.importorskip("norse.torch")


def lif(**options):
    settings = {"tau_mem_inv": torch.tensor(500.0), "tau_syn_inv": torch.tensor(900.0), "v_th": torch.tensor(0.3)}
    return norse.LIFParameters(**{**settings, **options})


def cells(hidden=24, **options):
    torch.manual_seed(0)
    return norse.SequentialState(
        nn.Flatten(), nn.Linear(64, hidden), norse.LIFCell(lif(**options)), nn.Linear(hidden, 10), norse.LICell()
    )


def layers():
    torch.manual_seed(0)
    return norse.SequentialState(
        norse.Lift(nn.Sequential(nn.Flatten(), nn.Linear(64, 12))), norse.LIF(lif()), nn.Linear(12, 10), norse.LI()
    )


def kinds():
    torch.manual_seed(0)
    head = (nn.Flatten(), nn.Linear(64, 12))
    return {
        "LIF": norse.SequentialState(*head, norse.LIFCell(lif())),
        "LIFBox": norse.SequentialState(*head, norse.LIFBoxCell(norse.LIFBoxParameters(torch.tensor(500.0)))),
        "IAF": norse.SequentialState(*head, norse.IAFCell()),
        "LIFRecurrent": norse.SequentialState(*head, norse.LIFRecurrentCell(12, 10, lif())),
        "LSNN": norse.SequentialState(*head, norse.LSNNCell()),
        "LIFRefrac": norse.SequentialState(*head, norse.LIFRefracCell()),
    }


def gradient_of(run, s):
    leaf = s.clone().requires_grad_(True)
    z = run(leaf)
    return z.detach(), torch.autograd.grad((z * torch.linspace(-1, 1, z.numel()).view_as(z)).sum(), leaf)[0]


def own_loop(module):
    def run(s):
        state, outputs = None, []
        for step in s:
            output, state = module(step, state)
            outputs.append(output)
        return torch.stack(outputs)

    return run


@pytest.mark.parametrize("kind", kinds())
def test_outputs_and_gradients_of_the_librarys_own_loop(kind):
    module = kinds()[kind]
    s = 4 * torch.rand(6, 3, 1, 8, 8)
    expected, slope = gradient_of(own_loop(copy.deepcopy(module)), s)
    body = NorseBody(module)
    for _ in range(2):
        z, grad = gradient_of(body, s)
        assert torch.equal(z, expected)
        assert torch.equal(grad, slope)
    assert body.unreached == (["2"] if kind == "LIFRefrac" else [])


def test_layers_that_loop_themselves():
    module, s = layers(), 4 * torch.rand(6, 3, 1, 8, 8)
    expected, slope = gradient_of(lambda x: copy.deepcopy(module)(x)[0], s)
    z, grad = gradient_of(NorseBody(module, time="inside"), s)
    assert expected.std() > 0
    assert torch.equal(z, expected)
    assert torch.equal(grad, slope)


@pytest.mark.parametrize("method", ["super", "triangle", "tanh", "circ", "heavi_erfc"])
def test_every_method_keeps_its_gradient_and_its_pickle(method):
    module, s = cells(method=method, alpha=torch.tensor(2.0)), 4 * torch.rand(5, 3, 1, 8, 8)
    expected, slope = gradient_of(own_loop(copy.deepcopy(module)), s)
    body = NorseBody(module)
    for twin in (body, copy.deepcopy(body), pickle.loads(pickle.dumps(body))):  # noqa: S301
        z, grad = gradient_of(twin, s)
        assert torch.equal(z, expected)
        assert torch.equal(grad, slope)


def test_nothing_is_left_behind_even_after_an_exception():
    module = cells()
    body, s = NorseBody(module), 4 * torch.rand(4, 3, 1, 8, 8)
    before, activation = list(module.state_dict()), module[2].activation

    def explode(cell, args, output):
        raise ArithmeticError

    handle = module[4].register_forward_hook(explode)
    with pytest.raises(ArithmeticError):
        body(s)
    handle.remove()
    assert module[2].activation is activation
    assert list(module.state_dict()) == before == list(cells().state_dict())
    assert torch.equal(body(s), body(s))
    assert torch.allclose(body(s[:, :1]), body(s)[:, :1], atol=1e-5)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize("policy", [Surrogate("atan", 8.0), PDSG(), ASSG(0.45)], ids=repr)
def test_policies_that_replace_the_surrogate(policy, classifier):
    net = classifier(NorseBody(cells())).model.double()
    check_policy(policy, net, torch.rand(3, 1, 8, 8))
    x = torch.rand(3, 1, 8, 8).double().requires_grad_(True)
    own = torch.autograd.grad(net(x).square().sum(), x)[0]
    with net.gradient(policy):
        other = torch.autograd.grad(net(x).square().sum(), x)[0]
    assert not torch.allclose(own, other, rtol=1e-2)


@pytest.mark.parametrize("policy", [BPTR(), RGA(), HART(), Surrogate("atan", detach_reset=True)], ids=repr)
def test_policies_that_need_a_membrane_are_refused_by_name(policy, classifier):
    net = classifier(NorseBody(cells())).model
    with pytest.raises(ValueError, match=r"body\.stepped\.module\.2\.spike.*Fix:"), net.gradient(policy):
        pass


def test_a_network_that_no_policy_reaches_says_so(classifier):
    net = classifier(NorseBody(kinds()["LIFRefrac"])).model
    with pytest.raises(ValueError, match="without surrogate neurons"), net.gradient(Surrogate("atan")):
        pass


def test_the_classifier_conforms_and_falls(classifier, right):
    clf = classifier(NorseBody(cells()), epochs=5)
    x, y = right(clf)
    assert len(x) == 24, "it learned something"
    check_estimator(clf, x[:7], y[:7])
    before = clf.compute_loss(x, y, reduction="mean")
    attack = SNNAutoPGD(clf, eps=0.3, max_iter=15)
    x_adv = attack.generate(x, y)
    assert clf.compute_loss(x_adv, y, reduction="mean") > before + 0.5
    assert attack.last_run.success.all()


@pytest.mark.slow
def test_no_invalidating_flag(classifier):
    from art_snn import diagnose
    from art_snn.testing import tiny

    clf = classifier(NorseBody(cells(48)), epochs=10)
    report = diagnose(clf, *tiny.samples(64), eps=0.1)
    assert not [name for name, flag in report.flags.items() if name.startswith("E") and flag.raised], str(report)


def test_wrong_use_names_the_fix():
    with pytest.raises(ValueError, match="heaviside"):
        NorseBody(cells(method="heaviside"))
    with pytest.raises(ValueError, match="time='outside'"):
        NorseBody(cells(), time="both")
    with pytest.raises(TypeError, match="outside"):
        NorseBody(nn.Linear(4, 2), time="inside")(torch.rand(2, 3, 4))
    with pytest.raises(ValueError, match="module of norse"):
        parameters("os", "system", ("true",))


def test_any_module_that_passes_its_state():
    class Counter(nn.Module):
        def forward(self, x, state=None):
            state = x if state is None else state + x
            return 2 * state, state

    s = torch.rand(4, 2, 3)
    assert torch.allclose(StatePassing(Counter())(s), 2 * s.cumsum(0))
    with pytest.raises(TypeError, match=r"pair \(output, state\)"):
        StatePassing(TakesTwo())(s)
    with pytest.raises(TypeError, match="Fix:"):
        StatePassing(len)


class TakesTwo(nn.Module):
    def forward(self, x, state):
        return x
