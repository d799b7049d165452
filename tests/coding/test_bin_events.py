"""Raw events into frames."""

import pytest
import torch

from art_snn.coding import bin_events, project_events


def recording(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda most: torch.randint(0, most, (n,), generator=generator)  # noqa: E731
    return draw(1000), draw(6), draw(4), draw(2)


@pytest.mark.parametrize("by", ["time", "count"])
def test_counts_are_preserved_in_any_order(by):
    t, x, y, p = recording()
    frames = bin_events(t, x, y, p, 7, (4, 6), by=by)
    assert frames.shape == (7, 2, 4, 6)
    assert frames.sum() == 200
    assert frames[:, 1].sum() == p.sum()
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert torch.equal(bin_events(t[order], x[order], y[order], p[order], 7, (4, 6), by=by), frames)
    binary = bin_events(t, x, y, p, 7, (4, 6), by=by, binary=True)
    assert torch.equal(binary, (frames > 0).float())


def test_equal_count_frames():
    t, x, y, p = recording()
    t = torch.arange(200)
    sizes = bin_events(t, x, y, p, 8, (4, 6), by="count").sum((1, 2, 3))
    assert sizes.tolist() == [25.0] * 8


def test_last_edge_belongs_to_the_last_frame_and_empty_is_empty():
    zero = torch.zeros(1, dtype=torch.long)
    assert bin_events(zero, zero, zero, zero, 3, (1, 1))[0].sum() == 1
    none = torch.zeros(0)
    assert bin_events(none, none, none, none, 3, (2, 2)).sum() == 0


def test_errors():
    one = torch.ones(1, dtype=torch.long)
    with pytest.raises(ValueError, match="outside the frame"):
        bin_events(one, one * 9, one, one, 2, (2, 2))
    with pytest.raises(ValueError, match="'time' or 'count'"):
        bin_events(one, one, one, one, 2, (2, 2), by="size")


def test_projected_events_are_their_counts_with_and_without_a_gradient():
    t, x, y, p = recording()
    counts = bin_events(t, x, y, p, 7, (4, 6), span=(0, 1000))
    moving = t.double().requires_grad_(True)
    for times in (t.double(), moving):
        frames = project_events(times, x, y, p, 7, (4, 6), span=(0, 1000))
        assert torch.equal(frames.detach(), counts)
        assert frames.requires_grad == times.requires_grad
