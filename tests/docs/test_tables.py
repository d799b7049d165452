"""No attack without a row, no defense without a paper or a word, no public name without a topic."""

from pathlib import Path

from art_snn.attacks.evasion import GridAttack, PixelAttack
from art_snn.defenses.catalogue import DEFENSES
from art_snn.defenses.trainer import TRAINERS
from art_snn.evaluation import ATTACKS
from art_snn.evaluation.attacks import SUITES

DOCS = Path(__file__).parents[2] / "docs"


def test_every_attack_has_a_row_and_every_row_an_attack(tables):
    assert set(tables.ROWS) == set(tables.attack_classes())


def test_rows_lead_to_pages_that_name_the_attack(tables, api):
    for name, (*_, page) in tables.ROWS.items():
        if page.startswith("api/"):
            assert page.removeprefix("api/") in api.TOPICS
            continue
        assert (DOCS / f"{page}.md").exists()
        assert name in (DOCS / f"{page}.md").read_text(), name


def test_norms_are_those_of_the_classes(tables):
    page = tables.attacks_page()
    for name, kind in tables.attack_classes().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| [{name}]("))
        if issubclass(kind, PixelAttack):
            assert row.split("|")[3].strip() == ", ".join(tables.NORMS[norm] for norm in kind.norms)
        if issubclass(kind, GridAttack):
            assert "k cells" in row


def test_authors_are_written_with_their_accents(tables):
    page = tables.attacks_page() + tables.defenses_page()
    assert all(
        f"[{name}" in page or f"| {name}" in page or f"; {name}" in page for name in ("Büchel", "Riaño", "Özdenizci")
    )
    assert "{" not in page
    assert tables.plain(r"\'Etude {A}") == "Étude A"


def test_names_of_the_command_line_are_listed(tables):
    page = tables.attacks_page()
    assert all(f"| `{name}` |" in page for name in (*ATTACKS, *SUITES))


def test_every_defense_and_trainer_has_a_row(tables):
    page = tables.defenses_page()
    named = {design.trainer for design in DEFENSES.values()}
    assert all(f"| `{name}` |" in page for name, design in DEFENSES.items() if design.twin != name)
    assert all(f"| `{name}` |" in page for name in set(TRAINERS) - named)
    assert page.count("**suspect**") == sum(TRAINERS[design.trainer].masks for design in DEFENSES.values()) + sum(
        entry.masks for name, entry in TRAINERS.items() if name not in named
    )


def test_random_defenses_are_called_random(tables):
    rows = {line.split("`")[1]: line for line in tables.defenses_page().splitlines() if line.startswith("| `")}
    assert "at every prediction" in rows["jitter"]
    assert "at every prediction" in rows["stog"]
    assert "at every prediction" not in rows["at"]


def test_every_public_name_has_one_topic_and_a_first_line(api):
    for item in api.public():
        assert api.topic_of(item) in api.TOPICS
        assert item.title, item.name
