"""A spiking network as an ART classifier."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art import config
from art.data_generators import DataGenerator, PyTorchDataGenerator
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn
from tqdm.auto import trange

from art_snn.conversion.encoders import warn_redeployed
from art_snn.errors import explain
from art_snn.estimators.activations import TIME_REDUCTIONS, layer_names, record, resolve_layer
from art_snn.estimators.checks import check_input, check_labels
from art_snn.estimators.probe import probe_gradient
from art_snn.estimators.saved import read_saved
from art_snn.gradients.base import GradientPolicy
from art_snn.networks.spiking_network import SpikingNetwork


class SNNClassifier(PyTorchClassifier):
    """ART's ``PyTorchClassifier`` for a :class:`~art_snn.SpikingNetwork`; same signature, same behavior, its known gaps
    closed.

    Gradients are taken on the input only, in eval mode, and labels may be indices or one-hot. Everything that makes the
    network spiking lives in the module, so estimators that ART's attacks rebuild around ``classifier.model`` see the
    same numbers.

    :param model: the spiking network.
    :param loss: the loss; a ``CrossEntropyLoss`` or a loss with a ``reduction`` attribute.
    :param input_shape: shape of one sample.
    :param nb_classes: number of classes.
    :param optimizer: needed for :meth:`fit` only.
    :param clip_values: range of valid inputs.
    :param preprocessing: ``(mean, std)``. Only for codes of unbounded domain (``Direct``): a spike code needs raw
        intensities.
    :param use_amp: mixed precision by apex, where there is a GPU.
    :param opt_level: of apex, ``O0`` to ``O3``.
    :param loss_scale: of apex: a number, or ``dynamic``.
    :param channels_first: whether channels come before height and width.
    :param preprocessing_defences: ART defenses in front of the network.
    :param postprocessing_defences: ART defenses behind it.
    :param device_type: ``gpu`` where there is one, or ``cpu``.
    :raises TypeError: if ``model`` is not a ``SpikingNetwork``.
    :raises ValueError: if standardization would precede a spike code, or the network has no gradient at all.
    :warns EncoderWarning: for the body of a converted network behind another encoder than it was converted for.

    The remaining parameters are ART's own.

    >>> from art_snn.coding import Latency
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10, encoder=Latency(T=8))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> clf.predict(np.zeros((2, 1, 8, 8), dtype=np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        input_shape: tuple[int, ...],
        nb_classes: int,
        optimizer: torch.optim.Optimizer | None = None,
        use_amp: bool = False,
        opt_level: str = "O1",
        loss_scale: float | str | None = "dynamic",
        channels_first: bool = True,
        clip_values: Any = None,
        preprocessing_defences: Any = None,
        postprocessing_defences: Any = None,
        preprocessing: Any = (0.0, 1.0),
        device_type: str = "gpu",
    ) -> None:
        if not isinstance(model, SpikingNetwork):
            fix = "SNNClassifier(SpikingNetwork(Direct(T=8), body, MembraneMean()), ...)"
            raise TypeError(explain(f"a {type(model).__name__} as model", "a SpikingNetwork", fix))
        if use_amp:
            fix = "leave it off, and wrap calls in torch.autocast where the spikes stay the same"
            raise ValueError(
                explain("use_amp=True", "use_amp=False: ART's mixed precision needs the abandoned apex", fix)
            )
        super().__init__(
            model=model, loss=loss, input_shape=tuple(input_shape), nb_classes=nb_classes, optimizer=optimizer,
            use_amp=use_amp, opt_level=opt_level, loss_scale=loss_scale, channels_first=channels_first,
            clip_values=clip_values, preprocessing_defences=preprocessing_defences,
            postprocessing_defences=postprocessing_defences, preprocessing=preprocessing, device_type=device_type,
        )  # fmt: skip
        self._check_preprocessing()
        self._layer_names = layer_names(model)
        for message in probe_gradient(model, self._prepared_shape(), clip_values):
            warnings.warn(message, stacklevel=2)
        warn_redeployed(model, stacklevel=3)

    def _check_preprocessing(self) -> None:
        encoder = self.model.encoder
        mean, std = getattr(self.preprocessing, "mean", 0.0), getattr(self.preprocessing, "std", 1.0)
        if encoder.domain is not None and not (np.all(np.asarray(mean) == 0) and np.all(np.asarray(std) == 1)):
            fix = "normalize inside the network's body, or use the Direct code"
            came = f"preprocessing with mean={mean}, std={std} in front of a {type(encoder).__name__} code"
            raise ValueError(explain(came, f"raw intensities in {encoder.domain}", fix))

    def _prepared_shape(self) -> tuple[int, ...]:
        """Shape of one sample after preprocessing, which may change it."""
        if self.preprocessing_defences is None:
            return self.input_shape
        low = 0.0 if self.clip_values is None else self.clip_values[0]
        blank = np.broadcast_to(low, (1, *self.input_shape)).astype(np.float32)
        return tuple(self._prepared(blank).shape[1:])

    def set_params(self, **kwargs: Any) -> None:
        """Set parameters as ART does; the same standardization is refused as when the classifier is built.

        :raises ValueError: for an unknown parameter, or standardization in front of a spike code.
        """
        before = self.preprocessing
        super().set_params(**kwargs)
        try:
            self._check_preprocessing()
        except ValueError:
            super().set_params(preprocessing=before)
            raise

    @contextmanager
    def gradient(self, policy: GradientPolicy) -> Iterator[SNNClassifier]:
        """Take gradients under ``policy`` inside the context: the same as ``classifier.model.gradient(policy)``."""
        with self.model.gradient(policy):
            yield self

    def at_spikes(self) -> SNNClassifier:
        """The same classifier seen after its encoder: its input is the spike train, batch first ``[N, T, *]``.

        Network and loss are shared. Clip values are (0, 1) for a binary code and those of this classifier otherwise.
        """
        net: SpikingNetwork = self.model
        with torch.no_grad():
            blank = torch.zeros((1, *self.input_shape), device=self.device)
            train = copy.deepcopy(net).encode(blank)
        shape = (train.shape[0], *train.shape[2:])
        clip = (0.0, 1.0) if net.encoder.is_binary else self._prepared_clip_values()
        return SNNClassifier(
            net.at_spikes(), self.loss, shape, self.nb_classes, clip_values=clip, device_type=self._device_type
        )

    def _prepared_clip_values(self) -> tuple[float, float] | None:
        """The clip values after preprocessing: what an analog code passes on."""
        if self.clip_values is None:
            return None
        corners = [np.broadcast_to(v, (1, *self.input_shape)).astype(np.float32) for v in self.clip_values]
        low, high = (self._prepared(corner) for corner in corners)
        return float(torch.minimum(low, high).min()), float(torch.maximum(low, high).max())

    def _input(self, x: Any, *, strict: bool = False) -> Any:
        integers = self.model.encoder.integer_input
        return check_input(x, self.input_shape, self.clip_values, integers=integers, strict=strict)

    def _labels(self, y: Any, samples: int) -> Any:
        return check_labels(y, samples, self.nb_classes)

    def _prepared(self, x: Any) -> Tensor:
        """ART's preprocessing of a checked input, as a tensor on the device, without gradient."""
        prepared, _ = self._apply_preprocessing(x, y=None, fit=False)
        return torch.as_tensor(prepared, device=self.device)

    def predict(self, x: Any, batch_size: int = 128, training_mode: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
        """Logits ``[N, nb_classes]``, float32.

        :param x: samples ``[N, *input_shape]``; float64 is cast, integers are refused for image codes.
        :param batch_size: samples per forward pass; the result does not depend on it.
        :param training_mode: run in training mode. The mode stays set, as in ART.
        :raises TypeError: for an unusable dtype.
        :raises ValueError: for a wrong shape, an empty batch, non-finite values, or a range beyond ten times that of
            the clip values.
        :warns RangeWarning: for a range far from the clip values.
        """
        self._model.train(mode=training_mode)
        batches = self._prepared(self._input(x)).split(max(int(batch_size), 1))
        with torch.no_grad():
            z = torch.cat([self.model(batch) for batch in batches])
        return self._apply_postprocessing(preds=z.float().cpu().numpy(), fit=False)

    def fit(self, x: Any, y: Any, batch_size: int = 128, nb_epochs: int = 10, **kwargs: Any) -> None:
        """ART's training loop, on checked input. Shuffling draws from torch's generator, as in ART.

        :param x: training samples.
        :param y: index or one-hot labels.
        :param kwargs: ``training_mode``, ``drop_last``, ``scheduler`` and ``verbose`` as in ART.
        :raises ValueError: for unusable samples or labels, or without an optimizer.
        """
        if self._optimizer is None:
            fix = "SNNClassifier(..., optimizer=torch.optim.Adam(net.parameters()))"
            raise ValueError(explain("fit without an optimizer", "an optimizer of the network's parameters", fix))
        x = self._input(x, strict=True)
        super().fit(x, self._labels(y, len(x)), batch_size=batch_size, nb_epochs=nb_epochs, **kwargs)

    def fit_generator(self, generator: Any, nb_epochs: int = 20, verbose: bool = False, **kwargs: Any) -> None:
        """Train on the batches of a generator, each through :meth:`fit`.

        :param generator: an ART data generator. One epoch is a whole pass over the loader of a
            ``PyTorchDataGenerator``, with index or one-hot labels, and ``size / batch_size`` batches of any other.
        :param kwargs: handed to :meth:`fit`.
        :raises TypeError: if ``generator`` is no ART data generator.
        :raises ValueError: for unusable samples or labels, or without an optimizer.
        """
        if not isinstance(generator, DataGenerator):
            fix = "PyTorchDataGenerator(loader, size=len(dataset), batch_size=64)"
            raise TypeError(explain(f"a {type(generator).__name__}", "one of art.data_generators", fix))
        for _ in trange(nb_epochs, disable=not verbose, desc="Epochs"):
            for x, y in self._epoch(generator):
                self.fit(x, y, batch_size=len(x), nb_epochs=1, **kwargs)

    @staticmethod
    def _epoch(generator: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(generator, PyTorchDataGenerator):
            for x, y in generator.iterator:
                yield np.asarray(x), np.asarray(y)
        else:
            for _ in range(math.ceil(generator.size / generator.batch_size)):
                yield generator.get_batch()

    def compute_loss(self, x: Any, y: Any, reduction: str = "none", **kwargs: Any) -> Any:
        """Loss of each sample, or its mean or sum; arguments as in ART, and the loss keeps its own reduction.

        :raises ValueError: for unusable samples or labels.
        """
        x = self._input(x)
        y = self._labels(y, len(x))
        before = self._loss.reduction
        try:
            return super().compute_loss(x, y, reduction=reduction, **kwargs)
        finally:
            self._loss.reduction = before

    def loss_gradient(self, x: Any, y: Any, training_mode: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
        r"""Gradient of the loss with respect to ``x``, same kind and shape as ``x``.

        The loss is reduced as the loss object says (a mean divides by the batch size, as in ART). Parameters keep their
        ``.grad``.

        :param x: array or tensor of samples.
        :param y: index or one-hot labels.
        :raises ValueError: for unusable samples or labels, or if there is no gradient.
        """
        x = self._input(x)
        y = self._labels(y, len(x))
        self._model.train(mode=training_mode)
        source, inputs, y = self._differentiable(x, y)
        labels = torch.as_tensor(self.reduce_labels(self._rows(y)), device=self.device)
        loss = self._loss(self.model(inputs), labels)
        return self._delivered(x, self._input_gradient(loss, source))

    def class_gradient(self, x: Any, label: Any = None, training_mode: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
        """Gradient of logits with respect to ``x``: ``[N, nb_classes, *]``, or ``[N, 1, *]`` for given labels.

        :param x: array or tensor of samples.
        :param label: ``None`` for all classes, an int for one, or one per sample.
        :raises ValueError: for unusable samples, or a label out of range.
        """
        x = self._input(x)
        self._model.train(mode=training_mode)
        source, inputs, _ = self._differentiable(x, None)
        z = self.model(inputs)
        if label is None:
            grads = self._all_class_gradients(z, source)
        else:
            picked = np.broadcast_to(self._labels(np.atleast_1d(label), np.size(label)), (len(x),))
            index = torch.tensor(np.array(picked), dtype=torch.long, device=z.device)
            grads = self._input_gradient(z.gather(1, index[:, None]).sum(), source)[:, None]
        parts = [self._delivered(x, grads[:, k]) for k in range(grads.shape[1])]
        return torch.stack(parts, 1) if isinstance(x, Tensor) else np.stack(parts, 1)

    def _all_class_gradients(self, z: Tensor, source: Tensor) -> Tensor:
        eye = torch.eye(self.nb_classes, device=z.device, dtype=z.dtype)
        each = eye[:, None, :].expand(self.nb_classes, *z.shape)
        try:
            grads = torch.autograd.grad(z, source, each, retain_graph=True, is_grads_batched=True)[0]
        except RuntimeError:
            grads = torch.stack([torch.autograd.grad(z, source, one, retain_graph=True)[0] for one in each])
        return grads.transpose(0, 1)

    def _differentiable(self, x: Any, y: Any) -> tuple[Tensor, Tensor, Any]:
        """The leaf the gradient is for, what the model gets, and the preprocessed labels."""
        if self.all_framework_preprocessing:
            source = torch.as_tensor(x, device=self.device).detach().clone().requires_grad_(True)
            if y is not None and isinstance(y, np.ndarray):
                y = torch.as_tensor(y, device=self.device)
            inputs, y = self._apply_preprocessing(source, y=y, fit=False, no_grad=False)
            return source, inputs, y
        if isinstance(x, Tensor):
            fix = "pass a numpy array, or use preprocessors of the PyTorch kind"
            raise NotImplementedError(explain("a tensor, and numpy preprocessing", "both of one kind", fix))
        prepared, y = self._apply_preprocessing(x, y=y, fit=False, no_grad=True)
        source = torch.as_tensor(prepared, device=self.device).clone().requires_grad_(True)
        return source, source, y

    def _rows(self, y: Any) -> Any:
        """Labels as one-hot rows, which is what ART's label reduction expects."""
        if len(y.shape) == 2 and y.shape[1] == self.nb_classes:
            return y
        indices = torch.as_tensor(y).long().reshape(-1)
        rows = torch.nn.functional.one_hot(indices, self.nb_classes).float()
        return rows if isinstance(y, Tensor) else rows.numpy()

    def _input_gradient(self, value: Tensor, source: Tensor) -> Tensor:
        grad = torch.autograd.grad(value, source, allow_unused=True)[0] if value.requires_grad else None
        if grad is None:
            fix = "give every part a backward pass; art_snn.coding's encoders have one"
            raise ValueError(explain("an output that does not depend on the input", "a differentiable path", fix))
        return grad

    def _delivered(self, x: Any, grad: Tensor) -> Any:
        if isinstance(x, Tensor):
            return grad
        array = grad.detach().cpu().numpy()
        return array if self.all_framework_preprocessing else self._apply_preprocessing_gradient(x, array)

    def get_activations(
        self, x: Any, layer: int | str | None = None, batch_size: int = 128, framework: bool = False, time: str = "mean"
    ) -> Any:
        """Output of an inner layer, samples first.

        :param x: array or tensor of samples.
        :param layer: a name from :attr:`layer_names` (dotted: ``body.2``), or an index into it.
        :param batch_size: samples per forward pass.
        :param framework: return a tensor with its graph instead of an array.
        :param time: ``mean`` over steps (default), the ``last`` step, or ``none``: all steps, ``[N, T, *]``.
        :raises TypeError: if ``layer`` is neither a name nor an index.
        :raises ValueError: for an unknown layer or reduction, or unusable samples.
        """
        name = resolve_layer(self._layer_names, layer)
        if time not in TIME_REDUCTIONS:
            raise ValueError(explain(f"time={time!r}", f"one of {TIME_REDUCTIONS}", "time='mean'"))
        x = self._input(x)
        self._model.eval()
        if framework:
            prepared, _ = self._apply_preprocessing(x, y=None, fit=False, no_grad=False)
            return record(self.model, name, torch.as_tensor(prepared, device=self.device), time)
        with torch.no_grad():
            batches = self._prepared(x).split(max(int(batch_size), 1))
            return torch.cat([record(self.model, name, batch, time) for batch in batches]).cpu().numpy()

    def clone_for_refitting(self) -> SNNClassifier:
        """A classifier of the same architecture with fresh weights and a fresh optimizer of the same kind.

        :raises ValueError: without an optimizer.
        """
        if self._optimizer is None:
            raise ValueError(
                explain("a classifier without optimizer", "one to clone for refitting", "pass optimizer=...")
            )
        model = copy.deepcopy(self.model)
        kind = type(self._optimizer)
        known = inspect.signature(kind.__init__).parameters
        defaults = {key: value for key, value in self._optimizer.defaults.items() if key in known}
        clone = type(self)(
            model, self._loss, self.input_shape, self.nb_classes, optimizer=kind(model.parameters(), **defaults),
            channels_first=self.channels_first, clip_values=self.clip_values, device_type=self._device_type,
        )  # fmt: skip
        clone.reset()
        params = self.get_params()
        for name in ("model", "optimizer"):
            params.pop(name)
        clone.set_params(**params)
        return clone

    def load(self, filename: str, path: str | None = None) -> None:
        """Read back what :meth:`save` wrote: the weights, and the optimizer's state where there is one.

        :param filename: name given to :meth:`save`.
        :param path: folder given to :meth:`save`; ART's data folder by default.
        :raises FileNotFoundError: if there is no such file.
        """
        stem = Path(path if path is not None else config.ART_DATA_PATH) / filename
        read_saved(stem, self.model, self._optimizer, self.device)

    def __getstate__(self) -> dict[str, Any]:
        state = {
            key: value for key, value in self.__dict__.items() if key not in ("_model", "_model_wrapper", "_device")
        }
        return {**state, "_inner_model": self.model, "_device_name": str(self._device)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        model, device = state.pop("_inner_model"), torch.device(state.pop("_device_name"))
        self.__dict__.update(state)
        self._device = device if device.type == "cpu" or torch.cuda.is_available() else torch.device("cpu")
        self._model = self._make_model_wrapper(model).to(self._device)
