"""What a conformance check is made of: named contracts, each with its promise, its repair and a test of its own.

A test looks at a case and returns what is wrong with it, or ``None``. All contracts of a kind run, whatever the ones
before them found; an exception that a contract did not expect breaks it, a warning does not.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from art_snn.errors import ArtSnnWarning, explain, suggest
from art_snn.spiking import reset_state

Case = TypeVar("Case")


class ConformanceError(AssertionError):
    """A component that breaks contracts.

    :param component: its name.
    :param kind: ``encoder``, ``attack``, ...
    :param broken: what is wrong, by name of the contract.
    """

    def __init__(self, component: str, kind: str, broken: dict[str, str]) -> None:
        self.component, self.kind, self.broken = component, kind, broken
        lines = [f"{component} breaks {len(broken)} contract(s) of a conforming {kind}:"]
        super().__init__("\n".join([*lines, *(f"- {name}: {text}" for name, text in broken.items())]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.component, self.kind, self.broken)


@dataclass(frozen=True)
class Contract:
    """One contract.

    :param name: by which it is left out, and found in the documentation.
    :param promise: what a conforming component does.
    :param fix: what to do where it does not.
    :param broken: what is wrong with a case, or ``None``.

    >>> test = lambda x: None if x > 0 else f"{x}"
    >>> positive = Contract("positive", "answers above 0", "take the exponential", test)
    >>> positive.broken(1.0), positive.broken(-1.0)
    (None, '-1.0')
    """

    name: str
    promise: str
    fix: str
    broken: Callable[[Any], str | None]


@dataclass
class Contracts:
    """The contracts of one kind of component.

    :param kind: what conforms: ``encoder``, ``attack``, ...
    :param listed: the contracts by name.

    >>> numbers = Contracts("number")
    >>> @numbers.contract("positive", "a number above 0", "take the absolute value")
    ... def positive(x):
    ...     return None if x > 0 else f"{x}"
    >>> numbers.check(2, "two")
    ('positive',)
    """

    kind: str
    listed: dict[str, Contract] = field(default_factory=dict)

    def contract(
        self, name: str, promise: str, fix: str
    ) -> Callable[[Callable[[Case], str | None]], Callable[[Case], str | None]]:
        """Add the decorated test to the list."""

        def add(test: Callable[[Case], str | None]) -> Callable[[Case], str | None]:
            self.listed[name] = Contract(name, promise, fix, test)
            return test

        return add

    def check(self, case: Any, component: str, unless: Collection[str] = ()) -> tuple[str, ...]:
        """Run every contract but those in ``unless``.

        :return: names of the contracts that were found kept.
        :raises ConformanceError: naming all that are broken.
        :raises ValueError: for a name in ``unless`` that is no contract.
        """
        for name in unless:
            if name not in self.listed:
                raise ValueError(suggest(name, self.listed, f"{self.kind} contract"))
        broken: dict[str, str] = {}
        for contract in self.listed.values():
            if contract.name not in unless:
                wrong = _found(contract, case)
                if wrong is not None:
                    broken[contract.name] = explain(wrong, contract.promise, contract.fix)
        if broken:
            raise ConformanceError(component, self.kind, broken)
        return tuple(name for name in self.listed if name not in unless)


def _found(contract: Contract, case: Any) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArtSnnWarning)
        try:
            return contract.broken(case)
        except Exception as error:  # noqa: BLE001 - whatever a component raises where it must not
            return f"{type(error).__name__}: {str(error)[:300]}"


def maker(component: Any, kind: type) -> Callable[[], Any]:
    """Fresh components: copies of an instance, or what a factory makes.

    :raises TypeError: if neither is one of ``kind``.
    """
    if isinstance(component, kind):

        def copied() -> Any:
            fresh: Any = copy.deepcopy(component)
            if callable(getattr(fresh, "reseed", None)):
                fresh.reseed()
            return fresh

        return copied
    if not isinstance(component, type) and callable(component) and isinstance(component(), kind):
        return component
    if isinstance(component, type) and issubclass(component, kind):
        fix = f"pass an instance, or a function that makes one: lambda: {component.__name__}(...)"
        raise TypeError(explain(f"the class {component.__name__}", f"a {kind.__name__}", fix))
    fix = f"pass an instance of {kind.__name__}, or a function without arguments that makes one"
    raise TypeError(explain(repr(component), f"a {kind.__name__}", fix))


def raised(call: Callable[[], Any], *kinds: type[Exception]) -> str | None:
    """What is wrong with a call that must be refused by one of ``kinds``; ``None`` if it is."""
    names = " or ".join(kind.__name__ for kind in kinds)
    try:
        call()
    except kinds:
        return None
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"{type(error).__name__} instead of {names}"
    return f"no {names}"


def global_streams() -> tuple[Any, ...]:
    """State of the random generators that belong to everybody."""
    state: Any = np.random.get_state()  # noqa: NPY002 - only looked at
    return torch.get_rng_state().tolist(), state[1].tolist(), state[2]


def clean(module: nn.Module) -> nn.Module:
    """``module`` without the state of an earlier call."""
    reset_state(module)
    return module
