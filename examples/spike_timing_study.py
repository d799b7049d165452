"""Does spike timing make a network robust? Encodings x decoders x learning rules under attacks with every backward
choice.

python examples/spike_timing_study.py                      # MNIST subset, two cores, about twenty minutes
python examples/spike_timing_study.py --dataset digits     # a quick look
python examples/spike_timing_study.py --full               # all of MNIST, long attacks

Every finished attack is one line of ``cells.jsonl``; a run that was interrupted goes on where it stopped. The report is
written from those lines alone (``--report-only``).
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from art import config
from art.attacks.evasion import (
    AutoProjectedGradientDescent,
    FastGradientMethod,
    ProjectedGradientDescent,
    SquareAttack,
)
from art_snn.evaluation.losses import MarginLoss
from spike_timing_report import write_report
from spikingjelly.activation_based import layer
from torch import nn
from tqdm import tqdm

from art_snn import SNNClassifier, SpikingNetwork, coding
from art_snn.coding.straight_through import carry_gradient
from art_snn.data import Dataset, load
from art_snn.errors import GradientWarning
from art_snn.evaluation.attacks import with_loss
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.gradients import TSSLBP
from art_snn.networks import load as load_network
from art_snn.networks import save
from art_snn.neurons import SynapticLIF


class Untimed(coding.Encoder):
    """What a code says, without when: the decoded value of its spikes, fed at every step."""

    is_binary = False

    def __init__(self, code: coding.Encoder) -> None:
        super().__init__(code.T)
        self.code = code

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Hard value forward, identity backward."""
        value = self.code.decode(self.code(x.detach()))
        return carry_gradient(coding.direct(value, self.T), x)


ENCODERS = {
    "direct": coding.Direct,
    "quantized": coding.Quantized,
    "untimed_rate": lambda T: Untimed(coding.RateSyn(T)),
    "untimed_late": lambda T: Untimed(coding.LateBurst(T)),
    "poisson": coding.Poisson,
    "rate_syn": coding.RateSyn,
    "early_burst": coding.EarlyBurst,
    "late_burst": coding.LateBurst,
    "latency": coding.Latency,
    "phase": coding.WeightedPhase,
    "burst": lambda T: coding.Burst(T, max_spikes=4),
}
DECODERS = {
    "current": lambda: coding.MeanCurrent(),
    "count": lambda: coding.SpikeCount(SynapticLIF(tau_s=1.0)),
    "first_spike": lambda: coding.FirstSpike(SynapticLIF(tau_s=1.0)),
    "early_exit": lambda: coding.EarlyExit("margin", 3.0),
}
RULES = ("bptt", "tssl_bp")
CROSSED = ("direct", "early_burst", "latency")
"""Encoders that meet every decoder and both learning rules."""


@dataclass(frozen=True)
class Plan:
    """Everything that sizes a run."""

    dataset: str
    train: int
    test: int
    epochs: int
    hidden: int
    T: int
    eps: tuple[float, ...]
    crossed_eps: float
    pgd_steps: int
    apgd_steps: int
    queries: int
    draws: int = 5
    seed: int = 0


PLANS = {
    "mnist": Plan("mnist", 6000, 100, 6, 128, 8, (0.05, 0.1, 0.15), 0.1, 20, 20, 300),
    "digits": Plan("digits", 1297, 50, 30, 64, 8, (0.1, 0.2), 0.1, 10, 10, 100),
    "full": Plan("mnist", 60000, 1000, 10, 256, 8, (0.025, 0.05, 0.1, 0.15, 0.2), 0.1, 50, 50, 2000, 10),
}


@dataclass(frozen=True)
class Model:
    """One trained network of the study."""

    encoder: str
    decoder: str
    rule: str

    @property
    def name(self) -> str:
        """For files and progress."""
        return f"{self.encoder}-{self.decoder}-{self.rule}"

    @property
    def central(self) -> bool:
        """Whether it belongs to the comparison of encoders, which tries every backward choice."""
        return self.decoder == "current" and self.rule == "bptt"


def models() -> list[Model]:
    central = [Model(encoder, "current", "bptt") for encoder in ENCODERS]
    crossed = [Model(e, d, r) for e in CROSSED for d in DECODERS for r in RULES]
    return central + [model for model in crossed if not model.central]


def build(model: Model, plan: Plan, data: Dataset) -> SpikingNetwork:
    inputs = int(np.prod(data.input_shape))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        first = layer.Linear(inputs, plan.hidden, step_mode="m")
        nn.init.kaiming_normal_(first.weight)
        last = layer.Linear(plan.hidden, data.nb_classes, step_mode="m")
        nn.init.kaiming_normal_(last.weight)
    body = nn.Sequential(layer.Flatten(step_mode="m"), first, SynapticLIF(), last)
    return SpikingNetwork(ENCODERS[model.encoder](plan.T), body, DECODERS[model.decoder]())


def train(net: SpikingNetwork, model: Model, plan: Plan, data: Dataset) -> SpikingNetwork:
    """Cross-entropy of the logits, by either learning rule; for first-spike logits that is the latency loss 3."""
    x, y = torch.from_numpy(data.x_train[: plan.train]), torch.from_numpy(data.y_train[: plan.train])
    if model.decoder == "early_exit":
        net.decoder = coding.MeanCurrent()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=plan.epochs * -(-len(x) // 100))
    generator = torch.Generator().manual_seed(plan.seed)
    for _ in range(plan.epochs):
        for rows in torch.randperm(len(x), generator=generator).split(100):
            optimizer.zero_grad()
            if model.rule == "tssl_bp":
                with net.gradient(TSSLBP()):
                    loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
            else:
                loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
    net.decoder = DECODERS[model.decoder]()
    return net.eval()


def attacks(plan: Plan, eps: float) -> dict[str, Any]:
    """Name to builder, gradient attacks; ``pgd_bin`` steps by at least one time bin."""
    step_bin = max(eps / 4, 1 / (plan.T - 1))
    return {
        "fgsm": lambda c: FastGradientMethod(c, eps=eps, batch_size=256),
        "pgd": lambda c: ProjectedGradientDescent(
            c, eps=eps, eps_step=eps / 4, max_iter=plan.pgd_steps, num_random_init=1, batch_size=256, verbose=False
        ),
        "pgd_bin": lambda c: ProjectedGradientDescent(
            c, eps=eps, eps_step=step_bin, max_iter=plan.pgd_steps, num_random_init=1, batch_size=256, verbose=False
        ),
        "apgd": lambda c: AutoProjectedGradientDescent(
            c, eps=eps, eps_step=2 * eps, max_iter=plan.apgd_steps, nb_random_init=1, batch_size=256,
            loss_type="cross_entropy", verbose=False,
        ),
    }  # fmt: skip


def long_attack(classifier: SNNClassifier, plan: Plan, eps: float) -> Any:
    """APGD on the margin, three times as long, two starts: a second opinion on what the others leave."""
    return AutoProjectedGradientDescent(
        with_loss(classifier, MarginLoss()), eps=eps, eps_step=2 * eps, max_iter=3 * plan.apgd_steps, nb_random_init=2,
        batch_size=256, loss_type=None, verbose=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One attack on one network: what it is and how each sample fared."""

    encoder: str
    decoder: str
    rule: str
    backward: str
    attack_rule: str
    attack: str
    eps: float
    correct: str
    decision_time: float | None
    undecided: float | None
    seconds: float


KEY = ("encoder", "decoder", "rule", "backward", "attack_rule", "attack", "eps")


class Run:
    """Trains what is missing, attacks what is missing, writes a line per attack."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.data = load(plan.dataset)
        self.x, self.y, _ = self.data.select(plan.test, plan.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.lines = folder / "cells.jsonl"
        self.done: set[tuple[Any, ...]] = set()
        header = json.dumps({"plan": asdict(plan)}, sort_keys=True)
        if self.lines.exists() and self.lines.read_text().split("\n", 1)[0] != header:
            raise click.ClickException(f"{self.lines} belongs to a run of another size; choose another --out")
        if not self.lines.exists():
            self.lines.write_text(header + "\n")
        kept = self.lines.read_text().splitlines(keepends=True)
        kept = [line for line in kept if line.endswith("\n")]
        self.lines.write_text("".join(kept))
        for line in kept[1:]:
            cell = json.loads(line)
            self.done.add(tuple(cell[part] for part in KEY))

    def network(self, model: Model) -> SpikingNetwork:
        """The trained network, from disk if it is there."""
        path = self.folder / "networks" / f"{model.name}.safetensors"
        net = build(model, self.plan, self.data)
        if path.exists():
            load_network(path, into=net)
        else:
            net = train(net, model, self.plan, self.data)
            save(net, path)
        net.eot = net.votes = self.plan.draws
        return net.eval()

    def classifier(self, net: SpikingNetwork, backward: str) -> SNNClassifier:
        """The network as ART sees it, with one backward choice."""
        net.encoder.backward = backward
        with warnings.catch_warnings():
            # "masked" and "none" warn that they hide the gradient; showing that is the point of the study
            warnings.simplefilter("ignore", GradientWarning)
            return SNNClassifier(
                net, nn.CrossEntropyLoss(), self.data.input_shape, self.data.nb_classes, clip_values=(0.0, 1.0)
            )

    def jobs(self, model: Model, net: SpikingNetwork) -> Iterator[tuple[str, str, str, float]]:
        """Backward choice, gradient rule, attack and budget of every cell of one network."""
        default = net.encoder.backwards[0]
        choices = net.encoder.backwards if model.central else (default,)
        yield default, "-", "clean", 0.0
        for eps in self.plan.eps if model.central else (self.plan.crossed_eps,):
            for backward in choices:
                for attack in attacks(self.plan, eps):
                    if backward != "none" or attack == "pgd":  # without a gradient every attack is its random start
                        yield backward, "bptt", attack, eps
            if not model.central and model.rule == "tssl_bp":
                for attack in ("pgd", "apgd"):
                    yield default, "tssl_bp", attack, eps
            yield default, "bptt", "apgd_margin", eps
            if model.decoder == "early_exit":
                yield default, "bptt", "apgd_relaxed", eps
            yield default, "-", "square", eps

    def cell(self, model: Model, net: SpikingNetwork, job: tuple[str, str, str, float]) -> Cell:
        """Attack, check the budget, and judge on draws that the attack has not seen."""
        backward, attack_rule, attack, eps = job
        start = time.perf_counter()
        classifier = self.classifier(net, backward)
        with seeded_globals(derived_seed(self.plan.seed, model.name, backward, attack_rule, attack, eps)):
            net.reseed(1)
            x = self.adversarial(classifier, net, attack_rule, attack, eps)
        if not (np.abs(x - self.x) <= eps + 1e-6).all() or x.min() < 0 or x.max() > 1:
            raise click.ClickException(f"{attack} left its budget on {model.name}")
        net.reseed(2)
        correct = classifier.predict(x, batch_size=256).argmax(1) == self.y
        decided, undecided = self.decision(net, x)
        marks = "".join("01"[int(hit)] for hit in correct)
        seconds = round(time.perf_counter() - start, 2)
        return Cell(*self.key(model, job), marks, decided, undecided, seconds)

    def adversarial(self, classifier: SNNClassifier, net: SpikingNetwork, rule: str, attack: str, eps: float) -> Any:
        """Adversarial examples of one attack."""
        if attack == "clean":
            return self.x
        if attack == "square":
            square = SquareAttack(classifier, eps=eps, max_iter=self.plan.queries, batch_size=256, verbose=False)
            return square.generate(self.x, self.y)
        if attack == "apgd_margin":
            return long_attack(classifier, self.plan, eps).generate(self.x, self.y)
        if attack == "apgd_relaxed":
            relaxed = SpikingNetwork(net.encoder, net.body, coding.TimeWeighted("linear"), eot=net.eot, votes=net.votes)
            classifier = self.classifier(relaxed.eval(), net.encoder.backward)
            return long_attack(classifier, self.plan, eps).generate(self.x, self.y)
        builder = attacks(self.plan, eps)[attack]
        if rule == "tssl_bp":
            with net.gradient(TSSLBP()):
                return builder(classifier).generate(self.x, self.y)
        return builder(classifier).generate(self.x, self.y)

    @staticmethod
    def decision(net: SpikingNetwork, x: Any) -> tuple[float | None, float | None]:
        """Mean step of the decision and share without one, for decoders that decide in time."""
        if not hasattr(net.decoder, "decision_time"):
            return None, None
        with torch.no_grad():
            steps = net.decoder.decision_time(net.simulate(net.encode(torch.from_numpy(x))))
        return float(steps.clamp(max=net.T).float().mean()), float((steps == net.T).float().mean())

    def execute(self) -> None:
        """Do what is missing."""
        for model in tqdm(models(), unit="network"):
            planned = list(self.jobs(model, build(model, self.plan, self.data)))
            missing = [job for job in planned if self.key(model, job) not in self.done]
            if not missing:
                continue
            net = self.network(model)
            for job in tqdm(missing, desc=model.name, leave=False, unit="attack"):
                with self.lines.open("a") as file:
                    file.write(json.dumps(asdict(self.cell(model, net, job))) + "\n")

    @staticmethod
    def key(model: Model, job: tuple[str, str, str, float]) -> tuple[Any, ...]:
        """What tells one cell from another."""
        backward, attack_rule, attack, eps = job
        return model.encoder, model.decoder, model.rule, backward, attack_rule, attack, eps


@click.command()
@click.option("--dataset", type=click.Choice(["mnist", "digits"]), default="mnist", show_default=True)
@click.option("--full", is_flag=True, help="All of MNIST, larger network, longer attacks.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of ART's data sets; ART's own by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of cells and networks.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("docs/studies/spike_timing.md"))
@click.option("--report-only", is_flag=True, help="Write the report from the cells that exist.")
def main(dataset: str, full: bool, data: Path | None, out: Path | None, report: Path, report_only: bool) -> None:
    """Run the spike-timing study and write its report."""
    if data is not None:
        config.set_data_path(str(data))
    if full and dataset != "mnist":
        raise click.BadParameter("--full is MNIST; leave --dataset out")
    name = "full" if full else dataset
    folder = out or Path("runs") / f"spike-timing-{name}"
    if not report_only:
        Run(PLANS[name], folder).execute()
    write_report(folder / "cells.jsonl", report)
    click.echo(f"wrote {report}")


if __name__ == "__main__":
    main()
