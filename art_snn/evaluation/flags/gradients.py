"""E1, E7, E9: is there a gradient, does it pass the code, and do all who ask for it get the same one?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.pool import forced
from art_snn.evaluation.flags.rebuild import rebuilt
from art_snn.evaluation.seeding import derived_seed

Array = np.ndarray[Any, np.dtype[Any]]
_EDGE = 1e-3
_SAME = 1e-5
_ALONE = 6


class GradientExists(Check):
    """E1."""

    id = "E1"
    title = "gradient exists"
    rule = (
        "input gradients are finite, and zero for at most 1 % of the correctly classified samples, at the samples and "
        "at a random point of their ball, for cross-entropy and for the margin"
    )
    threshold = 0.01
    advice = (
        "gradients that are missing, zero or not finite make gradient attacks fail: give every part a backward pass, "
        "and scale down logits that saturate"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The largest share of dead gradients over losses and points; those of other surrogates are details."""
        points = np.concatenate([evidence.x, evidence.near(evidence.x, evidence.eps, derived_seed(evidence.seed, 1))])
        labels = np.concatenate([evidence.y, evidence.y])
        shares = {loss: dead_share(*evidence.gradient(points, labels, loss), labels) for loss in ("ce", "margin")}
        others = {
            f"{name}, {loss}": dead_share(*evidence.gradient(points, labels, loss, policy), labels)
            for name, policy in (evidence.steady_pool if max(shares.values()) > 0 else {}).items()
            for loss in ("ce", "margin")
        }
        found = ", ".join(f"{share:.1%} dead under {loss}" for loss, share in shares.items())
        if shares["ce"] > self.threshold >= shares["margin"]:
            found += (
                ": the cross-entropy is saturated and every attack on it is void, the margin has its gradient: attack "
                "with the margin loss (apgd-margin), or divide the logits by a temperature"
            )
        return Reading(max(shares.values()), samples=len(points), found=found, details={"own": shares, "pool": others})


def dead_share(grad: Array | None, z: Array, y: Array) -> float:
    """Share of the correctly classified samples whose gradient is missing, zero or not finite.

    >>> dead_share(np.array([[0.0], [1.0]]), np.eye(2), np.array([0, 1]))
    0.5
    """
    if grad is None:
        return 1.0
    flat = grad.reshape(len(grad), -1)
    alive = np.isfinite(flat).all(1) & (flat != 0).any(1)
    right = z.argmax(1) == y
    return float((~alive[right]).mean()) if right.any() else 0.0


class EncoderGraph(Check):
    """E7."""

    id = "E7"
    title = "encoder graph"
    rule = (
        "the gradient passes whatever stands in front of the first layer with weights, on more than 99 % of the pixels "
        "that are not saturated; a backward pass named masked or none fails"
    )
    threshold = 0.01
    advice = "the gradient of the code or of a filter is hidden or cut: use its default backward pass"

    def measure(self, evidence: Evidence) -> Reading:
        """The share of pixels whose gradient the front end swallows."""
        model = evidence.model
        parts = [getattr(model, "encoder", None), *evidence.classifier.preprocessing_operations]
        hidden = [type(part).__name__ for part in parts if bool(getattr(part, "obfuscates", False))]
        rules = [f"{type(part).__name__}: {part.backward}" for part in parts if hasattr(part, "backward")]
        model.eval()
        with evidence.drawing(derived_seed(evidence.seed, "code")):
            leaf, prepared = evidence.inputs(evidence.x)
            arrived = front_end(model, prepared)
            if arrived is None and not hidden:
                raise NotApplicableError("no layer with weights was found behind the input")
            grad = None if arrived is None else _pulled_back(arrived, leaf)
        share = swallowed(grad, evidence.x, evidence.classifier.clip_values)
        found = (
            f"backward=masked or none in {', '.join(hidden)}" if hidden else f"{share:.1%} of the pixels are cut off"
        )
        raised = bool(hidden) or share > self.threshold
        return Reading(share, raised, len(evidence.x), found, {"backward": rules})


def front_end(model: nn.Module, x: Tensor) -> Tensor | None:
    """What the first layer with weights is given when ``model`` runs on ``x``, at all steps if it is called at each."""
    first: list[nn.Module] = []
    seen: list[Tensor] = []

    def keep(module: nn.Module, args: Any) -> None:
        if args and isinstance(args[0], Tensor):
            first.append(module)
            if module is first[0] and (not seen or args[0].shape == seen[0].shape):
                seen.append(args[0])

    weighted = [m for m in model.modules() if any(p.dim() > 1 for p in m._parameters.values() if p is not None)]
    handles = [module.register_forward_pre_hook(keep) for module in weighted]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return None if not seen else seen[0] if len(seen) == 1 else torch.stack(seen)


def _pulled_back(arrived: Tensor, leaf: Tensor) -> Array | None:
    if not arrived.requires_grad:
        return None
    generator = torch.Generator().manual_seed(0)
    weights = (torch.rand(arrived.shape, generator=generator) + 0.5).to(arrived)
    grad = torch.autograd.grad((arrived * weights).sum(), leaf, allow_unused=True)[0]
    return None if grad is None else grad.detach().cpu().numpy()


def swallowed(grad: Array | None, x: Array, clip_values: Any) -> float:
    """Share of the unsaturated pixels of ``x`` without gradient; where all are saturated, share of dead samples."""
    if grad is None or grad.shape != x.shape:
        return 1.0 if grad is None else float((grad == 0).mean())
    low, high = (0.0, 1.0) if clip_values is None else (float(np.min(clip_values[0])), float(np.max(clip_values[1])))
    edge = _EDGE * (high - low)
    between = (x > low + edge) & (x < high - edge)
    if between.any():
        return float((grad[between] == 0).mean())
    return float((grad == 0).reshape(len(x), -1).all(1).mean())


class GradientParity(Check):
    """E9."""

    id = "E9"
    title = "gradient path parity"
    rule = (
        "cosine >= 0.999 and norm ratio in [0.99, 1.01] between the gradient of the module with its surrogates forced "
        "on, of estimator.loss_gradient, and of a PyTorchClassifier rebuilt around estimator.model; of a model that is "
        "not random also between single samples and the batch"
    )
    threshold = 0.001
    advice = (
        "attacks that ask in different ways get different gradients: put everything that shapes the gradient inside "
        "the module (a SpikingNetwork keeps its surrogates in eval mode and averages over draws), not "
        "into the estimator"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """1 minus the smallest cosine; norm ratios are details."""
        x, y = evidence.x, evidence.y
        seed = derived_seed(evidence.seed, "paths")
        asked = {"estimator": evidence.classifier, "rebuilt": rebuilt(evidence.classifier)}
        paths: dict[str, Array] = {}
        for name, classifier in asked.items():
            with evidence.drawing(seed, draws=2):
                one_hot = np.eye(classifier.nb_classes, dtype=np.float32)[y]
                paths[name] = np.asarray(classifier.loss_gradient(x, one_hot))
        module = self._module(evidence, seed)
        compared = {name: agreement(module, grad) for name, grad in paths.items()}
        if not evidence.random:
            alone = slice(0, _ALONE)
            one_hot = np.eye(evidence.classifier.nb_classes, dtype=np.float32)[y[alone]]
            each = evidence.classifier.loss_gradient
            single = [np.asarray(each(x[i : i + 1], one_hot[i : i + 1])) for i in range(len(one_hot))]
            compared["one by one"] = alike(paths["estimator"][alone], np.concatenate(single))
        worst = min(cosine for cosine, _ in compared.values())
        ratios = [ratio for _, ratio in compared.values()]
        off = max(abs(ratio - 1) for ratio in ratios)
        details = {name: {"cosine": c, "norm_ratio": r} for name, (c, r) in compared.items()}
        found = ", ".join(f"{name}: cosine {c:.4f}, norm ratio {r:.3f}" for name, (c, r) in compared.items())
        return Reading(1 - worst, worst < 1 - self.threshold or off > 0.01, len(x), found, details)

    @staticmethod
    def _module(evidence: Evidence, seed: int) -> Array:
        classifier, model = evidence.classifier, evidence.model
        labels = torch.as_tensor(evidence.y, device=classifier.device)
        model.eval()

        def run() -> tuple[Tensor, Array]:
            with evidence.drawing(seed, draws=2):
                leaf, prepared = evidence.inputs(evidence.x)
                z = model(prepared)
                one_hot = nn.functional.one_hot(labels, classifier.nb_classes).to(z)
                loss = classifier._loss(z, labels if classifier._reduce_labels else one_hot)
                grad = torch.autograd.grad(loss, leaf, allow_unused=True)[0] if loss.requires_grad else None
                if grad is None:
                    raise ValueError("the module has no input gradient")
                return z.detach(), grad.detach().cpu().numpy()

        plain_logits, plain = run()
        with forced(model):
            logits, grad = run()
        same = torch.allclose(logits, plain_logits, rtol=0.0, atol=_SAME)
        return grad if same else plain


def alike(batch: Array, single: Array) -> tuple[float, float]:
    """:func:`agreement` of directions sample by sample, the median: a mean loss scales with the batch, and rounding at
    a threshold may turn a sample or two.

    >>> alike(np.array([[1.0, 0.0]]), np.array([[4.0, 0.0]]))
    (1.0, 1.0)
    """
    each = [agreement(a, b) for a, b in zip(batch, single, strict=True)]
    return float(np.median([cosine for cosine, _ in each])), float(all(size > 0 for _, size in each) or not batch.any())


def agreement(first: Array, second: Array) -> tuple[float, float]:
    """Cosine and ratio of norms of two gradients of a batch, each taken as one vector; both zero agree.

    >>> agreement(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    (1.0, 2.0)
    """
    a, b = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    size = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if size == (0.0, 0.0):
        return 1.0, 1.0
    if 0.0 in size:
        return 0.0, 0.0 if size[1] == 0.0 else float("1e9")
    return min(1.0, float(a @ b / (size[0] * size[1]))), size[1] / size[0]
