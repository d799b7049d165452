"""Who is cited for what: exactly the methods used, and no method without a source or a word on why."""

import inspect
import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from art.attacks.attack import Attack
from art.defences.detector.evasion import EvasionDetector
from art.defences.preprocessor import Preprocessor
from art.defences.trainer import Trainer
from art.defences.transformer import Transformer
from spikingjelly.activation_based import layer
from torch import nn

import art_snn.attacks.evasion
import art_snn.attacks.inference
import art_snn.attacks.poisoning
import art_snn.coding
import art_snn.conversion
import art_snn.defenses.detector
import art_snn.defenses.preprocessor
import art_snn.defenses.trainer
import art_snn.defenses.transformer
import art_snn.gradients
import art_snn.neurons
from art_snn import Comparison, SNNClassifier, SpikingNetwork, citation
from art_snn.attacks.evasion import SNNAutoPGD
from art_snn.attacks.poisoning import Trigger
from art_snn.bibliography import ALWAYS, bibliography
from art_snn.coding import Decoder, Encoder, Latency, SpikeTransform, Transformed
from art_snn.coding.randomized import FrameDrop
from art_snn.conversion import METHODS, Method
from art_snn.defenses.catalogue import DEFENSES
from art_snn.defenses.preprocessor import BackgroundActivityFilter, SpikePreprocessor
from art_snn.defenses.trainer import TRAINERS
from art_snn.evaluation import ATTACKS
from art_snn.evaluation.attacks import SUITES
from art_snn.evaluation.references import _ALWAYS as REPORT
from art_snn.gradients import ASSG, GradientPolicy
from art_snn.neurons import DLIF
from art_snn.sources import OURS, SOURCES

ROOT = Path(__file__).parents[1]
PACKAGES = (
    art_snn.attacks.evasion, art_snn.attacks.inference, art_snn.attacks.poisoning, art_snn.coding, art_snn.conversion,
    art_snn.defenses.detector, art_snn.defenses.preprocessor, art_snn.defenses.trainer, art_snn.defenses.transformer,
    art_snn.gradients, art_snn.neurons,
)  # fmt: skip
KINDS = (
    Attack, Trigger, Encoder, Decoder, SpikeTransform, GradientPolicy, Method, Trainer, EvasionDetector, Preprocessor,
    Transformer,
)  # fmt: skip
BASES = {
    "Encoder", "Decoder", "GradientPolicy", "Method", "Trigger", "NativeAttack", "PixelAttack", "GridAttack",
    "ValidatedTrainer", "LinfTrainer",
}  # fmt: skip


def keys(text):
    return re.findall(r"@\w+\{([^,]+),", text)


def methods():
    for package in PACKAGES:
        for name in package.__all__:
            value = getattr(package, name)
            neuron = package is art_snn.neurons and inspect.isclass(value)
            if neuron or (inspect.isclass(value) and issubclass(value, KINDS)):
                yield name


@pytest.mark.parametrize("name", sorted({*methods()} - BASES | {*ATTACKS, *SUITES, *TRAINERS, *DEFENSES, *METHODS}))
def test_every_method_has_a_source_or_is_declared_as_ours(name):
    assert (name in SOURCES) != (name in OURS)
    citation(name)


def test_the_table_names_entries_that_exist_and_every_entry_is_used():
    used = {key for found in SOURCES.values() for key in found}
    reported = set(REPORT) | {"mcnemar1947note", "holm1979simple", "vovk2020combining", "athalye2018synthesizing"}
    assert used <= set(bibliography())
    assert set(bibliography()) == used | set(ALWAYS) | reported | {"yan2024reconsidering"}


@pytest.mark.parametrize("key", sorted(bibliography()))
def test_an_entry_can_be_found_and_parsed(key):
    entry = bibliography()[key]
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", entry, flags=re.MULTILINE))
    assert len(fields) == len(entry.splitlines()) - 2
    assert entry.count("{") == entry.count("}")
    assert re.fullmatch(r"(19|20)\d\d", fields["year"])
    assert {"title", "author"} <= set(fields) or "note" in fields, "without a title a note says what it is"
    assert {"title", "author", "howpublished"} & set(fields)
    assert ("eprint" in fields) == ("archiveprefix" in fields)
    if not entry.startswith("@misc"):
        assert {"title", "author"} <= set(fields)


def parsed(text):
    """A strict reader of BibTeX: kind, key and fields of every entry, braces counted."""
    found, at = [], 0
    while at < len(text):
        head = re.compile(r"\s*@(\w+)\{([\w-]+),\s*").match(text, at)
        assert head, text[at : at + 80]
        fields, at = {}, head.end()
        while text[at] != "}":
            name = re.compile(r"(\w+)\s*=\s*\{").match(text, at)
            assert name, text[at : at + 80]
            end, depth = name.end(), 1
            while depth:
                depth += {"{": 1, "}": -1}.get(text[end], 0)
                end += 1
            assert name[1] not in fields
            fields[name[1]] = text[name.end() : end - 1]
            at = re.compile(r",?\s*").match(text, end).end()
        found.append((head[1], head[2], fields))
        at = re.compile(r"\s*").match(text, at + 1).end()
    return found


NEEDED = {
    "article": "journal",
    "incollection": "booktitle",
    "inproceedings": "booktitle",
    "misc": "year",
    "software": "version",
}


def test_the_file_is_bibtex_without_duplicates_and_sorted():
    entries = parsed(files("art_snn").joinpath("bibliography.bib").read_text())
    keys = [key for _, key, _ in entries]
    assert keys == sorted(set(keys)) == sorted(bibliography())
    titles = [re.sub(r"\W", "", fields["title"]).lower() for _, _, fields in entries if "title" in fields]
    assert len(titles) == len(set(titles))
    for kind, key, fields in entries:
        assert NEEDED[kind] in fields, key
        assert all(value.isascii() and value.strip() == value != "" for value in fields.values()), key


def test_a_citation_is_bibtex():
    for name in [*SOURCES, *OURS]:
        assert {key for _, key, _ in parsed(citation(name))} >= set(ALWAYS)


def test_the_package_cites_itself_as_its_citation_file_says():
    entry, file = bibliography()["artsnn"], (ROOT / "CITATION.cff").read_text()
    assert f"version = {{{art_snn.__version__}}}" in entry
    assert f"version: {art_snn.__version__}\n" in file
    (title,) = re.findall(r'^title: "(.*)"', file, flags=re.MULTILINE)
    assert title in re.sub(r"[{}]", "", entry)
    (author,) = re.findall(r'^  - name: "(.*)"', file, flags=re.MULTILINE)
    assert author in entry


def test_without_a_method_only_the_three_packages_are_cited():
    assert keys(citation()) == sorted(ALWAYS)


def test_names_classes_and_instances_agree():
    assert citation("HART") == citation(art_snn.gradients.HART) == citation(art_snn.gradients.HART())
    assert keys(citation("trades", "HART")) == sorted([*ALWAYS, "zhang2019trades", "hao2024threaten"])


def test_a_subclass_cites_its_base():
    class Mine(ASSG):
        pass

    assert citation(Mine) == citation(ASSG)


@pytest.fixture
def classifier():
    body = nn.Sequential(layer.Flatten(step_mode="m"), nn.Linear(16, 6), DLIF(T=4), nn.Linear(6, 3))
    net = SpikingNetwork(Transformed(Latency(4), FrameDrop(3, 4)), body)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 3, clip_values=(0.0, 1.0))


NETWORK = {"thorpe2001", "levine2020ablation", "ding2024stable", "rathi2020"}


def test_a_classifier_cites_its_parts(classifier):
    assert set(keys(citation(classifier))) == {*ALWAYS, *NETWORK}
    assert citation(classifier) == citation(classifier.model)


def test_a_policy_in_force_is_part_of_the_network(classifier):
    with classifier.gradient(ASSG()):
        assert set(keys(citation(classifier))) == {*ALWAYS, *NETWORK, "assg2025"}


def test_an_attack_cites_itself_and_its_policy_but_not_the_model(classifier):
    found = set(keys(citation(SNNAutoPGD(classifier, policy=ASSG()))))
    assert found == {*ALWAYS, "croce2020reliable", "croce2021mind", "assg2025"}


def test_a_preprocessor_cites_its_transform():
    found = set(keys(citation(SpikePreprocessor(BackgroundActivityFilter(2, 1)))))
    assert found == {*ALWAYS, "marchisio2021rsnn"}


@pytest.mark.parametrize(("wrong", "near"), [("spikeretimng", "SpikeRetiming"), ("tradess", "trades")])
def test_an_unknown_name_is_an_error_with_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        citation(wrong)


def test_an_object_without_source_is_an_error():
    with pytest.raises(ValueError, match="Generator"):
        citation(torch.Generator())


def test_a_comparison_cites_what_ran():
    entries = {"hao2024threaten": bibliography()["hao2024threaten"]}
    records = [{"kind": "run"}, {"kind": "references", "entries": entries}]
    result = Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, records)
    assert keys(citation(result)) == sorted([*ALWAYS, "hao2024threaten"])
