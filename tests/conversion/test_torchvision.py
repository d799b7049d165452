"""The graphs of torchvision: residual sums, reused activations, adaptive pooling, flattening."""

import pytest
import torch
import torchvision

from art_snn.conversion import QCFS, SpikingActivation, convert, fold_batch_norm, replace_activations
from art_snn.conversion.thresholds import watched
from art_snn.conversion.tracing import trace
from art_snn.networks import load, save

FAST = ["resnet18"]
SLOW = ["resnet34", "vgg11", "vgg16", "vgg11_bn"]
SITES = {"resnet18": 17, "resnet34": 33, "vgg11": 10, "vgg16": 15, "vgg11_bn": 10}
GRAPHS = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def fresh(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return getattr(torchvision.models, name)(weights=None, num_classes=5).eval()


@pytest.mark.parametrize("name", GRAPHS)
def test_every_layer_is_exact_on_constant_current(name, tmp_path):
    model, L = fresh(name), 4
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match=r"a MaxPool2d.*max_pool='average'"):
        trace(model)
    quantized = replace_activations(model, L, max_pool="average", calibration=x)
    assert len(quantized.layer_steps((QCFS,))) == SITES[name]
    net = convert(quantized, T=L)
    graph = fold_batch_norm(quantized)
    seen = watched(graph, x, (QCFS,))
    spiking = {s.name: net.body.graph.get_submodule(s.target) for s in net.body.graph.layer_steps((SpikingActivation,))}
    assert spiking.keys() == seen.keys()
    for step in graph.layer_steps((QCFS,)):
        z = seen[step.name]
        theta = graph.get_submodule(step.target).threshold
        place = z / theta * L + 0.5
        clear = (place - place.round()).abs() > 1e-4 * L
        rate = spiking[step.name](z.repeat(L, *[1] * (z.dim() - 1))).unflatten(0, (L, -1)).mean(0)
        wanted = graph.get_submodule(step.target)(z)
        assert int(((rate - wanted).abs() > 1e-5 * theta)[clear].sum()) == 0
    assert torch.equal(load(save(net, tmp_path / "net.safetensors"))(x), net(x))


def test_the_first_layer_of_a_running_network_is_exact():
    quantized = replace_activations(fresh("resnet18"), 4, max_pool="average", calibration=torch.rand(2, 3, 32, 32))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    net, seen = convert(quantized, T=4), []
    activation = net.body.graph.get_submodule("relu")
    hook = activation.register_forward_hook(lambda _, __, out: seen.append(out))
    net(x)
    hook.remove()
    folded = fold_batch_norm(quantized)
    wanted = folded.get_submodule("relu")(watched(folded, x, (QCFS,))["relu"])
    mean = seen[0].unflatten(0, (4, 2)).mean(0)
    assert float(((mean - wanted).abs() > 1e-5).double().mean()) < 1e-4


@pytest.mark.parametrize("name", GRAPHS)
def test_folding_keeps_the_logits(name):
    graph = trace(fresh(name), max_pool="average")
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(fold_batch_norm(graph)(x), graph(x), atol=1e-5, rtol=1e-5)


def test_the_graph_runs_like_the_model():
    model = fresh("resnet18")
    model.maxpool = torch.nn.AvgPool2d(3, 2, 1)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(trace(model)(x), model(x))
    assert trace(model).state_dict().keys() == model.state_dict().keys()
