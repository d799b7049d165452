"""Evasion attacks on inner layers, with patches, in video and by transformations."""

from __future__ import annotations

from typing import Any

import numpy as np
from art.attacks import evasion as e
from art.attacks.evasion.adversarial_patch.adversarial_patch_numpy import AdversarialPatchNumpy
from art.attacks.evasion.adversarial_patch.adversarial_patch_pytorch import AdversarialPatchPyTorch
from art.attacks.evasion.feature_adversaries.feature_adversaries_pytorch import FeatureAdversariesPyTorch

from art_matrix.registry import case
from art_matrix.stage import EPS, Stage, onehot


@case("FeatureAdversariesPyTorch")
def feature_adversaries(stage: Stage) -> None:
    clf = stage.clf()
    x, _ = stage.samples(4)
    guide = stage.samples(8)[0][4:]
    attack = FeatureAdversariesPyTorch(clf, delta=EPS, layer=stage.layer, max_iter=20, step_size=0.05, batch_size=4,
                                       verbose=False)  # fmt: skip
    found = attack.generate(x, guide)
    stage.images(found, x)
    far, near = (_distance(clf, v, guide, stage.layer) for v in (x, found))
    stage.holds(near < far, f"the distance in the layer went from {far:.4g} to {near:.4g}")


def _distance(clf: Any, x: Any, guide: Any, layer: str) -> float:
    a, b = (clf.get_activations(v, layer, batch_size=8) for v in (x, guide))
    return float(((a - b) ** 2).sum())


@case("FeatureAdversariesNumpy")
def feature_adversaries_numpy(stage: Stage) -> None:
    clf = stage.clf()
    guide = stage.samples(2)[0][1:]
    x, _ = stage.samples(1)
    found = e.FeatureAdversariesNumpy(clf, delta=EPS, layer=clf.layer_names.index(stage.layer), batch_size=1).generate(
        x, guide, maxiter=1
    )
    stage.images(found, x)
    far, near = (_distance(clf, v, guide, stage.layer) for v in (x, found))
    stage.holds(near < far, f"the distance in the layer went from {far:.4g} to {near:.4g}")


@case("FrameSaliencyAttack")
def frame_saliency(stage: Stage) -> None:
    clf = stage.clf(kind="video")
    inner = e.FastGradientMethod(clf, eps=EPS, batch_size=4)
    for method, number in (("iterative_saliency", 4), ("iterative_saliency_refresh", 1), ("one_shot", 4)):
        attack = e.FrameSaliencyAttack(clf, inner, method=method, frame_index=1, batch_size=4, verbose=False)
        stage.evade(attack, clf, number, "video", eps=EPS)


@case("FrameSaliencyAttack", name="refresh, several samples")
def frame_saliency_batch(stage: Stage) -> None:
    clf = stage.clf(kind="video")
    inner = e.FastGradientMethod(clf, eps=EPS, batch_size=4)
    attack = e.FrameSaliencyAttack(
        clf, inner, method="iterative_saliency_refresh", frame_index=1, batch_size=4, verbose=False
    )
    stage.evade(attack, clf, 4, "video", eps=EPS)


@case("OverTheAirFlickeringPyTorch")
def over_the_air(stage: Stage) -> None:
    clf = stage.clf(kind="video")
    attack = e.OverTheAirFlickeringPyTorch(clf, eps_step=0.1, max_iter=8, beta_0=0.0, batch_size=4, verbose=False)
    stage.evade(attack, clf, 4, "video")


@case("CompositeAdversarialAttackPyTorch")
def composite(stage: Stage) -> None:
    clf = stage.clf(kind="color")
    attack = e.CompositeAdversarialAttackPyTorch(
        clf, pgd_epsilon=(-EPS, EPS), max_iter=2, max_inner_iter=3, batch_size=4, verbose=False
    )
    stage.evade(attack, clf, 4, "color")


PATCH = {"rotation_max": 5.0, "scale_min": 0.5, "scale_max": 0.7, "learning_rate": 0.5, "max_iter": 10, "batch_size": 8}


def _patched(stage: Stage, attack: Any, clf: Any) -> None:
    x, y = stage.samples(8)
    patch, mask = attack.generate(x, y=onehot(y))
    stage.holds(
        bool(np.isfinite(patch).all()) and mask.shape[-2:] == (8, 8), "patch not finite, or mask of a wrong shape"
    )
    found = attack.apply_patch(x, scale=0.6)
    stage.images(found, x)
    before, after = (stage.losses(clf, v, y).mean() for v in (x, found))
    stage.holds(after > before, f"the loss did not rise: {before:.4g} before, {after:.4g} after")


@case("AdversarialPatch")
def patch(stage: Stage) -> None:
    clf = stage.clf()
    _patched(stage, e.AdversarialPatch(clf, patch_shape=(1, 8, 8), targeted=False, verbose=False, **PATCH), clf)


@case("AdversarialPatchPyTorch")
def patch_torch(stage: Stage) -> None:
    clf = stage.clf()
    attack = AdversarialPatchPyTorch(
        clf, patch_shape=(1, 8, 8), patch_type="square", targeted=False, verbose=False, **PATCH
    )
    _patched(stage, attack, clf)


@case("AdversarialPatchNumpy")
def patch_numpy(stage: Stage) -> None:
    clf = stage.clf()
    _patched(stage, AdversarialPatchNumpy(clf, targeted=False, verbose=False, **PATCH), clf)


SMALL: dict[str, Any] = {
    "rotation_range": (-2, 2), "gamma_range": (1.0, 1.1), "crop_percent_range": (-0.001, 0.001),
    "off_x_range": (-0.001, 0.001), "off_y_range": (-0.001, 0.001), "blur_kernels": [0],
}  # fmt: skip


@case("GRAPHITEWhiteboxPyTorch")
def graphite_white(stage: Stage) -> None:
    clf = stage.clf(kind="color")
    attack = e.GRAPHITEWhiteboxPyTorch(
        clf, net_size=(8, 8), min_tr=0.9, num_xforms=6, steps=3, first_steps=10, step_size=0.1, **SMALL
    )
    x, y = stage.samples(1, "color")
    found = attack.generate(x, y=onehot((y + 1) % 10))
    stage.images(found, x)
    stage.holds(not np.array_equal(found, x), "nothing was changed")


@case("GRAPHITEBlackbox")
def graphite_black(stage: Stage) -> None:
    clf = stage.clf(kind="color")
    attack = e.GRAPHITEBlackbox(
        clf, noise_size=(8, 8), net_size=(8, 8), heatmap_mode="Random", num_xforms_mask=4, num_xforms_boost=2,
        num_boost_queries=100, **SMALL,
    )  # fmt: skip
    x, y = stage.samples(6, "color")
    other = next(k for k in range(1, 6) if y[k] != y[0])
    found = attack.generate(x[:1], y=onehot(y[other : other + 1]), x_tar=x[other : other + 1])
    stage.images(found, x[:1])
    stage.holds(not np.array_equal(found, x[:1]), "nothing was changed")


@case("SpatialTransformation")
def spatial(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.SpatialTransformation(
        clf, max_translation=20, num_translations=3, max_rotation=30, num_rotations=3, verbose=False
    )
    stage.evade(attack, clf)


def _beam() -> Any:
    from art.attacks.evasion.laser_attack.laser_attack import LaserBeam

    return LaserBeam.from_array([780, 3.14, 8, 8]), LaserBeam.from_array([380, 0, 0, 1])


def _lit(stage: Stage, attack: Any) -> None:
    x, y = stage.samples(2, "last")
    found = attack.generate(x, y=y)
    stage.holds(found is not None and np.isfinite(found).all(), "not finite")


@case("LaserBeamAttack")
def laser_beam(stage: Stage) -> None:
    from art.attacks.evasion.laser_attack.laser_attack import LaserBeamAttack

    high, low = _beam()
    _lit(stage, LaserBeamAttack(stage.clf(kind="last"), 2, max_laser_beam=high, min_laser_beam=low))


@case("LaserAttack")
def laser(stage: Stage) -> None:
    from art.attacks.evasion.laser_attack.laser_attack import LaserBeamGenerator

    high, low = _beam()
    generator = LaserBeamGenerator(low, high, 2)
    _lit(stage, e.LaserAttack(stage.clf(kind="last"), 2, laser_generator=generator))
