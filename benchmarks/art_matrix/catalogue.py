"""What the installed ART has, found by looking, and why some of it does not meet a PyTorch image classifier.

A class of ART that has neither a case nor a reason here is a failure of the program: it is reported as not covered.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PACKAGES: dict[str, tuple[str, ...]] = {
    "evasion": ("art.attacks.evasion",),
    "poisoning": ("art.attacks.poisoning",),
    "extraction": ("art.attacks.extraction",),
    "inference": ("art.attacks.inference",),
    "preprocessor": ("art.defences.preprocessor", "art.preprocessing"),
    "postprocessor": ("art.defences.postprocessor",),
    "trainer": ("art.defences.trainer",),
    "transformer": ("art.defences.transformer",),
    "detector": ("art.defences.detector",),
    "metric": ("art.metrics",),
    "evaluation": ("art.evaluations", "art.summary_writer"),
    "certification": ("art.estimators.certification",),
    "wrapper": ("art.estimators.classification",),
}

_BASES: dict[str, tuple[str, ...]] = {
    "evasion": ("art.attacks.attack.EvasionAttack",),
    "poisoning": ("art.attacks.attack.Attack",),
    "extraction": ("art.attacks.attack.ExtractionAttack",),
    "inference": ("art.attacks.attack.InferenceAttack", "art.attacks.attack.ReconstructionAttack"),
    "preprocessor": ("art.defences.preprocessor.preprocessor.Preprocessor",),
    "postprocessor": ("art.defences.postprocessor.postprocessor.Postprocessor",),
    "trainer": ("art.defences.trainer.trainer.Trainer",),
    "transformer": ("art.defences.transformer.transformer.Transformer",),
    "detector": (
        "art.defences.detector.evasion.evasion_detector.EvasionDetector",
        "art.defences.detector.poison.poison_filtering_defence.PoisonFilteringDefence",
    ),
    "metric": (),
    "evaluation": ("art.evaluations.evaluation.Evaluation", "art.summary_writer.SummaryWriter"),
    "certification": ("art.estimators.estimator.BaseEstimator",),
    "wrapper": ("art.estimators.classification.classifier.ClassifierMixin",),
}
_EXTRA = {"ShadowModels": "inference"}
"""Not derived from a base class of their kind."""

AUDIO = "for sound"
DETECTION = "for object detectors or trackers"
TENSORFLOW = "for TensorFlow or Keras"
TREES = "for models of scikit-learn, or trees"
GENERATOR = "attacks generative models"
BASE = "a base class"
OWN_LAYERS = "an estimator that needs networks of ART's own layers"
OTHER = "wraps models of another library"

NOT_FOR_CLASSIFIERS: dict[str, str] = {
    **dict.fromkeys(
        ("CarliniWagnerASR", "ImperceptibleASR", "ImperceptibleASRPyTorch", "Mp3Compression", "Mp3CompressionPyTorch",
         "Resample", "LFilter", "LFilterPyTorch"), AUDIO,
    ),
    **dict.fromkeys(
        ("AdversarialTexturePyTorch", "DPatch", "RobustDPatch", "OverloadPyTorch", "SNAL", "PyTorchObjectSeeker",
         "BadDetGlobalMisclassificationAttack", "BadDetObjectDisappearanceAttack", "BadDetObjectGenerationAttack",
         "BadDetRegionalMisclassificationAttack"), DETECTION,
    ),
    **dict.fromkeys(
        ("AdversarialPatchTensorFlowV2", "FeatureAdversariesTensorFlowV2", "MalwareGDTensorFlow",
         "HiddenTriggerBackdoorKeras",
         "ProjectedGradientDescentTensorFlowV2", "PoisoningAttackAdversarialEmbedding", "NeuralCleanse",
         "FunctionallyEquivalentExtraction", "CutMixTensorFlowV2", "CutoutTensorFlowV2", "MixupTensorFlowV2",
         "SpatialSmoothingTensorFlowV2", "EoTImageRotationTensorFlow", "EoTBrightnessTensorFlow",
         "EoTContrastTensorFlow",
         "EoTGaussianNoiseTensorFlow", "EoTShotNoiseTensorFlow", "EoTZoomBlurTensorFlow", "ImageResizeTensorFlowV2",
         "ImageSquarePadTensorFlowV2", "StandardisationMeanStdTensorFlow", "TensorFlowV2DeRandomizedSmoothing",
         "TensorFlowV2MACER", "TensorFlowV2SmoothAdv", "TensorFlowV2RandomizedSmoothing", "KerasClassifier",
         "TensorFlowV2Classifier"), TENSORFLOW,
    ),
    **dict.fromkeys(
        ("DecisionTreeAttack", "HighConfidenceLowUncertainty", "PoisoningAttackSVM", "DatabaseReconstruction",
         "AttributeInferenceWhiteBoxDecisionTree", "AttributeInferenceWhiteBoxLifestyleDecisionTree"), TREES,
    ),
    **dict.fromkeys(("BackdoorAttackDGMReDTensorFlowV2", "BackdoorAttackDGMTrailTensorFlowV2"), GENERATOR),
    **dict.fromkeys(("PixelThreshold", "ProjectedGradientDescentCommon"), BASE),
    **dict.fromkeys(("VideoCompression", "VideoCompressionPyTorch"), "needs the ffmpeg program"),
    **dict.fromkeys(
        ("PytorchDeepZ", "PyTorchIBPClassifier", "AdversarialTrainerCertifiedPytorch",
         "AdversarialTrainerCertifiedIBPPyTorch"), OWN_LAYERS,
    ),
    **dict.fromkeys(
        ("GPyGaussianProcessClassifier", "CatBoostARTClassifier", "LightGBMClassifier", "XGBoostClassifier",
         "HuggingFaceClassifierPyTorch"), OTHER,
    ),
    "PyTorchClassifier": "the estimator itself",
}  # fmt: skip

NOT_IMPORTABLE: dict[str, str] = {
    "art.attacks.poisoning.perturbations.audio_perturbations": "librosa",
    "art.estimators.certification.derandomized_smoothing.vision_transformers.pytorch": "timm",
}
"""Modules of ART that need a package which is no use to a spiking classifier."""


@dataclass(frozen=True)
class Found:
    """A class or function of ART."""

    name: str
    module: str
    kind: str


def discover() -> tuple[list[Found], list[str]]:
    """Everything of the kinds above, and the modules that cannot be imported for an unknown reason."""
    found: dict[str, Found] = {}
    broken: list[str] = []
    for kind, packages in PACKAGES.items():
        for name, thing in _members(packages, broken):
            function = kind == "metric" and inspect.isfunction(thing) and not name.startswith("_")
            concrete = inspect.isclass(thing) and not inspect.isabstract(thing)
            if function or (concrete and _is_a(thing, kind, name)):
                found.setdefault(name, Found(name, thing.__module__, kind))
    return sorted(found.values(), key=lambda one: (list(PACKAGES).index(one.kind), one.name)), broken


def _is_a(thing: type, kind: str, name: str) -> bool:
    bases = {f"{base.__module__}.{base.__qualname__}" for base in thing.__mro__[1:]}
    mixin = name.endswith("Mixin") or name.startswith("Classifier")
    plain = not name.startswith("Scikitlearn") and not mixin
    return _EXTRA.get(name) == kind or (plain and bool(bases & set(_BASES[kind])))


def _members(packages: tuple[str, ...], broken: list[str]) -> Iterator[tuple[str, Any]]:
    for package in packages:
        root = importlib.import_module(package)
        inner = pkgutil.walk_packages(root.__path__, package + ".") if hasattr(root, "__path__") else ()
        for module in (package, *(info.name for info in inner)):
            try:
                members = vars(importlib.import_module(module))
            except ImportError as error:
                if module not in NOT_IMPORTABLE:
                    broken.append(f"{module}: {error}")
                continue
            for name, thing in list(members.items()):
                if getattr(thing, "__module__", "").startswith(package):
                    yield name, thing


def gaps(covered: set[str]) -> list[str]:
    """What is wrong with the catalogue: nothing, or classes without a case, and entries that ART no longer has."""
    found, broken = discover()
    names = {one.name for one in found}
    wrong = [
        f"{one.kind}: {one.module}.{one.name} has neither a case nor a reason"
        for one in found
        if one.name not in covered and one.name not in NOT_FOR_CLASSIFIERS
    ]
    wrong += [f"{name} is covered and excused at once" for name in sorted(covered & set(NOT_FOR_CLASSIFIERS))]
    wrong += [f"ART has no {name} (any more)" for name in sorted((covered | set(NOT_FOR_CLASSIFIERS)) - names)]
    return wrong + [f"cannot be imported: {line}" for line in broken]
