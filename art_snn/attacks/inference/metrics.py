r"""How much a membership score gives away.

With scores :math:`a` (higher: member) of known members and non-members,

* *balanced accuracy* :math:`\tfrac12(\mathrm{TPR} + \mathrm{TNR})` of the attack's own decisions; 1/2 is chance,
* *AUC*, the probability that a random member scores above a random non-member (ties count half),
* *TPR at 1 % FPR*, the share of members found when one non-member in a hundred may be accused: what matters to the
  members that stick out, and what averages hide.

Source: Carlini et al., "Membership inference attacks from first principles", S&P 2022 (TPR at low FPR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from art_snn.errors import explain


@dataclass(frozen=True)
class MembershipReport:
    """Shares from 0 to 1; ``auc`` and ``tpr_at_fpr`` are ``nan`` where there are decisions only.

    :param balanced_accuracy: mean of the shares of members and of others that are told rightly.
    :param auc: area under the ROC curve of the scores.
    :param tpr_at_fpr: share of members found where no more than the allowed share of others is accused.
    :param members: how many were judged.
    :param others: how many non-members were judged.

    >>> MembershipReport(0.75, auc=0.8, tpr_at_fpr=0.1, members=50, others=50).balanced_accuracy
    0.75
    """

    balanced_accuracy: float
    auc: float
    tpr_at_fpr: float
    members: int
    others: int


def membership_report(members: Any, others: Any, threshold: float | None = None, fpr: float = 0.01) -> MembershipReport:
    """Judge scores of members and non-members.

    :param members: scores ``[N]`` of samples that were trained on; higher says member.
    :param others: scores ``[M]`` of samples that were not.
    :param threshold: scores **above** it are decisions for membership; by default scores are decisions, 0 or 1, and
        there is no curve.
    :param fpr: share of non-members that may be accused.
    :raises ValueError: for an empty side, or scores that are not finite.

    >>> membership_report([0.9, 0.2], [0.1, 0.3], threshold=0.5)
    MembershipReport(balanced_accuracy=0.75, auc=0.75, tpr_at_fpr=0.5, members=2, others=2)
    """
    inside, outside = (np.asarray(part, dtype=np.float64).reshape(-1) for part in (members, others))
    if not len(inside) or not len(outside) or not (np.isfinite(inside).all() and np.isfinite(outside).all()):
        came = f"{len(inside)} member scores and {len(outside)} others"
        raise ValueError(explain(came, "finite scores of both kinds", "score known members and known non-members"))
    if threshold is None:
        accuracy = ((inside == 1).mean() + (outside != 1).mean()) / 2
        return MembershipReport(float(accuracy), float("nan"), float("nan"), len(inside), len(outside))
    accuracy = ((inside > threshold).mean() + (outside <= threshold).mean()) / 2
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, "left") + np.searchsorted(ordered, inside, "right")
    cut = ordered[len(ordered) - 1 - int(fpr * len(ordered))]
    return MembershipReport(
        float(accuracy),
        float(below.mean() / (2 * len(outside))),
        float((inside > cut).mean()),
        len(inside),
        len(outside),
    )
