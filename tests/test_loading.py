"""Where a model is loaded from: a folder that is not there is said at once, and nothing is asked of the hub for it."""

import time
from pathlib import Path

import interp_core as interp
import pytest
import transformers
from interp_core.errors import InputError


@pytest.fixture
def no_lookup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory with one model's folder in it, and a hub that must not be asked."""

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", asked)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "emotion-tiny").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("path", ["models/emotion-tinyy", "./emotion", "~/emotion-tiny", "modells/", "a/b/c"])
def test_a_mistyped_folder_is_not_looked_up_on_the_hub(path: str, no_lookup: Path) -> None:
    with pytest.raises(InputError, match="is not a folder with a model") as raised:
        interp.load(path)
    assert "owner/name" in str(raised.value)


def test_the_folder_that_was_meant_is_named(no_lookup: Path) -> None:
    with pytest.raises(InputError, match=r"Near: models/emotion-tiny\."):
        interp.load("models/emotion-tinyy")


def test_what_is_neither_a_folder_nor_known_to_the_hub_is_said_in_seconds(no_lookup: Path) -> None:
    start = time.monotonic()
    with pytest.raises(InputError, match="not a folder here, and neither the hub"):
        interp.load("emotion-tinyy")
    assert time.monotonic() - start < 15


def test_an_option_for_the_hub_asks_the_hub(no_lookup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.utils.hub.has_file", lambda *_, **__: True)
    with pytest.raises(AssertionError, match="the hub was asked"):
        interp.load("models/some-model", revision="main")
