"""The fixtures that ART's test files ask for and its source distribution lacks, for PyTorch alone.

Written from what the test files use. A test whose estimator does not exist for PyTorch ends at once, as in ART; here it
is also marked, so that the run can say how many of the passed tests looked at nothing.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FRAMEWORKS = {
    "dl_frameworks": {"keras", "tensorflow", "tensorflow2", "tensorflow2v1", "pytorch", "kerastf", "jax"},
    "non_dl_frameworks": {"scikitlearn"},
}
TRAINED, TESTED = 1000, 100
EMPTY = "no_estimator"


def not_available(name: str, framework: str) -> Exception:
    from tests.utils import ARTTestFixtureNotImplemented

    return ARTTestFixtureNotImplemented(f"no {name}", name, framework)


@pytest.fixture(scope="session")
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--framework"))


@pytest.fixture(autouse=True)
def obey_marks(request: pytest.FixtureRequest, framework: str) -> None:
    """``only_with_platform``, ``skip_framework`` and ``skip_module``; agnostic tests run, PyTorch is the default."""
    for mark in request.node.iter_markers("only_with_platform"):
        if framework not in mark.args:
            pytest.skip(f"for {', '.join(mark.args)}")
    for mark in request.node.iter_markers("skip_framework"):
        skipped = set(mark.args).union(*(FRAMEWORKS.get(name, set()) for name in mark.args))
        if framework in skipped:
            pytest.skip(f"not for {framework}")
    for mark in request.node.iter_markers("skip_module"):
        for name in mark.args:
            if importlib.util.find_spec(name.partition(".")[0]) is None or importlib.util.find_spec(name) is None:
                pytest.skip(f"{name} is not installed")


@pytest.fixture
def art_warning(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Any:
    """What ART's tests do with their own exceptions: a missing estimator ends the test, quietly."""
    from tests.utils import ARTTestFixtureNotImplemented

    def handle(exception: BaseException) -> None:
        if not isinstance(exception, ARTTestFixtureNotImplemented):
            raise exception
        record_property(EMPTY, str(exception))

    return handle


@pytest.fixture(scope="session")
def default_batch_size() -> int:
    return 16


@pytest.fixture(scope="session")
def default_dataset_subset_sizes() -> tuple[int, int]:
    return TRAINED, TESTED


@pytest.fixture
def mnist_shape() -> tuple[int, ...]:
    return (1, 28, 28)


def _unchanged(name: str, shape: tuple[int, ...] | None = None) -> Iterator[Any]:
    """Hand out a data set and see to it that the test leaves it as it was."""
    from tests.utils import load_dataset

    (x_train, y_train), (x_test, y_test), _, _ = load_dataset(name)
    if shape is not None:
        x_train, x_test = (x.reshape(len(x), *shape).astype(np.float32) for x in (x_train, x_test))
    kept = [a.copy() for a in (x_train, y_train, x_test, y_test)]
    yield (x_train, y_train), (x_test, y_test)
    for before, after in zip(kept, (x_train, y_train, x_test, y_test), strict=True):
        np.testing.assert_array_almost_equal(before, after, decimal=3)


@pytest.fixture
def get_mnist_dataset(mnist_shape: tuple[int, ...]) -> Iterator[Any]:
    yield from _unchanged("mnist", mnist_shape)


@pytest.fixture
def get_iris_dataset() -> Iterator[Any]:
    yield from _unchanged("iris")


@pytest.fixture
def get_diabetes_dataset() -> Iterator[Any]:
    yield from _unchanged("diabetes")


@pytest.fixture
def get_default_mnist_subset(get_mnist_dataset: Any) -> Any:
    (x_train, y_train), (x_test, y_test) = get_mnist_dataset
    return (x_train[:TRAINED], y_train[:TRAINED]), (x_test[:TESTED], y_test[:TESTED])


@pytest.fixture
def image_dl_estimator(framework: str) -> Any:
    def make(functional: bool = False, wildcard: bool = False, **kwargs: Any) -> Any:
        import tests.utils

        if wildcard:
            raise not_available("image estimator with a free shape", framework)
        kind = "get_image_classifier_pt_functional" if functional else "get_image_classifier_pt"
        return getattr(tests.utils, kind)(**kwargs), None

    return make


@pytest.fixture
def image_dl_estimator_defended() -> Any:
    from art.defences.preprocessor import FeatureSqueezing, JpegCompression, SpatialSmoothing

    def make(one_classifier: bool = False, defenses: Any = None, **kwargs: Any) -> Any:
        import tests.utils

        known = {
            "FeatureSqueezing": lambda: FeatureSqueezing(bit_depth=2, clip_values=(0, 1)),
            "JpegCompression": lambda: JpegCompression(clip_values=(0, 1), apply_predict=True, channels_first=True),
            "SpatialSmoothing": lambda: SpatialSmoothing(channels_first=True),
        }
        wanted = ["FeatureSqueezing"] if defenses is None else [name for name in known if name in defenses]
        classifier = tests.utils.get_image_classifier_pt(**kwargs)
        classifier.set_params(preprocessing_defences=[known[name]() for name in wanted])
        return classifier, None

    return make


@pytest.fixture
def image_dl_estimator_for_attack(framework: str, image_dl_estimator: Any, image_dl_estimator_defended: Any) -> Any:
    def make(attack: Any, defended: bool = False, **kwargs: Any) -> Any:
        classifier, _ = (image_dl_estimator_defended if defended else image_dl_estimator)(**kwargs)
        if not all(needed in type(classifier).__mro__ for needed in attack._estimator_requirements):
            raise not_available(f"estimator for {attack.__name__}", framework)
        return classifier

    return make


@pytest.fixture
def estimator_for_attack() -> Any:
    def make(**kwargs: Any) -> Any:
        import tests.utils

        return tests.utils.get_attack_classifier_pt(**kwargs)

    return make


@pytest.fixture
def tabular_dl_estimator(framework: str) -> Any:
    def make(clipped: bool = True) -> Any:
        import tests.utils

        if not clipped:
            raise not_available("tabular estimator without clip values", framework)
        return tests.utils.get_tabular_classifier_pt()

    return make


@pytest.fixture
def decision_tree_estimator(framework: str) -> Any:
    def make(clipped: bool = True) -> Any:
        raise not_available("decision tree", framework)

    return make


@pytest.fixture
def image_dl_generator(framework: str) -> Any:
    def make(**kwargs: Any) -> Any:
        raise not_available("generator", framework)

    return make


@pytest.fixture
def image_dl_gan(framework: str) -> Any:
    def make(**kwargs: Any) -> Any:
        raise not_available("GAN", framework)

    return make


def _no_loss_types(framework: str) -> Any:
    def names() -> Any:
        raise not_available("losses by name", framework)

    return names


@pytest.fixture
def supported_losses_types(framework: str) -> Any:
    return _no_loss_types(framework)


@pytest.fixture
def supported_losses_logit(framework: str) -> Any:
    return _no_loss_types(framework)


@pytest.fixture
def supported_losses_proba(framework: str) -> Any:
    return _no_loss_types(framework)


@pytest.fixture
def image_iterator(get_default_mnist_subset: Any, default_batch_size: int) -> Any:
    import torch

    (x, y), _ = get_default_mnist_subset

    def make() -> Any:
        data = torch.utils.data.TensorDataset(torch.from_numpy(x).float(), torch.from_numpy(y))
        return torch.utils.data.DataLoader(data, batch_size=default_batch_size, shuffle=True)

    return make


@pytest.fixture
def image_data_generator(image_iterator: Any, default_batch_size: int) -> Any:
    from art.data_generators import PyTorchDataGenerator

    def make(**kwargs: Any) -> Any:
        return PyTorchDataGenerator(iterator=image_iterator(), size=TRAINED, batch_size=default_batch_size)

    return make


@pytest.fixture
def expected_values(framework: str, request: pytest.FixtureRequest) -> Any:
    """Numbers from the JSON file beside the test; one for the framework goes first."""

    def read() -> Any:
        values = json.loads(Path(request.node.path).with_suffix(".json").read_text())
        for name in (f"{request.node.name}_{framework}", request.node.name):
            if name in values:
                return values[name]
        raise not_available(f"expected values of {request.node.name}", framework)

    return read


@pytest.fixture
def store_expected_values() -> Any:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("the expected values of ART's tests are not changed here")

    return refuse


@pytest.fixture
def create_test_dir() -> Iterator[str]:
    folder = tempfile.mkdtemp()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fix_get_rcnn() -> Any:
    """An estimator that detects and does not classify: its gradient is one everywhere, its answer always the same."""
    from art.estimators.estimator import BaseEstimator, LossGradientsMixin
    from art.estimators.object_detection.object_detector import ObjectDetectorMixin

    class Detector(ObjectDetectorMixin, LossGradientsMixin, BaseEstimator):
        native_label_is_pytorch_format = True
        input_shape = None
        channels_first = False
        _clip_values = (0, 1)

        def __init__(self) -> None:
            """Nothing to keep: ART's base class would ask for a model."""

        def fit(self, x: Any, y: Any, **kwargs: Any) -> None:
            raise NotImplementedError

        def predict(self, x: Any, **kwargs: Any) -> Any:
            box = {"boxes": np.array([[0.1, 0.2, 0.3, 0.4]]), "labels": np.array([[2]]), "scores": np.array([[0.8]])}
            return [box] * len(x)

        def loss_gradient(self, x: Any, y: Any, **kwargs: Any) -> Any:
            return np.ones_like(x)

        def compute_loss(self, x: Any, y: Any, **kwargs: Any) -> float:
            return 0.5

        def compute_losses(self, x: Any, y: Any) -> Any:
            return {"loss_classifier": np.array(0.5)}

    return Detector()
