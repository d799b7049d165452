"""Evasion attacks that only ask for predictions."""

from __future__ import annotations

import numpy as np
from art.attacks import evasion as e
from art.attacks.evasion.brendel_bethge import BrendelBethgeAttack

from art_matrix.registry import case
from art_matrix.stage import EPS, Stage, onehot
from art_matrix.victims import data

for title, norm, size in (("L-infinity", np.inf, EPS), ("L2", 2, 2.0)):

    @case("SquareAttack", name=title)
    def square(stage: Stage, norm: float = norm, size: float = size) -> None:
        clf = stage.clf(kind="large")
        attack = e.SquareAttack(clf, norm=norm, eps=2 * size, max_iter=60, verbose=False)
        stage.evade(attack, clf, kind="large", eps=2 * size, norm=norm)

    @case("HopSkipJump", name=title)
    def hop_skip_jump(stage: Stage, norm: float = norm) -> None:
        clf = stage.clf()
        attack = e.HopSkipJump(clf, norm=norm, max_iter=3, max_eval=100, init_eval=10, init_size=50, verbose=False)
        stage.evade(attack, clf, 4)


@case("SquareAttack", name="L2, images of 8 pixels")
def square_small(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(e.SquareAttack(clf, norm=2, eps=2.0, max_iter=60, verbose=False), clf, eps=2.0, norm=2)


@case("BoundaryAttack")
def boundary(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.BoundaryAttack(clf, targeted=False, max_iter=20, num_trial=5, sample_size=5, init_size=50, verbose=False)
    stage.evade(attack, clf, 2)


@case("BrendelBethgeAttack", limit=900)
def brendel_bethge(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.samples(2)
    _, _, pool, _ = data("images")
    answers = clf.predict(pool).argmax(1)
    starts = np.stack([pool[answers != label][0] for label in y])
    stage.evade(
        BrendelBethgeAttack(clf, norm=2, steps=10, batch_size=2), clf, labels=y, start=(x, y), starting_points=starts
    )


@case("SignOPTAttack")
def sign_opt(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.SignOPTAttack(clf, targeted=False, max_iter=5, num_trial=10, k=10, query_limit=500, verbose=False)
    stage.evade(attack, clf, 2)


@case("ZooAttack", limit=150)
def zoo(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.ZooAttack(
        clf, max_iter=20, learning_rate=0.1, initial_const=10.0, use_resize=False, use_importance=False, nb_parallel=32,
        batch_size=1, verbose=False,
    )  # fmt: skip
    stage.evade(attack, clf, 4)


@case("ZooAttack", name="wide differences", limit=150)
def zoo_wide(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.ZooAttack(
        clf, max_iter=20, learning_rate=0.1, initial_const=10.0, use_resize=False, use_importance=False, nb_parallel=32,
        batch_size=1, variable_h=0.2, verbose=False,
    )  # fmt: skip
    stage.evade(attack, clf, 4)


@case("VirtualAdversarialMethod")
def virtual_adversarial(stage: Stage) -> None:
    clf = stage.clf(probabilities=True)
    stage.evade(e.VirtualAdversarialMethod(clf, max_iter=2, eps=2.0, batch_size=4, verbose=False), clf, 4)


@case("VirtualAdversarialMethod", name="wide differences")
def virtual_adversarial_wide(stage: Stage) -> None:
    clf = stage.clf(probabilities=True)
    attack = e.VirtualAdversarialMethod(clf, max_iter=2, finite_diff=0.2, eps=2.0, batch_size=4, verbose=False)
    stage.evade(attack, clf, 4)


for kind in ("px", "dct"):

    @case("SimBA", name=kind)
    def simba(stage: Stage, kind: str = kind) -> None:
        clf = stage.clf(probabilities=True)
        attack = e.SimBA(clf, attack=kind, max_iter=60, epsilon=0.3, freq_dim=4, stride=1, verbose=False)
        stage.evade(attack, clf, 4)


@case("GeoDA")
def geo_da(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(e.GeoDA(clf, batch_size=8, sub_dim=5, max_iter=400, verbose=False), clf, 2)


for cls in (e.PixelAttack, e.ThresholdAttack):
    for es in (0, 1):

        @case(cls.__name__, name=("CMA-ES", "differential evolution")[es], limit=150)
        def pixel(stage: Stage, cls: type = cls, es: int = es) -> None:
            clf = stage.clf()
            stage.evade(cls(clf, th=40 if cls is e.ThresholdAttack else 8, es=es, max_iter=3, verbose=False), clf, 2,
                        rises=False, changes=False, labels=onehot(stage.samples(2)[1]))  # fmt: skip
