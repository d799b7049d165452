"""A no-reference quality regressor: the distortion of a real digit is to be told from the image alone."""

import numpy as np
import pytest
import torch
from art.estimators.regression.pytorch import PyTorchRegressor
from torch import nn

from art_snn.defenses.trainer import GradientNorm, PlainTrainer, SparseGradient, linf_ascent


def distorted(images, seed):
    """Noise and blur of a known level in [0, 1]; the quality is one minus the level."""
    rng = np.random.default_rng(seed)
    level = rng.random(len(images)).astype(np.float32)
    shape = (-1, 1, 1, 1)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    blurred = sum(padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 9
    mixed = (1 - level.reshape(shape)) * images + level.reshape(shape) * blurred
    noisy = mixed + 0.3 * level.reshape(shape) * rng.normal(size=images.shape)
    return noisy.clip(0, 1).astype(np.float32), 1 - level


def regressor(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 1),
        )  # fmt: skip
    return PyTorchRegressor(
        net, nn.MSELoss(), (1, 8, 8), torch.optim.Adam(net.parameters(), lr=2e-3), clip_values=(0.0, 1.0),
        device_type="cpu",
    )  # fmt: skip


def score_change(reg, x, eps=0.02, source=None):
    """Largest change of the score that an ascent finds, up or down, per image; ``source`` lends its gradients."""
    net, t = reg.model.eval(), torch.tensor(x)
    guide = net if source is None else source.model.eval()
    with torch.no_grad():
        calm = net(t)[:, 0]
    found = torch.zeros(len(x))
    for sign in (1.0, -1.0):
        moved = linf_ascent(
            lambda p, s=sign: s * guide(p).sum(), t, eps, eps / 8, 40, (0.0, 1.0), torch.Generator().manual_seed(0)
        )
        with torch.no_grad():
            found = torch.maximum(found, (net(moved)[:, 0] - calm).abs())
    return found.numpy()


@pytest.fixture(scope="module")
def quality(digits):
    """Training images and their quality, test images and theirs."""
    return *distorted(digits[0][:900], 0), *distorted(digits[2], 1)


class PlainTrainerOfNumbers(PlainTrainer):
    accepts = GradientNorm.accepts


@pytest.fixture(scope="module")
def pair(quality):
    """A plainly trained regressor and one trained with the penalty."""
    plain, regular = regressor(), regressor()
    PlainTrainerOfNumbers(plain).fit(*quality[:2], nb_epochs=6)
    GradientNorm(regular, beta=0.1).fit(*quality[:2], nb_epochs=6)
    return plain, regular


def test_the_penalty_shrinks_the_change_of_an_attacked_score(pair, quality):
    plain, regular = pair
    x, q = quality[2:]
    correlation = [np.corrcoef(reg.predict(x)[:, 0], q)[0, 1] for reg in pair]
    assert correlation[0] > 0.8
    assert correlation[1] > correlation[0] - 0.05
    assert score_change(regular, x).mean() < 0.25 * score_change(plain, x).mean()


def test_it_is_not_the_attack_that_fails(pair, quality):
    """Perturbations made on the plain regressor, whose gradient nobody touched, change the score no more."""
    plain, regular = pair
    own, lent = score_change(regular, quality[2]), score_change(regular, quality[2], source=plain)
    assert lent.mean() < 1.05 * own.mean()


def test_the_score_of_a_regressor_is_minus_its_squared_error(quality):
    reg = regressor()
    x, q = quality[:2]
    score = GradientNorm(reg).validate(torch.tensor(x), torch.tensor(q), batch_size=100)["validation_clean"]
    assert score == pytest.approx(-float(((reg.predict(x)[:, 0] - q) ** 2).mean()), rel=1e-5)


def test_weight_zero_is_plain_training(quality, same_weights):
    one, two = regressor(), regressor()
    GradientNorm(one, beta=0.0, validation=0.0).fit(*quality[:2], nb_epochs=1)
    PlainTrainerOfNumbers(two, validation=0.0).fit(*quality[:2], nb_epochs=1)
    assert same_weights(one, two)


def test_the_step_bounds_the_change_to_first_order(quality):
    """Within a step as small as h, no attack finds more than eps times the l1 norm, but for curvature."""
    from art_snn.defenses.trainer import input_gradient_l1

    reg, x = regressor(), quality[2][:40]
    reg.model.eval()
    norm = input_gradient_l1(lambda p: reg.model(p)[:, 0], torch.tensor(x), 1e-3).detach().numpy()
    assert (score_change(reg, x, eps=1e-3) <= 1.02 * 1e-3 * norm + 1e-6).all()


def test_classifiers_only_where_a_label_is_needed(quality):
    with pytest.raises(TypeError, match="PyTorchClassifier"):
        SparseGradient(regressor())
    with pytest.raises(ValueError, match="finite numbers"):
        GradientNorm(regressor()).fit(quality[0], np.full(len(quality[0]), np.nan))
