"""The numbers of table and report as records, so that each has a line behind it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from art_snn.evaluation.paired import Difference
from art_snn.evaluation.statistics import seed_spread

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison

Record = dict[str, Any]


def summary_records(result: Comparison) -> list[Record]:
    """Costs, accuracies, tests, areas, expectations, gaps, mean work and the verdict of one comparison."""
    totals = [{"key": f"cost-{m}", "kind": "cost", "model": m, **result.cost(m)} for m in result.models]
    tests = [
        {"key": f"test-{test.first}-{test.second}-{test.eps!r}", "kind": "test", **test.record()}
        for test in result.tests()
    ]
    works = [
        {"key": f"work-{model}-{attacked}", "kind": "work_mean", "model": model, "attacked": attacked, **found}
        for model in result.models
        for attacked in (False, True)
        if (found := result.work(model, attacked=attacked))
    ]
    verdict = {"key": "verdict", "kind": "verdict", "eps": result.telling_eps, "sentences": result.verdict()}
    accuracies = [_summary(result, model, eps) for model in result.models for eps in result.eps]
    return [*totals, *accuracies, *_areas(result), *_expected(result), *_gaps(result), *tests, *works, verdict]


def _summary(result: Comparison, model: str, eps: float) -> Record:
    conditional, moved = result.conditional(model, eps), result.transferred(model, eps)
    return {
        "key": f"summary-{model}-{eps!r}", "kind": "summary", "model": model, "eps": eps,
        "clean": result.accuracy(model).record(), "worst_case": result.accuracy(model, None, eps).record(),
        "over_seeds": seed_spread(result.worst_case(model, eps)), "networks": result.networks(model),
        "attacks": {attack: result.accuracy(model, attack, eps).value for attack in result.attacks},
        "transfer": None if moved is None else moved.record(),
        "conditional": None if conditional is None else conditional.record(),
        "valid": result.valid(model), "flags": [flag.id for flag in result.raised(model)],
    }  # fmt: skip


def _areas(result: Comparison) -> Iterator[Record]:
    if max(result.eps) == 0:
        return
    for model in result.models:
        area = _interval(result.aurc(model))
        yield {"key": f"aurc-{model}", "kind": "aurc", "model": model, "valid": result.valid(model), **area}
    for first, second in combinations(result.usable, 2):
        gap = _interval(result.aurc(first, second))
        yield {"key": f"aurc-{first}-{second}", "kind": "aurc", "model": first, "other": second, "valid": True, **gap}


def _expected(result: Comparison) -> Iterator[Record]:
    for model in result.models:
        for eps in dict.fromkeys([0.0, *result.eps]):
            found = result.expected(model, eps)
            if found is not None:
                head = {"key": f"expected-{model}-{eps!r}", "kind": "expected", "model": model, "eps": eps}
                yield {**head, "valid": result.valid(model), **_interval(found)}


def _gaps(result: Comparison) -> Iterator[Record]:
    for model in result.models:
        for eps in (eps for eps in result.eps if eps > 0):
            found = result.gap(model, eps)
            if found is not None:
                yield {"key": f"gap-{model}-{eps!r}", "kind": "gap", "model": model, "eps": eps, **found}


def _interval(found: Difference) -> Record:
    record = found.record()
    return {name: record[name] for name in ("value", "low", "high", "resampled", "seeds", "samples")}
