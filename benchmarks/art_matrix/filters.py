"""Pre- and postprocessors, and ART's expectation over transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.defences import postprocessor as post
from art.defences import preprocessor as pre
from art.estimators.classification import PyTorchClassifier
from art.preprocessing import expectation_over_transformation as eot
from art.preprocessing.image.image_resize.numpy import ImageResize
from art.preprocessing.image.image_resize.pytorch import ImageResizePyTorch
from art.preprocessing.image.image_square_pad.numpy import ImageSquarePad
from art.preprocessing.image.image_square_pad.pytorch import ImageSquarePadPyTorch
from art.preprocessing.standardisation_mean_std.numpy import StandardisationMeanStd
from art.preprocessing.standardisation_mean_std.pytorch import StandardisationMeanStdPyTorch
from torch import nn

from art_matrix.registry import case
from art_matrix.stage import EPS, NotForThisCodeError, Stage, onehot
from art_snn import SNNClassifier
from art_snn.coding import Direct
from art_snn.defenses.postprocessor import Softmax
from art_snn.networks import mlp

CLIP: dict[str, Any] = {"clip_values": (0.0, 1.0)}
FIRST: dict[str, Any] = {"channels_first": True}
TORCH: dict[str, Any] = {"device_type": "cpu"}
BOTH: dict[str, Any] = {"apply_fit": True, "apply_predict": True}

PREPROCESSORS: dict[str, Any] = {
    "Cutout": lambda: pre.Cutout(3, **FIRST, **BOTH),
    "CutoutPyTorch": lambda: pre.CutoutPyTorch(3, **FIRST, **TORCH, **BOTH),
    "FeatureSqueezing": lambda: pre.FeatureSqueezing(bit_depth=3, **CLIP, **BOTH),
    "GaussianAugmentation": lambda: pre.GaussianAugmentation(sigma=0.05, augmentation=False, **CLIP, **BOTH),
    "JpegCompression": lambda: pre.JpegCompression(quality=80, **CLIP, **FIRST, **BOTH),
    "SpatialSmoothing": lambda: pre.SpatialSmoothing(window_size=2, **FIRST, **CLIP, **BOTH),
    "SpatialSmoothingPyTorch": lambda: pre.SpatialSmoothingPyTorch(window_size=3, **FIRST, **CLIP, **TORCH, **BOTH),
    "TotalVarMin": lambda: pre.TotalVarMin(prob=0.9, max_iter=2, **CLIP, apply_fit=False, apply_predict=True),
    "ImageResize": lambda: ImageResize(8, 8, **FIRST, **CLIP, **BOTH),
    "ImageResizePyTorch": lambda: ImageResizePyTorch(8, 8, **FIRST, **CLIP, **BOTH),
    "ImageSquarePad": lambda: ImageSquarePad(**FIRST, **CLIP, **BOTH),
    "ImageSquarePadPyTorch": lambda: ImageSquarePadPyTorch(**FIRST, **CLIP, **BOTH),
}
TRAINING_ONLY: dict[str, Any] = {
    "LabelSmoothing": lambda: pre.LabelSmoothing(0.9),
    "CutMix": lambda: pre.CutMix(10, **FIRST),
    "CutMixPyTorch": lambda: pre.CutMixPyTorch(10, **FIRST, **TORCH),
    "Mixup": lambda: pre.Mixup(10),
    "MixupPyTorch": lambda: pre.MixupPyTorch(10, **TORCH),
}
"""These change labels, or mix samples: only while training."""

for title, make in PREPROCESSORS.items():

    @case(title)
    def preprocessor(stage: Stage, make: Any = make, title: str = title) -> None:
        kind = "color" if title == "ImageResize" else "images"
        clf = stage.clf(kind, preprocessing_defences=make())
        x, y = stage.training(96, kind)
        clf.fit(x, y, batch_size=32, nb_epochs=1)
        stage.still_works(clf, kind=kind)
        stage.evade(FastGradientMethod(clf, eps=EPS), clf, kind=kind, eps=EPS, rises=False)
        x, y = stage.samples(4, kind)
        gradient = clf.loss_gradient(x, onehot(y))
        stage.holds(bool((gradient != 0).any()), "the gradient behind the preprocessor is zero")


for title, make in TRAINING_ONLY.items():

    @case(title)
    def mixing(stage: Stage, make: Any = make) -> None:
        clf = stage.clf(preprocessing_defences=make())
        x, y = stage.training(96)
        clf.fit(x, y, batch_size=32, nb_epochs=1)
        stage.still_works(clf)


def _thermometer(stage: Stage) -> Any:
    """A classifier of four channels behind an encoding that makes four of one."""
    defence = pre.ThermometerEncoding(num_space=4, **CLIP, **FIRST)
    net: nn.Module = mlp((4, 8, 8), 10, hidden=(32,), encoder=Direct(T=4))
    if not stage.spiking:
        net = nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    cls = SNNClassifier if stage.spiking else PyTorchClassifier
    clf = cls(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer, preprocessing_defences=defence, device_type="cpu", **CLIP
    )
    x, y = stage.training(200)
    clf.fit(x, y, batch_size=32, nb_epochs=8)
    return clf


@case("ThermometerEncoding")
def thermometer(stage: Stage) -> None:
    stage.still_works(_thermometer(stage))


@case("ThermometerEncoding", name="gradient through it")
def thermometer_gradient(stage: Stage) -> None:
    clf = _thermometer(stage)
    stage.evade(FastGradientMethod(clf, eps=EPS), clf, eps=EPS, rises=False, changes=False)


@case("PixelDefend")
def pixel_defend(stage: Stage) -> None:
    cnn = PyTorchClassifier(_pixel_cnn(), None, (8, 8, 1), 2, device_type="cpu", **CLIP)
    defence = pre.PixelDefend(eps=2, pixel_cnn=cnn, apply_fit=False, apply_predict=True, **CLIP)
    clf = stage.clf(preprocessing_defences=defence)
    x, _ = stage.samples(2)
    answers = clf.predict(x)
    stage.holds(answers.shape == (2, 10) and bool(np.isfinite(answers).all()), "predictions not finite")


def _pixel_cnn() -> Any:
    class Grey(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(64, 64 * 256)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.fc(x.reshape(-1, 64)).reshape(-1, 64 * 256)
            return z

    return Grey()


for title, build in {
    "StandardisationMeanStd": lambda: StandardisationMeanStd(0.3, 0.5),
    "StandardisationMeanStdPyTorch": lambda: StandardisationMeanStdPyTorch(0.3, 0.5, **TORCH),
}.items():

    @case(title)
    def standardisation(stage: Stage, build: Any = build) -> None:
        if stage.victim == "latency":
            raise NotForThisCodeError(
                "a spike code needs raw intensities: SNNClassifier refuses standardization and says so"
            )
        clf = stage.clf(preprocessing=build())
        x, y = stage.training(200)
        clf.fit(x, y, batch_size=32, nb_epochs=5)
        stage.still_works(clf)
        stage.evade(FastGradientMethod(clf, eps=EPS), clf, eps=EPS)


POSTPROCESSORS: dict[str, Any] = {
    "ClassLabels": lambda: post.ClassLabels(), "GaussianNoise": lambda: post.GaussianNoise(0.01),
    "HighConfidence": lambda: post.HighConfidence(0.1), "ReverseSigmoid": lambda: post.ReverseSigmoid(),
    "Rounded": lambda: post.Rounded(2),
}  # fmt: skip

for title, make in POSTPROCESSORS.items():

    @case(title)
    def postprocessor(stage: Stage, make: Any = make) -> None:
        clf = stage.clf(postprocessing_defences=[Softmax(), make()])
        x, y = stage.samples(8)
        answers = clf.predict(x)
        stage.holds(answers.shape == (8, 10) and bool(np.isfinite(answers).all()), f"predictions {answers.shape}")
        stage.holds(float((answers.argmax(1) == y).mean()) > 0.8, "the classes have changed")
        plain = stage.clf()
        same = np.allclose(clf.loss_gradient(x, onehot(y)), plain.loss_gradient(x, onehot(y)), atol=1e-6)
        stage.holds(same, "the postprocessor has changed the gradient")


SAMPLES = 2
EOT: dict[str, Any] = {
    "EoTImageRotationPyTorch": lambda: eot.EoTImageRotationPyTorch(SAMPLES, angles=10.0, **CLIP),
    "EoTImageCenterCropPyTorch": lambda: eot.EoTImageCenterCropPyTorch(SAMPLES, size=1, **CLIP),
    "EoTBrightnessPyTorch": lambda: eot.EoTBrightnessPyTorch(SAMPLES, delta=0.1, **CLIP),
    "EoTContrastPyTorch": lambda: eot.EoTContrastPyTorch(SAMPLES, contrast_factor=0.9, **CLIP),
    "EoTGaussianNoisePyTorch": lambda: eot.EoTGaussianNoisePyTorch(SAMPLES, std=0.05, **CLIP),
    "EoTShotNoisePyTorch": lambda: eot.EoTShotNoisePyTorch(SAMPLES, lam=0.1, **CLIP),
    "EoTZoomBlurPyTorch": lambda: eot.EoTZoomBlurPyTorch(SAMPLES, zoom=1.1, **CLIP),
}
"""Each sample becomes several rows; ``predict`` returns them all. Some want channels last, so all get them."""

for title, make in EOT.items():

    @case(title)
    def expectation(stage: Stage, make: Any = make) -> None:
        clf, plain = stage.clf("last", preprocessing_defences=make()), stage.clf("last")
        x, y = stage.samples(8, "last")
        gradient = clf.loss_gradient(x, onehot(y))
        stage.holds(gradient.shape == x.shape and bool((gradient != 0).any()), f"gradient {gradient.shape}, or zero")
        attack = ProjectedGradientDescent(clf, eps=EPS, eps_step=0.1, max_iter=4, verbose=False)
        found = attack.generate(x, y=onehot(y))
        stage.images(found, x)
        before, after = (stage.losses(plain, v, y).mean() for v in (x, found))
        stage.holds(after > before, f"the loss did not rise: {before:.4g} before, {after:.4g} after")
