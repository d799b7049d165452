"""Reliability flags: was the attack able to work at all?

Severity ``E`` invalidates a model's numbers: they are printed as "invalid", never as robustness. Severity ``W`` is a
warning that stands beside the number. Each flag stores its value, its threshold and what to do.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from art_snn.evaluation.attacks import ATTACK_DRAWS, averaged

Array = np.ndarray[Any, np.dtype[Any]]
Outcomes = dict[tuple[str, float], Array]

ZERO_GRADIENT_SHARE = 0.01
BLACK_BOX_SLACK = 0.002
BUDGET_DUST = 1e-5
GRADIENT_SAMPLES = 64


@dataclass(frozen=True)
class Flag:
    """One check of one model.

    :param id: ``E1``, ``W2``, ...; the documentation has a page for each.
    :param raised: whether the check failed.
    :param value: what was measured.
    :param threshold: the limit it was held against.
    :param text: what it means and what to do.
    """

    id: str
    raised: bool
    value: float
    threshold: float
    text: str

    @property
    def page(self) -> str:
        """Where the documentation explains the flag."""
        return f"docs/flags.md#{self.id.lower()}"

    @property
    def invalidates(self) -> bool:
        """Whether the flag makes a number worthless when raised."""
        return self.id.startswith("E")

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def gradient_flag(classifier: PyTorchClassifier, x: Array, y: Array, eps: float, seed: int) -> Flag:
    """E1: gradients exist, are finite and non-zero, at the samples and at a random point of their ball."""
    rows = slice(0, GRADIENT_SAMPLES)
    generator = np.random.default_rng(seed)
    near = x[rows] + generator.uniform(-eps, eps, size=x[rows].shape).astype(np.float32)
    points = np.concatenate(
        [x[rows], near if classifier.clip_values is None else np.clip(near, *classifier.clip_values)]
    )
    labels = np.concatenate([y[rows], y[rows]])
    share = _dead_share(classifier, points.astype(np.float32), labels)
    text = (
        "gradients of the cross-entropy are missing, zero or not finite, so gradient attacks fail: "
        "give every part a backward pass, and scale down logits that saturate"
    )
    return Flag("E1", share > ZERO_GRADIENT_SHARE, share, ZERO_GRADIENT_SHARE, text)


def _dead_share(classifier: PyTorchClassifier, x: Array, y: Array) -> float:
    device = classifier.device
    with averaged(classifier.model, ATTACK_DRAWS):
        classifier.model.eval()
        inputs = torch.as_tensor(x, device=device).requires_grad_(True)
        z = classifier.model(inputs)
        loss = torch.nn.functional.cross_entropy(z, torch.as_tensor(y, device=device), reduction="sum")
        grad = torch.autograd.grad(loss, inputs, allow_unused=True)[0] if loss.requires_grad else None
    if grad is None:
        return 1.0
    right = (z.argmax(1) == torch.as_tensor(y, device=device)).cpu().numpy()
    alive = (torch.isfinite(grad).flatten(1).all(1) & (grad != 0).flatten(1).any(1)).cpu().numpy()
    return float((~alive[right]).mean()) if right.any() else 0.0


def budget_flag(used: float, eps: float) -> Flag:
    """E4: the attacks stayed in their ball and used it."""
    text = "an attack left its budget or hardly used it: check eps, the clip values and where the input is normalized"
    share = used / eps if eps else 1.0
    return Flag("E4", not 0.9 <= share <= 1 + BUDGET_DUST, share, 1.0, text)


def unbounded_flag(accuracy_low: float, chance: float) -> Flag:
    """E5: an attack that may change everything breaks everything."""
    text = "an unbounded attack leaves more than chance accuracy: the attack does not work on this model"
    return Flag("E5", accuracy_low > chance, accuracy_low, chance, text)


def encoder_flag(classifier: PyTorchClassifier) -> Flag:
    """E7: encoder and preprocessors let their gradients through."""
    parts = [getattr(classifier.model, "encoder", None), *classifier.preprocessing_operations]
    hidden = any(bool(getattr(part, "obfuscates", False)) for part in parts)
    text = "a backward pass hides the gradient of the code or of a filter (masked or none): use its default backward"
    return Flag("E7", hidden, float(hidden), 0.0, text)


def clean_flag(accuracy_low: float, majority: float) -> Flag:
    """E8: the model is better than guessing, so that there is something to break."""
    text = "clean accuracy is not above guessing: train the model before you judge its robustness"
    return Flag("E8", accuracy_low <= majority, accuracy_low, majority, text)


def order_flags(accuracy: dict[tuple[str, float], float], knowledge: dict[str, str], samples: int) -> list[Flag]:
    """W1 to W3: iterating helps, white box beats black box, gradients beat noise, at every budget.

    A difference counts from 0.2 points on, and from two samples on where fewer than 1000 are evaluated.

    :param accuracy: accuracy under each attack and budget.
    :param knowledge: what each attack knows: ``white-box``, ``black-box`` or ``none``.
    :param samples: how many samples each accuracy is over.
    """
    slack = max(BLACK_BOX_SLACK, 2 / samples)
    budgets = sorted({eps for _, eps in accuracy if eps > 0})
    gap = {"W1": -np.inf, "W2": -np.inf, "W3": -np.inf}
    for eps in budgets:
        at = {name: value for (name, level), value in accuracy.items() if level == eps}
        iterated = [at[name] for name in at if knowledge[name] == "white-box" and name != "fgsm"]
        white = [*iterated, *(at[name] for name in at if name == "fgsm")]
        black = [at[name] for name in at if knowledge[name] == "black-box"]
        noise = [at[name] for name in at if knowledge[name] == "none"]
        if iterated and "fgsm" in at:
            gap["W1"] = max(gap["W1"], min(iterated) - at["fgsm"])
        if white and black:
            gap["W2"] = max(gap["W2"], min(white) - min(black))
        if white and noise:
            gap["W3"] = max(gap["W3"], min(white) - min(noise))
    texts = {
        "W1": "one step beats many: the step size or the gradient is off",
        "W2": "a black-box attack beats every gradient attack: gradients are masked, quote the worst case only",
        "W3": "noise beats every gradient attack: gradients are masked, or the attack is too weak",
    }
    return [
        Flag(name, bool(value > slack + 1e-9), float(max(value, -1.0)), slack, texts[name])
        for name, value in gap.items()
    ]
