"""The package's face: lazy, complete, and helpful where a name is missing."""

import importlib
import subprocess
import sys

import pytest

import art_snn


@pytest.mark.parametrize("name", art_snn.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(art_snn, name)
    assert name in dir(art_snn)
    assert name == "__version__" or value.__doc__


def test_importing_the_package_imports_neither_torch_nor_art():
    code = "import sys, art_snn; print(sorted({'torch', 'art', 'spikingjelly'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_arts_spelling_is_answered():
    with pytest.raises(AttributeError, match=r"art_snn\.defenses"):
        _ = art_snn.defences
    with pytest.raises(ImportError, match=r"art_snn\.defenses"):
        importlib.import_module("art_snn.defences")


def test_unknown_names_list_the_known_ones():
    with pytest.raises(AttributeError, match="public names"):
        _ = art_snn.SpikingNetwrok
