"""Counts by hand: every expected number is written out, or comes from a loop over single weights."""

import itertools

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, EventFrames, Poisson
from art_snn.conversion import QCFS, SRP, ConvertedIF, SpikingActivation, convert
from art_snn.networks import ann_twin, cnn, mlp
from art_snn.networks.operations import counting


class Add(nn.Module):
    """Two branches, summed: a residual connection."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def events(body, T=1):
    return SpikingNetwork(EventFrames(T=T), body)


def counted(net, x):
    with counting(net) as counter, torch.no_grad():
        net(x)
    return counter


def products(conv, x):
    """SynOps of a convolution by brute force: one spike at a time, with binary weights, non-zero outputs counted."""
    twin = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        False,
    )
    twin.weight.data = (conv.weight != 0).float()
    total = 0.0
    for index in itertools.product(*map(range, x.shape)):
        one = torch.zeros(1, *x.shape)
        one[0][index] = 1
        total += float(x[index]) * float((twin(one) != 0).sum())
    return total


def test_a_linear_layer_costs_its_outputs_per_spike():
    body = nn.Sequential(layer.Flatten(step_mode="m"), layer.Linear(4, 3, step_mode="m"))
    x = torch.tensor([[[1.0, 0, 1, 0], [0, 0, 0, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    counter = counted(events(body, T=2), x)
    assert counter.synops.tolist() == [9.0, 0.0]  # three spikes, three outputs
    assert counter.macs.tolist() == [0.0, 0.0]
    assert counter.dense == 2 * 4 * 3
    assert counter.input_size.tolist() == [3.0, 0.0]


def test_weights_that_are_zero_cost_nothing():
    linear = layer.Linear(2, 3, step_mode="m")
    linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 2.0]])
    counter = counted(events(nn.Sequential(linear)), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert counter.synops.tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"kernel_size": 3, "padding": 1}, {"corner": 4, "edge": 6, "middle": 9}),
        ({"kernel_size": 3}, {"corner": 1, "edge": 3, "middle": 9}),
        ({"kernel_size": 2, "stride": 2}, {"corner": 1, "edge": 1, "middle": 1}),
    ],
)
def test_the_fan_out_of_a_convolution_depends_on_the_position(arguments, expected):
    places = {"corner": (0, 0), "edge": (0, 2), "middle": (2, 2)}
    body = nn.Sequential(layer.Conv2d(1, 5, step_mode="m", **arguments), layer.Flatten(step_mode="m"))
    x = torch.zeros(3, 1, 1, 6, 6)
    for row, place in enumerate(places.values()):
        x[(row, 0, 0, *place)] = 1
    assert counted(events(body), x).synops.tolist() == [5 * expected[name] for name in places]


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "groups": 2, "padding": 1},
        {"kernel_size": 2, "dilation": 2},
        {"kernel_size": (1, 3), "padding": (0, 1), "stride": (2, 1), "groups": 4},
    ],
)
def test_convolutions_agree_with_one_spike_at_a_time(arguments):
    torch.manual_seed(0)
    conv = layer.Conv2d(4, 8, step_mode="m", **arguments)
    conv.weight.data[torch.rand_like(conv.weight) < 0.3] = 0
    x = (torch.rand(2, 3, 4, 5, 5) < 0.3).float()
    net = events(nn.Sequential(conv, layer.Flatten(step_mode="m")), T=3)
    assert counted(net, x).synops.tolist() == [sum(products(conv, step) for step in sample) for sample in x]


@pytest.mark.parametrize("mode", ["m", "s"])
def test_averaged_spikes_are_counted_as_the_spikes_they_are(mode):
    body = nn.Sequential(layer.AvgPool2d(3), layer.Flatten(), layer.Linear(4, 7))
    for module in body:
        module.step_mode = mode
    x = torch.zeros(1, 2, 1, 6, 6)
    x[0, 0, 0, :3, :3] = 1  # nine spikes in one window
    x[0, 1, 0, 5, 5] = 1
    net = events(nn.Sequential(neuron.IFNode(v_threshold=0.5, step_mode=mode), body), T=2)
    counter = counted(net, x)
    assert counter.synops.tolist() == [70.0]
    assert counter.macs.tolist() == [0.0]


def test_pixels_that_pooling_drops_cost_nothing():
    body = nn.Sequential(
        layer.AvgPool2d(2, step_mode="m"), layer.Flatten(step_mode="m"), layer.Linear(1, 4, step_mode="m")
    )
    x = torch.zeros(2, 1, 1, 3, 3)
    x[0, 0, 0, 0, 0] = x[1, 0, 0, 2, 2] = 1
    assert counted(events(body), x).synops.tolist() == [4.0, 0.0]


def test_a_residual_sum_counts_every_spike():
    spike = neuron.IFNode(v_threshold=0.5, step_mode="m")
    body = nn.Sequential(Add(spike), layer.Linear(3, 2, step_mode="m"))
    counter = counted(events(body), torch.tensor([[[1.0, 0.0, 1.0]]]))
    assert counter.synops.tolist() == [8.0]  # two spikes by two ways, two outputs


def test_a_direct_code_costs_products_at_every_step():
    body = nn.Sequential(
        layer.Linear(3, 4, step_mode="m"),
        neuron.IFNode(v_threshold=0.5, step_mode="m"),
        layer.Linear(4, 2, step_mode="m"),
    )
    body[0].weight.data.fill_(1.0), body[0].bias.data.zero_()
    counter = counted(SpikingNetwork(Direct(T=5), body), torch.tensor([[1.0, 0.0, 0.5]]))
    assert counter.macs.tolist() == [5 * 2 * 4]  # zeros are skipped, a value of 1 is still no spike
    assert counter.synops.tolist() == [5 * 4 * 2]  # 1.5 a step: every neuron fires at every step
    assert counter.dense == 5 * (12 + 8)


def test_step_modes_agree_and_batches_do_not_matter():
    torch.manual_seed(0)
    net = cnn((1, 8, 8), 10, channels=(4, 6), hidden=12, encoder=Direct(T=3)).eval()
    x = torch.rand(4, 1, 8, 8)
    together = counted(net, x)
    for module in net.body.modules():
        if hasattr(module, "step_mode"):
            module.step_mode = "s"
    apart = counted(net, x)
    assert torch.equal(together.synops, apart.synops)
    assert torch.equal(together.macs, apart.macs)
    assert torch.equal(apart.input_size, together.input_size)
    assert together.dense == apart.dense
    assert together.synops.tolist() == [counted(net, row[None]).synops.item() for row in x]


def test_whole_networks_agree_with_a_count_of_their_spikes():
    """Fan-outs of the zoo's network written out: 3 x 3 convolutions behind 2 x 2 windows, then linear layers."""
    torch.manual_seed(0)
    net = cnn((1, 8, 8), 10, channels=(4, 6), hidden=12, batch_norm=False, encoder=Poisson(T=3)).eval()
    trains = {}
    for name, module in net.body.named_modules():
        if isinstance(module, neuron.BaseNode):
            module.register_forward_hook(lambda m, a, s, name=name: trains.__setitem__(name, s))
    conv = net.body[3]
    counter = counted(net, torch.rand(1, 1, 8, 8))
    first, second, third = trains.values()
    pooled = nn.functional.avg_pool2d(first[:, 0], 2) * 4
    assert counter.layers["body.3"].synops.item() == pytest.approx(sum(products(conv, step) for step in pooled))
    assert counter.layers["body.7"].synops.item() == pytest.approx(second.sum().item() * 12)
    assert counter.layers["body.9"].synops.item() == pytest.approx(third.sum().item() * 10)
    assert counter.macs.item() == 0


def test_gradient_is_the_fan_out_at_the_input_layer():
    torch.manual_seed(0)
    conv = layer.Conv2d(2, 3, 3, padding=1, step_mode="m")
    net = events(nn.Sequential(conv, layer.Flatten(step_mode="m")), T=2)
    x = (torch.rand(1, 2, 2, 4, 4) < 0.4).float().requires_grad_()
    with counting(net) as counter:
        net(x)
        grad = torch.autograd.grad(counter.synops.sum(), x)[0]
    expected = torch.tensor([[4.0, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]) * 3
    assert torch.equal(grad, expected.expand_as(grad))


def test_gradient_reaches_the_image_through_surrogates():
    net = cnn((1, 8, 8), 10, channels=(4,), hidden=8, batch_norm=False, encoder=Direct(T=3))
    x = torch.rand(2, 1, 8, 8, requires_grad=True)
    with counting(net) as counter:
        net(x)
        grad = torch.autograd.grad(counter.synops.sum(), x)[0]
    assert bool((grad != 0).flatten(1).any(1).all())


def test_draws_are_averaged_and_an_ordinary_network_multiplies():
    net = cnn((1, 8, 8), 10, channels=(4,), hidden=8, encoder=Poisson(T=3, seed=0)).eval()
    x = torch.ones(2, 1, 8, 8)  # probability 1: every draw is the same
    once = counted(net, x).synops
    net.votes = 4
    assert torch.allclose(counted(net, x).synops, once)
    twin = counted(ann_twin(net).eval(), torch.rand(2, 1, 8, 8))
    assert twin.synops.sum() == 0
    assert bool((twin.macs > 0).all())
    assert bool((twin.macs <= twin.dense).all())


def test_hooks_are_gone_and_misuse_is_explained():
    net = events(nn.Sequential(layer.Linear(2, 2, step_mode="m")))
    with counting(net) as counter:
        with pytest.raises(RuntimeError, match="run the network inside"):
            _ = counter.synops
        net(torch.ones(1, 1, 2))
        with pytest.raises(ValueError, match=r"counter\.clear"):
            net(torch.ones(2, 1, 2))
        counter.clear()
        net(torch.ones(2, 1, 2))
    net(torch.ones(3, 1, 2))
    assert counter.synops.tolist() == [4.0, 4.0]
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in net.modules())


def converted(method="qcfs", threshold=0.5):
    """Two convolutions with a pooled, converted activation between them; weights of one, thresholds told apart."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), QCFS(4, threshold), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 5)
    )
    return convert(model, T=4, method=method)


@pytest.mark.parametrize("method", ["qcfs", SRP(pre=3)])
def test_a_converted_network_adds_its_pooled_spikes_in_every_step(method):
    torch.manual_seed(1)
    net = converted(method)
    fired = []
    node = next(module for module in net.modules() if isinstance(module, ConvertedIF))
    node.register_forward_hook(lambda m, a, s: fired.append(s))
    x = torch.rand(1, 1, 4, 4) + 0.01
    counter = counted(net, x)
    assert len(fired[0]) == net.T  # pre-simulation included
    assert counter.synops.item() == pytest.approx(fired[0].sum().item() * 5)
    assert counter.macs.item() == net.T * 100 * 2  # a padded 3 x 3 convolution of 4 x 4 reaches 100 positions
    assert counter.updates == net.T * 2 * 16
    assert counter.rates["body.graph.1.node"].item() == pytest.approx(fired[0].mean().item())


def test_thresholds_of_their_own_per_channel_fold_as_well():
    net = converted()
    activation = next(module for module in net.modules() if isinstance(module, SpikingActivation))
    activation.threshold = nn.Parameter(torch.tensor([0.3, 0.7]))
    fired = []
    activation.node.register_forward_hook(lambda m, a, s: fired.append(s))
    counter = counted(net, torch.rand(3, 1, 4, 4))
    assert counter.synops.sum().item() == pytest.approx(fired[0].sum().item() * 5)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.spike, self.last = nn.Linear(36, 36), neuron.IFNode(step_mode="m"), nn.Linear(9, 7)

    def forward(self, s):
        fired = self.spike(3 * self.first(s.flatten(2)))
        pooled = nn.functional.avg_pool2d(fired.view(-1, 1, 6, 6), 2)
        return self.last(pooled.flatten(1)).view(*s.shape[:2], 7)


def test_functions_pass_spikes_on_like_modules():
    torch.manual_seed(0)
    body = Functional()
    net = SpikingNetwork(Direct(T=3), body)
    fired = []
    body.spike.register_forward_hook(lambda m, a, s: fired.append(s))
    counter = counted(net, torch.rand(2, 1, 6, 6))
    assert fired[0].sum() > 10
    assert counter.layers["body.last"].synops.sum().item() == fired[0].sum().item() * 7
    assert counter.layers["body.first"].macs.tolist() == [3 * 36 * 36] * 2


@pytest.mark.parametrize(("builder", "options"), [(cnn, {"channels": (4,), "hidden": 8}), (mlp, {})])
def test_products_of_a_constant_input_are_named_as_repeated(builder, options):
    net = builder((1, 8, 8), 10, encoder=Direct(T=5), **options).eval()
    counter = counted(net, torch.rand(2, 1, 8, 8))
    assert torch.allclose(counter.repeated, counter.macs * 4 / 5)
    assert counted(ann_twin(net).eval(), torch.rand(2, 1, 8, 8)).repeated.tolist() == [0.0, 0.0]


def test_one_sample_of_an_ordinary_network_multiplies_too():
    twin = ann_twin(cnn((1, 8, 8), 10, channels=(4,), hidden=8)).eval()
    counter = counted(twin, torch.rand(1, 1, 8, 8))
    assert (counter.synops.item(), counter.updates, counter.rates) == (0.0, 0, {})
    assert counted(nn.Linear(3, 2), torch.tensor([[1.0, 0.0, -1.0]])).synops.tolist() == [4.0]  # signs only


@pytest.mark.slow
def test_agrees_with_spikingjelly_behind_maximum_pooling():
    """Where every weight meets spikes, and nothing is averaged or padded away, the two counters say the same."""
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Conv2d(1, 4, 3), neuron.IFNode(v_threshold=0.2), layer.MaxPool2d(2), layer.Conv2d(4, 6, 2),
        neuron.IFNode(v_threshold=0.1), layer.Flatten(), layer.Linear(24, 10),
    )  # fmt: skip
    for module in body:
        module.step_mode = "m"
    net = SpikingNetwork(Poisson(T=4, seed=3), body)
    x = torch.rand(2, 1, 8, 8)
    ours = counted(net, x).synops.sum().item()
    net.reseed()
    theirs = SynOpCounter()
    with DispatchCounterMode([theirs]), torch.no_grad():
        net(x)
    assert ours == theirs.get_total() > 1000


class Apply(nn.Module):
    """A function as a layer: no hook knows what it does."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def spikes_and_account(middle, width, x):
    """Spikes of a neuron ``[T, N]``, and the account of the linear layer that sees them through ``middle``."""
    spike = neuron.IFNode(v_threshold=0.5, step_mode="m")
    last = layer.Linear(width, 7, step_mode="m")
    fired = []
    spike.register_forward_hook(lambda m, a, s: fired.append(s.flatten(2).sum(2)))
    net = SpikingNetwork(Direct(T=2), nn.Sequential(spike, middle, last))
    return fired, counted(net, x).layers["body.2"]


def flat(module):
    return nn.Sequential(module, layer.Flatten(step_mode="m"))


EVEN = {
    "adaptive average": (layer.AdaptiveAvgPool2d(2, step_mode="m"), 4),
    "a divisor of one's own": (layer.AvgPool2d(2, divisor_override=3, step_mode="m"), 4),
    "a whole image": (layer.AdaptiveAvgPool2d((1, 1), step_mode="m"), 1),
    "by keyword": (Apply(lambda s: torch.flatten(input=s, start_dim=2)), 16),
    "spikes of another size": (Apply(lambda s: s * 0.25), 16),
}
UNEVEN = {
    "windows of several sizes": (layer.AdaptiveAvgPool2d(3, step_mode="m"), 9),
    "an average without its border": (layer.AvgPool2d(2, padding=1, count_include_pad=False, step_mode="m"), 9),
    "spikes beside averages": (Add(layer.AvgPool2d(3, 1, 1, step_mode="m")), 16),
    "spikes beside values": (Add(layer.AvgPool2d(3, 1, 1, count_include_pad=False, step_mode="m")), 16),
    "sizes of many kinds": (Apply(lambda s: s * torch.tensor([1.0, 0.7, 0.4]).view(-1, 1, 1, 1)), 16),
}


@pytest.mark.parametrize("name", EVEN)
def test_every_spike_counts_whatever_one_spike_has_become(name):
    middle, width = EVEN[name]
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    fired, account = spikes_and_account(flat(middle), width, x)
    assert account.synops.tolist() == pytest.approx((7 * fired[-1].sum(0)).tolist())
    assert account.macs.tolist() == [0.0] * 3


@pytest.mark.parametrize("name", UNEVEN)
def test_values_that_are_no_multiple_of_one_spike_cost_products(name):
    middle, width = UNEVEN[name]
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    seen = []
    middle.register_forward_hook(lambda m, a, s: seen.append((s != 0).flatten(2).sum((0, 2))))
    _, account = spikes_and_account(flat(middle), width, x)
    assert account.macs.tolist() == (7.0 * seen[0]).tolist()
    assert account.synops.tolist() == [0.0] * 3
