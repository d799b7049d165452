"""ART's flickering attack on videos: what it returns, and when."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import OverTheAirFlickeringPyTorch
from torch import nn

EPS_STEP = 0.02


class Bright(nn.Module):
    """Two classes of videos ``[N, F, H, W, C]``: dark and bright."""

    def forward(self, x):
        light = 10 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([-light, light], 1)


@pytest.fixture
def dark(plain):
    """A classifier of videos, and two dark ones that a few bright frames turn."""
    clf = plain(Bright(), (4, 4, 4, 1), 2)
    x = np.full((2, 4, 4, 4, 1), 0.45, dtype=np.float32)
    assert not clf.predict(x).argmax(1).any()
    return clf, x, np.zeros(2, dtype=int)


def attacked(dark, **options):
    clf, x, y = dark
    settings = {"eps_step": EPS_STEP, "batch_size": 2, "verbose": False, **options}
    found = OverTheAirFlickeringPyTorch(clf, **settings).generate(x, y)
    return found, clf.predict(found).argmax(1) != y


def test_rounding_cuts_the_gradient_and_the_video_comes_back_unchanged(dark):
    """Rounding is on the path of the gradient, whose derivative is zero."""
    _, x, _ = dark
    assert attacked(dark, max_iter=20, beta_0=0.0)[1].all()
    found, fooled = attacked(dark, max_iter=20, beta_0=0.0, round_samples=1 / 255)
    assert np.array_equal(found, x)
    assert not fooled.any()


def test_what_fools_is_walked_back_and_only_the_last_step_is_returned(dark):
    """Beyond the margin only the regularization is left, by a full signed step; nothing that fooled is kept."""
    assert [attacked(dark, max_iter=steps)[1].all() for steps in (3, 4, 29, 30)] == [True, False, True, False]
    assert not attacked(dark)[1].any(), "with all defaults"
    assert all(attacked(dark, max_iter=steps, beta_0=0.0)[1].all() for steps in (3, 4, 29, 30))


def test_there_is_no_budget_but_steps_times_step_size(dark):
    """A target that is out of reach moves the whole video as far as there are steps."""
    _, x, _ = dark
    far = np.ones_like(x) * 0.05
    found, _ = attacked((dark[0], far, dark[2]), max_iter=12, beta_0=0.0)
    assert np.abs(found - far).max() == pytest.approx(12 * EPS_STEP, rel=1e-4)
