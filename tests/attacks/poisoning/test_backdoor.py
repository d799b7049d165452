"""Poisoned data sets, and a backdoor that opens."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.poisoning import (
    StaticTrigger,
    learn_dynamic_trigger,
    measure_backdoor,
    poison_dataset,
    ssim,
)
from art_snn.coding import EventFrames, MembraneMean
from art_snn.networks import mlp


def task(samples, seed):
    """Three classes on 6 x 6 pixels, four frames: which third of the rows is active."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples)
    x = rng.random((samples, 4, 2, 6, 6)) < 0.02
    for row, label in enumerate(y):
        x[row, :, :, 2 * label : 2 * label + 2, :4] |= rng.random((4, 2, 2, 4)) < 0.4
    return x.astype(np.float32), y


def network():
    return mlp((2, 6, 6), 3, hidden=(24,), encoder=EventFrames(T=4), decoder=MembraneMean(tau=1.0))


def trained(x, y, epochs=8):
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(torch.tensor(x[rows])), torch.tensor(y[rows])).backward()
            optimizer.step()
    return SNNClassifier(net.eval(), nn.CrossEntropyLoss(), (4, 2, 6, 6), 3, clip_values=(0, 1), device_type="cpu")


@given(share=st.floats(0, 0.5), target=st.integers(0, 2), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_counts_are_exact_and_the_target_class_is_left_out(share, target, seed):
    x, y = task(40, 1)
    data = poison_dataset(x, y, StaticTrigger(0.2), target, share, seed)
    clean = np.setdiff1d(np.arange(40), data.rows)
    assert len(data.rows) == int(share * 40 + 1e-9)
    assert (y[data.rows] != target).all()
    assert (data.y[data.rows] == target).all()
    assert np.array_equal(data.x[data.rows], StaticTrigger(0.2)(x[data.rows]))
    assert np.array_equal(data.x[clean], x[clean])
    assert np.array_equal(data.y[clean], y[clean])
    again = poison_dataset(x, y, StaticTrigger(0.2), target, share, seed)
    assert np.array_equal(again.rows, data.rows)


def test_nothing_poisoned_is_the_data_set_itself_and_misuse_is_explained():
    x, y = task(12, 0)
    data = poison_dataset(x, y, StaticTrigger(), 0, 0.0)
    assert np.array_equal(data.x, x)
    assert np.array_equal(data.y, y)
    for share, labels in ((1.5, y), (1.0, y), (0.1, np.eye(3)[y])):
        with pytest.raises(ValueError, match="Fix"):
            poison_dataset(x, labels, StaticTrigger(), 0, share)
    with pytest.raises(ValueError, match="Fix"):
        measure_backdoor(None, x, np.zeros(12), StaticTrigger(), 0)


def test_a_backdoor_opens_for_the_trigger_and_for_nothing_else():
    (x, y), (x_test, y_test) = task(160, 1), task(100, 2)
    trigger = StaticTrigger(0.34, place="bottom_right")
    data = poison_dataset(x, y, trigger, 1, 0.15)
    honest, bad = trained(x, y), trained(data.x, data.y)
    before, after = (measure_backdoor(m, x_test, y_test, trigger, 1) for m in (honest, bad))
    assert before.clean_accuracy > 0.95
    assert before.success_rate < 0.1
    assert after.clean_accuracy > 0.9
    assert after.success_rate > 0.9
    assert after.false_alarms < 0.1
    assert after.samples == (y_test != 1).sum()
    assert after.added_events + after.deleted_events <= 4 * 4 * 2
    assert after.mse == pytest.approx((after.added_events + after.deleted_events) / (4 * 2 * 36))


def test_a_learned_pattern_opens_more_than_it_would_by_chance():
    (x, y), (x_test, y_test) = task(160, 1), task(100, 2)
    few = [learn_dynamic_trigger(network(), x[:32], y[:32], 1, gamma=0.1, epochs=1) for _ in range(2)]
    assert np.array_equal(few[0](x_test), few[1](x_test))
    trigger = learn_dynamic_trigger(network(), x, y, 1, gamma=0.1, epochs=3)
    assert set(np.unique(trigger(x_test))) == {0.0, 1.0}
    honest, data = trained(x, y), poison_dataset(x, y, trigger, 1, 0.15)
    opened = measure_backdoor(trained(data.x, data.y), x_test, y_test, trigger, 1)
    assert opened.added_events == int(0.1 * 288)
    assert opened.success_rate > 0.9
    assert opened.clean_accuracy > measure_backdoor(honest, x_test, y_test, trigger, 1).clean_accuracy - 0.1


def test_structural_similarity_in_closed_form():
    rng = np.random.default_rng(0)
    a = rng.random((2, 3, 10, 10))
    assert ssim(a, a) == pytest.approx(1.0)
    assert ssim(a, rng.random(a.shape)) < 0.2
    flat, bright = np.full((1, 9, 9), 0.2), np.full((1, 9, 9), 0.6)
    assert ssim(flat, bright) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))
