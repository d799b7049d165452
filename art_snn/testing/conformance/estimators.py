"""Is this classifier the one that ART's attacks think it is?"""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from art_snn.evaluation.flags.rebuild import rebuilt
from art_snn.testing.conformance.contracts import Contracts, global_streams, maker, raised

ESTIMATOR = Contracts("estimator")
"""What a conforming estimator keeps."""

Array = np.ndarray[Any, np.dtype[Any]]
_SAMPLES = 7
_RTOL, _ATOL = 1e-4, 1e-5


@dataclass(frozen=True)
class EstimatorCase:
    """A classifier under examination, samples and index labels."""

    make: Callable[[], Any]
    x: Array
    y: Array

    def fresh(self) -> Any:
        """A classifier whose random streams stand at their beginning."""
        return rewound(self.make())

    @property
    def one_hot(self) -> Array:
        """Labels as rows."""
        return np.eye(int(self.make().nb_classes), dtype=np.float32)[self.y]


def rewound(classifier: Any) -> Any:
    """The classifier, its network's random streams at their beginning."""
    if callable(getattr(classifier.model, "reseed", None)):
        classifier.model.reseed()
    return classifier


def check_estimator(
    classifier: Any, x: Array | None = None, y: Array | None = None, *, unless: Collection[str] = ()
) -> tuple[str, ...]:
    """Check every contract of an ART classifier around a spiking network.

    :param classifier: an ART ``PyTorchClassifier`` or ``SNNClassifier``, or a function that makes one.
    :param x: samples ``[N, *input_shape]``, at least two; random ones within the clip values by default.
    :param y: their labels, indices; random by default.
    :param unless: names of contracts that it does not claim to keep.
    :return: names of the contracts that it keeps.
    :raises ConformanceError: naming each broken contract and its repair.
    :raises TypeError: if ``classifier`` is no PyTorch classifier.
    :raises ValueError: for an unknown name in ``unless``.

    >>> from torch import nn
    >>> from art_snn import Direct, SNNClassifier
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 4, 4), 3, hidden=(8,), encoder=Direct(T=2))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 3, clip_values=(0.0, 1.0), device_type="cpu")
    >>> "rebuilt" in check_estimator(clf)
    True
    """
    make = maker(classifier, PyTorchClassifier)
    first = make()
    inputs = sample_inputs(first) if x is None else np.asarray(x, dtype=np.float32)
    labels = np.random.default_rng(1).integers(0, first.nb_classes, len(inputs)) if y is None else np.asarray(y)
    return ESTIMATOR.check(EstimatorCase(make, inputs, labels), type(first).__name__, unless)


def sample_inputs(classifier: Any, number: int = _SAMPLES) -> Array:
    """Random samples within the clip values; zeros and ones for a code that takes no others."""
    low, high = (0.0, 1.0) if classifier.clip_values is None else (np.min(v) for v in classifier.clip_values)
    rng = np.random.default_rng(0)
    u = rng.random((number, *classifier.input_shape), dtype=np.float32)
    if getattr(getattr(classifier.model, "encoder", None), "binary_input", False):
        return (u < 0.5).astype(np.float32)
    return (low + (high - low) * u).astype(np.float32)


def _near(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=_RTOL, atol=_ATOL))


def _apart(a: Array, b: Array) -> int:
    """Samples on which two results differ."""
    return int((~np.isclose(a, b, rtol=_RTOL, atol=_ATOL)).reshape(len(a), -1).any(1).sum())


def _surprising(number: int, samples: int) -> bool:
    """Whether more samples differ than rounding explains: it can flip a spike of one in twenty."""
    return number > max(1, samples // 20)


@ESTIMATOR.contract("predict", "finite float32 logits [N, K] from predict(x), and from ART's predict(x, y=...)",
                    "accept **kwargs in predict, and return float32")  # fmt: skip
def _predict(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    z = clf.predict(case.x)
    if z.shape != (len(case.x), clf.nb_classes) or z.dtype != np.float32 or not np.isfinite(z).all():
        return f"{z.dtype} of shape {z.shape}, {int((~np.isfinite(z)).sum())} not finite"
    again = rewound(clf).predict(case.x, y=case.y, batch_size=2)
    return None if again.shape == z.shape else f"shape {again.shape} with labels given"


@ESTIMATOR.contract(
    "loss gradient", "a finite gradient of the shape of x that is not zero, for indices and one-hot rows alike",
    "keep the surrogate in eval mode, and reduce one-hot rows as the loss wants them",
)  # fmt: skip
def _loss_gradient(case: EstimatorCase) -> str | None:
    by_index, by_row = (case.fresh().loss_gradient(case.x, y) for y in (case.y, case.one_hot))
    if by_index.shape != case.x.shape or not np.isfinite(by_index).all():
        return f"shape {by_index.shape}, {int((~np.isfinite(by_index)).sum())} values not finite"
    if not by_index.any():
        return "a gradient that is zero everywhere"
    return None if _near(by_index, by_row) else "other gradients for one-hot rows"


@ESTIMATOR.contract(
    "class gradient", "[N, K, *] for all classes, [N, 1, *] for one or for one per sample",
    "implement label=None, an int and an array, as ART's PyTorchClassifier does",
)  # fmt: skip
def _class_gradient(case: EstimatorCase) -> str | None:
    classes = case.make().nb_classes
    whole = case.fresh().class_gradient(case.x)
    single, own = case.fresh().class_gradient(case.x, label=1), case.fresh().class_gradient(case.x, label=case.y)
    shapes = [whole.shape[1], single.shape[1], own.shape[1]]
    if shapes != [classes, 1, 1] or any(g.shape[2:] != case.x.shape[1:] for g in (whole, single, own)):
        return f"shapes {whole.shape}, {single.shape}, {own.shape}"
    picked = whole[np.arange(len(case.x)), case.y]
    return (
        None if _near(single[:, 0], whole[:, 1]) and _near(own[:, 0], picked) else "single classes that differ from all"
    )


@ESTIMATOR.contract(
    "compute loss", "reductions none, mean and sum that agree, and a loss object that keeps its own",
    "set loss.reduction for the call only, and put it back in finally",
)  # fmt: skip
def _compute_loss(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    before = clf._loss.reduction
    losses = [rewound(clf).compute_loss(case.x, case.one_hot, reduction=r) for r in ("none", "mean", "sum")]
    each, mean, total = (np.asarray(loss) for loss in losses)
    if each.shape != (len(case.x),) or not _near(each.mean(), mean) or not _near(each.sum(), total):
        return f"none {each.shape}, mean {mean}, sum {total}, which do not agree"
    return None if clf._loss.reduction == before else "a loss whose reduction was changed"


@ESTIMATOR.contract(
    "true gradient",
    "the gradient of the module itself, by autograd",
    "put everything that counts inside the module's forward",
)
def _true_gradient(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    grad = clf.loss_gradient(case.x, case.one_hot)
    rewound(clf).model.eval()
    leaf = torch.tensor(case.x, device=clf.device, requires_grad=True)
    prepared, _ = clf._apply_preprocessing(leaf, y=None, fit=False, no_grad=False)
    if not isinstance(prepared, torch.Tensor):
        return None
    loss = clf._loss(clf.model(prepared), torch.as_tensor(case.y, device=clf.device))
    expected = torch.autograd.grad(loss, leaf)[0].cpu().numpy()
    return None if _near(grad, expected) else "loss_gradient that is not autograd's"


@ESTIMATOR.contract(
    "rebuilt", "the same logits and gradients from the PyTorchClassifier that ART's attacks rebuild around the module",
    "move resets, codes, averaging and policies from the estimator into the module",
)  # fmt: skip
def _rebuilt(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    plain = rebuilt(clf)
    z, grad = clf.predict(case.x), rewound(clf).loss_gradient(case.x, case.one_hot)
    if _surprising(_apart(rewound(plain).predict(case.x), z), len(z)):
        return "other logits"
    again = rewound(plain).loss_gradient(case.x, case.one_hot)
    return "other gradients" if _surprising(_apart(again, grad), len(z)) else None


@ESTIMATOR.contract(
    "no traces", "a call that leaves nothing behind: the same logits twice, and after a gradient",
    "reset every state before and after a forward pass, also when an exception passes",
)  # fmt: skip
def _no_traces(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    first = clf.predict(case.x)
    if not _near(rewound(clf).predict(case.x), first):
        return "other logits at the second call"
    clf.loss_gradient(case.x, case.one_hot)
    return None if _near(rewound(clf).predict(case.x), first) else "other logits after a gradient"


@ESTIMATOR.contract(
    "batches", "logits that do not depend on batch size and order, for a deterministic network",
    "no statistics over the batch in eval mode, no state from sample to sample",
)  # fmt: skip
def _batches(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    if getattr(clf.model, "is_stochastic", False):
        return None
    whole = clf.predict(case.x)
    turned = clf.predict(case.x[::-1].copy())[::-1]
    for what, z in {"one by one": clf.predict(case.x, batch_size=1), "in reverse": turned}.items():
        if _surprising(_apart(z, whole), len(whole)):
            return f"other logits {what}"
    return None


@ESTIMATOR.contract(
    "modes", "eval mode in predict and gradients, weights and their .grad untouched, generators left alone",
    "take gradients for the input only: torch.autograd.grad(loss, x)",
)  # fmt: skip
def _modes(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    weights = {name: value.clone() for name, value in clf.model.state_dict().items()}
    before = global_streams()
    clf.model.train()
    clf.predict(case.x)
    if clf.model.training:
        return "training mode after predict"
    clf.loss_gradient(case.x, case.one_hot)
    if clf.model.training:
        return "training mode after a gradient"
    if any(p.grad is not None and bool(p.grad.any()) for p in clf.model.parameters()):
        return "parameters with a .grad from loss_gradient"
    if any(not torch.equal(value, weights[name]) for name, value in clf.model.state_dict().items()):
        return "weights or buffers that changed"
    return None if global_streams() == before else "a global generator that moved"


@ESTIMATOR.contract("pure", "samples and labels that are not modified", "copy before writing")
def _pure(case: EstimatorCase) -> str | None:
    x, y = case.x.copy(), case.one_hot.copy()
    clf = case.fresh()
    clf.predict(x)
    clf.loss_gradient(x, y)
    clf.class_gradient(x)
    return None if np.array_equal(x, case.x) and np.array_equal(y, case.one_hot) else "samples or labels that changed"


@ESTIMATOR.contract(
    "bad input", "a ValueError for NaN, an empty batch, a wrong shape and wrong labels",
    "check samples and labels at the edge: art_snn.estimators.checks does",
)  # fmt: skip
def _bad_input(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    spoiled = case.x.copy()
    spoiled.reshape(-1)[0] = np.nan
    cases = {
        "NaN": lambda: clf.predict(spoiled), "an empty batch": lambda: clf.predict(case.x[:0]),
        "a wrong shape": lambda: clf.predict(case.x[..., :-1]),
        "NaN, for a gradient": lambda: clf.loss_gradient(spoiled, case.y),
        "a label out of range": lambda: clf.loss_gradient(case.x, case.y + clf.nb_classes),
        "a label too few": lambda: clf.loss_gradient(case.x, case.y[:-1]),
    }  # fmt: skip
    for what, call in cases.items():
        wrong = raised(call, ValueError)
        if wrong:
            return f"{wrong} for {what}"
    return None


@ESTIMATOR.contract(
    "copies", "deepcopy and pickle that predict alike, also after a gradient",
    "clear states and graphs after each call; no closures on modules",
)  # fmt: skip
def _copies(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    clf.loss_gradient(case.x, case.one_hot)
    copied, restored = copy.deepcopy(clf), pickle.loads(pickle.dumps(clf))  # noqa: S301 - pickled on this line
    expected = rewound(clf).predict(case.x)
    for what, twin in (("deepcopy", copied), ("pickle", restored)):
        if not _near(rewound(twin).predict(case.x), expected):
            return f"other logits from a {what}"
    return None


@ESTIMATOR.contract(
    "clone", "clone_for_refitting with the same architecture and other weights, where there is an optimizer",
    "give layers a reset_parameters method",
)  # fmt: skip
def _clone(case: EstimatorCase) -> str | None:
    clf = case.fresh()
    if clf._optimizer is None:
        return None
    before = clf.predict(case.x)
    with torch.random.fork_rng(devices=[]):
        clone = clf.clone_for_refitting()
        clone.fit(case.x, case.one_hot, nb_epochs=1, batch_size=len(case.x))
    if not _near(rewound(clf).predict(case.x), before):
        return "a classifier that learns when its clone is fitted"
    same = all(torch.equal(a, b) for a, b in zip(clf.model.parameters(), clone.model.parameters(), strict=True))
    return "the same weights in the clone" if same else None


@ESTIMATOR.contract("saved", "save and load that bring the weights back", "keep every weight in the state_dict")
def _saved(case: EstimatorCase) -> str | None:
    clf, other = case.fresh(), case.fresh()
    expected = clf.predict(case.x)
    if not callable(getattr(other, "load", None)):
        return None
    with tempfile.TemporaryDirectory() as folder:
        clf.save("conformance", folder)
        with torch.no_grad():
            for parameter in other.model.parameters():
                parameter.add_(0.5)
        other.load("conformance", folder)
    return None if _near(rewound(other).predict(case.x), expected) else "other logits from loaded weights"
