"""The twin of a network of event frames takes the same frames and sees their mean."""

import torch

from art_snn.coding import EventFrames
from art_snn.networks import ann_twin, load, mlp, save


def test_it_sees_the_mean_over_time(tmp_path):
    net = mlp((2, 4, 4), 3, hidden=(8,), encoder=EventFrames(T=5))
    twin = ann_twin(net)
    x = torch.rand(6, 5, 2, 4, 4)
    assert twin(x).shape == net(x).shape == (6, 3)
    assert torch.equal(twin(x), twin.body(x.mean(1)))
    assert torch.allclose(twin(x), twin(x.flip(1)), atol=1e-6)
    back = load(save(twin, tmp_path / "twin.safetensors"))
    assert torch.equal(back(x), twin(x))
    again = load(save(back, tmp_path / "again.safetensors"))
    assert torch.equal(again(x), twin(x))


def test_other_twins_take_images(tmp_path):
    twin = load(save(ann_twin(mlp((1, 4, 4), 3, hidden=(8,))), tmp_path / "twin.safetensors"))
    assert twin(torch.rand(2, 1, 4, 4)).shape == (2, 3)
