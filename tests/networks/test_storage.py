"""Networks on disk come back as the same function, or not at all."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, FirstSpike, Latency, MembraneMean, Poisson, SpikeCount
from art_snn.networks import ann_twin, cnn, describe, load, mlp, save

NETWORKS = {
    "mlp": lambda: mlp((1, 8, 8), 10, hidden=(12, 9), encoder=Latency(5, "linear", backward="identity"), seed=3),
    "cnn": lambda: cnn((1, 8, 8), 10, channels=(4,), hidden=8, decoder=MembraneMean(tau=3.0), neuron="plif", tau=1.5),
    "poisson": lambda: mlp((1, 8, 8), 10, hidden=(12,), encoder=Poisson(T=5, seed=4), decoder=FirstSpike(tie="index")),
    "mlp twin": lambda: ann_twin(mlp((1, 8, 8), 10, hidden=(12,), neuron="plif")),
    "cnn twin": lambda: ann_twin(cnn((1, 8, 8), 10, channels=(4,), hidden=8)),
}


def images():
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def trained(net):
    """Weights, statistics and time constants that no builder would give."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand(value.shape, generator=generator))
    return net.eval()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_of_the_zoo_come_back_from_the_file_alone(name, tmp_path):
    net = trained(NETWORKS[name]())
    path = save(net, tmp_path / "deep" / "net.safetensors")
    again = load(path)
    assert type(again) is type(net)
    assert not again.training
    assert torch.equal(again(images()), net(images()))
    assert describe(again) == describe(net)
    assert set(again.state_dict()) == set(net.state_dict())
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_draws_are_part_of_the_network(tmp_path):
    net = mlp((1, 8, 8), 10, encoder=Poisson(T=2))
    net.eot, net.votes = 3, 5
    again = load(save(net, tmp_path / "net"))
    assert (again.eot, again.votes) == (3, 5)


def test_double_precision_is_kept(tmp_path):
    net = trained(mlp((1, 8, 8), 10, hidden=(12,)).double())
    again = load(save(net, tmp_path / "net"))
    assert torch.equal(again(images().double()), net(images().double()))
    assert again(images()).dtype == torch.float64


def own(width=12):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, width), neuron.LIFNode(step_mode="m"), nn.Linear(width, 3))
    return SpikingNetwork(Direct(T=3), body)


def test_a_network_of_ones_own_needs_a_place_to_go(tmp_path):
    net = trained(own())
    path = save(net, tmp_path / "net")
    with pytest.raises(ValueError, match=r"without a recipe.*load\(path, into=net\)"):
        load(path)
    again = load(path, into=own())
    assert torch.equal(again(images()), net(images()))


def test_a_zoo_network_with_a_foreign_part_has_no_recipe(tmp_path):
    net = mlp((1, 8, 8), 10, decoder=SpikeCount(neuron.IFNode(step_mode="m")))
    assert describe(net) is None
    path = save(net, tmp_path / "net")
    with pytest.raises(ValueError, match="without a recipe"):
        load(path)
    load(path, into=net)


@pytest.mark.parametrize("other", [lambda: own(13), lambda: mlp((1, 8, 8), 3), lambda: nn.Linear(2, 2)])
def test_a_misfit_is_named_and_changes_nothing(other, tmp_path):
    path = save(trained(own()), tmp_path / "net")
    target = other()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ValueError, match="the architecture that was saved"):
        load(path, into=target)
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b[:20], lambda b: b"", lambda b: b"\x00" * len(b)])
def test_a_damaged_file(damage, tmp_path):
    path = save(own(), tmp_path / "net")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="a safetensors file"):
        load(path, into=own())


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere"):
        load(tmp_path / "nowhere")


def test_an_unknown_code_in_the_recipe(tmp_path):
    net = mlp((1, 8, 8), 10)
    recipe = describe(net)
    recipe["encoder"]["name"] = "nn"
    save_file(dict(net.state_dict()), tmp_path / "net", metadata={"recipe": json.dumps(recipe)})
    with pytest.raises(ValueError, match="unknown code"):
        load(tmp_path / "net")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        save(own(), tmp_path / "file" / "net")


def test_an_existing_file_is_replaced_whole(tmp_path, monkeypatch):
    path = save(own(), tmp_path / "net")
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(trained(own()), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


def test_the_file_is_plain_safetensors(tmp_path):
    path = save(mlp((1, 8, 8), 10), tmp_path / "net")
    with safe_open(path, framework="pt") as file:
        assert "body.1.weight" in file.keys()  # noqa: SIM118 - not a mapping
        assert json.loads(file.metadata()["recipe"])["builder"] == "mlp"
