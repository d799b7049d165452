"""Evasion attacks that follow a gradient."""

from __future__ import annotations

import numpy as np
from art.attacks import evasion as e
from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_numpy import (
    ProjectedGradientDescentNumpy,
)
from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch import (
    ProjectedGradientDescentPyTorch,
)

from art_matrix.registry import case
from art_matrix.stage import EPS, BrokenError, Stage, onehot

STEPS = {"eps": EPS, "eps_step": EPS / 4, "max_iter": 8, "verbose": False}
NORMS = {"L-infinity": np.inf, "L2": 2, "L1": 1}


def _each_norm(name: str, build: object, scale: dict[str, float]) -> None:
    for title, norm in NORMS.items():
        eps = EPS * scale[title]

        def run(stage: Stage, norm: float = norm, eps: float = eps) -> None:
            clf = stage.clf()
            stage.evade(build(clf, norm, eps), clf, eps=eps, norm=norm)  # type: ignore[operator]

        case(name, name=title)(run)


SCALE = {"L-infinity": 1.0, "L2": 6.0, "L1": 30.0}
_each_norm("FastGradientMethod", lambda c, n, s: e.FastGradientMethod(c, norm=n, eps=s), SCALE)
_each_norm(
    "ProjectedGradientDescent",
    lambda c, n, s: e.ProjectedGradientDescent(c, norm=n, eps=s, eps_step=s / 4, max_iter=8, verbose=False), SCALE,
)  # fmt: skip
_each_norm(
    "MomentumIterativeMethod",
    lambda c, n, s: e.MomentumIterativeMethod(c, norm=n, eps=s, eps_step=s / 4, max_iter=8, verbose=False), SCALE,
)  # fmt: skip
_each_norm(
    "AutoProjectedGradientDescent",
    lambda c, n, s: e.AutoProjectedGradientDescent(
        c, norm=n, eps=s, eps_step=s / 4, max_iter=8, nb_random_init=1, loss_type="cross_entropy", verbose=False
    ),
    {"L-infinity": 1.0, "L2": 6.0, "L1": 100.0},
)  # fmt: skip


@case("FastGradientMethod", name="minimal")
def fgm_minimal(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(e.FastGradientMethod(clf, eps=1.0, eps_step=0.1, minimal=True), clf, eps=1.0)


@case("FastGradientMethod", name="targeted")
def fgm_targeted(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.samples()
    goal = (y + 1) % 10
    found = e.FastGradientMethod(clf, eps=EPS, targeted=True).generate(x, y=onehot(goal))
    stage.images(found, x)
    if not stage.losses(clf, found, goal).mean() < stage.losses(clf, x, goal).mean():
        raise BrokenError("the loss of the target class did not fall")


@case("ProjectedGradientDescentPyTorch", "ProjectedGradientDescent", name="restarts")
def pgd_torch(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(ProjectedGradientDescentPyTorch(clf, num_random_init=2, **STEPS), clf, eps=EPS)


@case("ProjectedGradientDescentNumpy")
def pgd_numpy(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(ProjectedGradientDescentNumpy(clf, num_random_init=2, **STEPS), clf, eps=EPS)


@case("ProjectedGradientDescent", name="mask")
def pgd_mask(stage: Stage) -> None:
    clf = stage.clf()
    mask = np.zeros((1, 8, 8), dtype=np.float32)
    mask[:, 2:6] = 1
    found = stage.evade(e.ProjectedGradientDescent(clf, **STEPS), clf, eps=EPS, mask=mask)
    stage.holds(bool((found == stage.samples()[0])[:, mask == 0].all()), "pixels outside the mask were changed")


@case("BasicIterativeMethod")
def bim(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(e.BasicIterativeMethod(clf, **STEPS), clf, eps=EPS)


for kind in ("difference_logits_ratio", None):

    @case("AutoProjectedGradientDescent", name=f"loss {kind}")
    def apgd(stage: Stage, kind: str | None = kind) -> None:
        clf = stage.clf()
        attack = e.AutoProjectedGradientDescent(clf, nb_random_init=1, loss_type=kind, **STEPS)
        stage.evade(attack, clf, eps=EPS)


for cls in (e.AutoConjugateGradient, e.RescalingAutoConjugateGradient):

    @case(cls.__name__, name="L2")
    def acg_l2(stage: Stage, cls: type = cls) -> None:
        clf = stage.clf()
        attack = cls(
            clf, norm=2, eps=1.5, eps_step=0.4, max_iter=8, nb_random_init=1, loss_type="cross_entropy", verbose=False
        )
        stage.evade(attack, clf, eps=1.5, norm=2)

    @case(cls.__name__, name="L-infinity")
    def acg(stage: Stage, cls: type = cls) -> None:
        clf = stage.clf()
        attack = cls(clf, nb_random_init=1, loss_type="cross_entropy", **STEPS)
        stage.evade(attack, clf, eps=EPS)


@case("AutoAttack", limit=240)
def auto_attack(stage: Stage) -> None:
    clf = stage.clf()
    parts = [
        e.AutoProjectedGradientDescent(clf, nb_random_init=1, loss_type=kind, **STEPS)
        for kind in ("cross_entropy", "difference_logits_ratio")
    ]
    parts += [e.DeepFool(clf, max_iter=5, batch_size=8, verbose=False)]
    parts += [e.SquareAttack(clf, eps=EPS, max_iter=20, verbose=False)]
    stage.evade(e.AutoAttack(clf, eps=EPS, eps_step=EPS / 4, attacks=parts), clf, 4, eps=EPS)


@case("CarliniL2Method")
def carlini_l2(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.CarliniL2Method(clf, learning_rate=0.1, binary_search_steps=3, max_iter=20, initial_const=1.0,
                               batch_size=8, verbose=False)  # fmt: skip
    stage.evade(attack, clf)


@case("CarliniLInfMethod", limit=150)
def carlini_linf(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.CarliniLInfMethod(clf, learning_rate=0.05, max_iter=5, initial_const=0.1, largest_const=2.0,
                                 batch_size=4, verbose=False)  # fmt: skip
    stage.evade(attack, clf, 4)


@case("CarliniL0Method", limit=240)
def carlini_l0(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.CarliniL0Method(clf, learning_rate=0.2, binary_search_steps=2, max_iter=8, initial_const=10.0,
                               batch_size=2, verbose=False)  # fmt: skip
    stage.evade(attack, clf, 2)


@case("ElasticNet")
def elastic_net(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.ElasticNet(clf, learning_rate=0.1, binary_search_steps=3, max_iter=20, initial_const=1.0,
                          batch_size=8, verbose=False)  # fmt: skip
    stage.evade(attack, clf)


@case("DeepFool")
def deep_fool(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(e.DeepFool(clf, max_iter=20, batch_size=8, verbose=False), clf)


@case("NewtonFool")
def newton_fool(stage: Stage) -> None:
    clf = stage.clf()
    stage.evade(e.NewtonFool(clf, max_iter=10, eta=0.2, batch_size=8, verbose=False), clf)


@case("SaliencyMapMethod")
def jsma(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.samples(4)
    goal = (y + 1) % 10
    found = e.SaliencyMapMethod(clf, theta=0.5, gamma=0.5, batch_size=4, verbose=False).generate(x, y=onehot(goal))
    stage.images(found, x)
    if not stage.losses(clf, found, goal).mean() < stage.losses(clf, x, goal).mean():
        raise BrokenError("the loss of the target class did not fall")


@case("UniversalPerturbation")
def universal(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.UniversalPerturbation(
        clf, attacker="pgd", attacker_params={"eps": EPS, "eps_step": 0.1, "max_iter": 5, "verbose": False}, max_iter=2,
        eps=0.3, batch_size=8, verbose=False,
    )  # fmt: skip
    stage.evade(attack, clf, 16, eps=0.3)


@case("TargetedUniversalPerturbation")
def targeted_universal(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.samples(8)
    attack = e.TargetedUniversalPerturbation(
        clf, attacker="fgsm", attacker_params={"eps": EPS, "targeted": True}, max_iter=2, eps=EPS
    )
    found = attack.generate(x, y=onehot(np.full_like(y, 3)))
    stage.images(found, x)
    stage.holds(not np.array_equal(found, x), "nothing was changed")


@case("Wasserstein", limit=150)
def wasserstein(stage: Stage) -> None:
    clf = stage.clf()
    attack = e.Wasserstein(
        clf, regularization=100, kernel_size=3, eps_step=0.2, norm="wasserstein", ball="wasserstein", eps=0.5,
        eps_iter=2, max_iter=4, conjugate_sinkhorn_max_iter=40, projected_sinkhorn_max_iter=40, batch_size=2,
        verbose=False,
    )  # fmt: skip
    stage.evade(attack, clf, 2)


@case("ShadowAttack")
def shadow(stage: Stage) -> None:
    clf = stage.clf(kind="color")
    attack = e.ShadowAttack(
        clf, sigma=0.1, nb_steps=40, learning_rate=0.3, lambda_tv=0.01, lambda_c=0.01, lambda_s=0.01, batch_size=16,
        verbose=False,
    )  # fmt: skip
    stage.evade(attack, clf, 1, "color", labels=None)


@case("LowProFool")
def low_pro_fool(stage: Stage) -> None:
    clf = stage.clf(kind="table", probabilities=True)
    x, y = stage.samples(8, "table")
    attack = e.LowProFool(clf, n_steps=60, eta=1.0, lambd=0.01, importance=np.full(16, 1 / 16), verbose=False)
    goal = (y + 1) % 10
    found = attack.generate(x, y=onehot(goal))
    stage.images(found, x)
    if not stage.losses(clf, found, goal).mean() < stage.losses(clf, x, goal).mean():
        raise BrokenError("the loss of the target class did not fall")
