"""The value: how edges are chosen, what it says, and that it is the same when it is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError
from interp_core.results import MadeBy
from interp_core.testing import tiny_generator, tiny_llama, word_tokenizer
from interp_edge_attribution.estimators import EAPIG
from interp_edge_attribution.faithfulness import area
from torch import Tensor

TEXT, OTHER = "i feel so happy", "a dog was sad"


def circuit_of(scores: list[float], **fields: Any) -> interp.Circuit:
    """A head and an MLP between the embeddings and the logits: six edges."""
    given: dict[str, Any] = {
        "writers": ("embeddings", "L0.H0", "L0.MLP"),
        "readers": ("L0.H0.V", "L0.MLP", "logits"),
        "feeds": (("L0.H0",), ("L0.MLP",), ()),
        "edges": torch.tensor([[0, 0], [0, 1], [1, 1], [0, 2], [1, 2], [2, 2]]),
        "per_text": torch.tensor([scores]),
        "kept": torch.ones(6, dtype=torch.bool),
        "texts": ("so happy",),
        "target": "a < b",
        "made_by": MadeBy("eap"),
    }
    return interp.Circuit(**{**given, **fields})


def kept(circuit: interp.Circuit) -> list[str]:
    return [name for name, one in zip(circuit.edge_names, circuit.kept.tolist(), strict=True) if one]


def test_edges_are_chosen_by_size_or_by_sign() -> None:
    circuit = circuit_of([3.0, -2.0, 0.5, -4.0, 1.0, 0.1])
    assert kept(circuit.of_size(edges=3)) == ["embeddings → L0.H0.V", "embeddings → L0.MLP", "embeddings → logits"]
    by_sign = circuit.of_size(edges=3, choose="sign")
    assert kept(by_sign) == ["embeddings → L0.H0.V", "L0.H0 → L0.MLP", "L0.H0 → logits"]
    negative = circuit_of([-1.0] * 6)
    assert negative.of_size(share=0.5, choose="sign").size == 0 and negative.of_size(share=0.5).size == 3
    assert circuit.of_size(edges=2).threshold == 3.0 and circuit.of_size(edges=0).threshold == float("inf")


def test_edges_on_no_way_from_the_embeddings_to_the_logits_are_left_out() -> None:
    """The head is read by the MLP, which nothing reads; and by the logits, but nothing feeds it."""
    dead_end = circuit_of([5.0, 0.0, 4.0, 3.0, 0.0, 0.0])
    assert kept(dead_end.of_size(edges=3)) == ["embeddings → L0.H0.V", "L0.H0 → L0.MLP", "embeddings → logits"]
    assert kept(dead_end.of_size(edges=3, connected=True)) == ["embeddings → logits"]
    unfed = circuit_of([0.0, 0.0, 0.0, 3.0, 5.0, 0.0])
    assert kept(unfed.of_size(edges=2, connected=True)) == ["embeddings → logits"]
    whole = circuit_of([5.0, 0.0, 4.0, 0.0, 0.0, 3.0])
    assert whole.of_size(edges=3, connected=True).size == 3


def test_nodes_are_what_edges_leave_or_enter() -> None:
    circuit = circuit_of([0.0, 0.0, 4.0, 0.0, 0.0, 3.0])
    assert circuit.of_size(edges=2).nodes == ("L0.H0", "L0.MLP")
    assert circuit.of_size(edges=0).nodes == ()


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({}, "give one of them"),
        ({"edges": 3, "share": 0.5}, "give one of them"),
        ({"edges": 7}, "from 0 to 6"),
        ({"edges": True}, "whole number"),
        ({"share": 1.5}, "from 0 to 1"),
        ({"edges": 2, "choose": "value"}, "size"),
    ],
)
def test_a_size_that_cannot_be_is_refused(size: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        circuit_of([1.0] * 6).of_size(**size)


@pytest.fixture(scope="module")
def measured() -> tuple[interp.Circuit, interp.Faithfulness]:
    model = tiny_llama()
    circuit = interp.find_circuit(model, [TEXT, OTHER], [OTHER, TEXT], targets=" today", progress=False)
    return circuit, interp.faithfulness(circuit, model, "the day was cold", OTHER, targets=" today", progress=False)


def same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else one == other


def test_what_is_saved_is_loaded(measured: tuple[Any, ...], tmp_path: Path) -> None:
    for value, loaded in zip(measured, interp.load_results(interp.save(list(measured), tmp_path)), strict=True):
        assert type(loaded) is type(value)
        assert all(same(mine, getattr(loaded, name)) for name, mine in vars(value).items())
        json.dumps(value.to_json(), allow_nan=False)


def test_values_become_tables(measured: tuple[Any, ...]) -> None:
    circuit, faithful = measured
    table = circuit.columns()
    assert sum(table["kept"]) == circuit.size and len(table["score"]) == len(circuit.edges)
    assert list(faithful.columns()["share"]) == faithful.shares.tolist()
    assert "writer,reader,score,kept" in circuit.to_csv()


def test_a_circuit_says_its_strongest_edges(measured: tuple[Any, ...]) -> None:
    said = str(circuit_of([3.0, -2.0, 0.5, -4.0, 1.0, 0.1]).of_size(edges=2))
    first, strongest, second = said.splitlines()
    assert first == "2 of 6 edges (33.3%) for 'a < b', by eap over 1 text; 2 of 3 components"
    assert (strongest, second) == ("embeddings → logits -4.000", "embeddings → L0.H0.V +3.000")


def test_a_circuit_is_drawn_and_its_names_are_escaped() -> None:
    named = {"writers": ("embeddings", "L0.<H0>", "L0.MLP"), "feeds": (("L0.<H0>",), ("L0.MLP",), ())}
    circuit = circuit_of([3.0, -2.0, 0.5, -4.0, 1.0, 0.1], **named).of_size(edges=2)
    markup = circuit._repr_html_()
    tree = ElementTree.fromstring(markup)
    assert {element.text for element in tree.iter("text")} == {"embeddings", "L0.<H0>", "L0.MLP", "logits"}
    assert len(list(tree.iter("path"))) == 2
    drawn = {text.get_text() for text in circuit.plot().axes[0].texts}
    assert drawn == {"embeddings", "L0.<H0>", "L0.MLP", "logits"}
    with pytest.raises(InputError, match="no option"):
        circuit.plot(kind="bars")


def test_a_curve_is_drawn(measured: tuple[Any, ...]) -> None:
    (axes,) = measured[1].plot().axes
    assert axes.get_xscale() == "log" and len(axes.lines) == len(measured[1].random) + 2


def test_the_area_is_that_of_trapezoids_above_nothing() -> None:
    shares, curve = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([9.0, 0.5, 1.0])
    assert area(shares, curve) == pytest.approx(0.375)


def test_texts_that_the_circuit_was_found_on_are_said() -> None:
    model = tiny_generator()
    circuit = interp.find_circuit(model, TEXT, OTHER, targets=" today", progress=False)
    again = interp.faithfulness(circuit, model, [TEXT, "the day was cold"], OTHER, targets=" today", progress=False)
    assert again.notes == ("1 of 2 texts are among those that the circuit was found on, which flatters it.",)


def test_a_seed_draws_the_same_random_circuits() -> None:
    model = tiny_generator()
    circuit = interp.find_circuit(model, TEXT, OTHER, targets=" today", share=0.5, progress=False)

    def drawn(seed: int) -> Tensor:
        options: dict[str, Any] = {"targets": " today", "progress": False, "seed": seed}
        return interp.faithfulness(circuit, model, "the day was cold", OTHER, **options).random_curves

    assert torch.equal(drawn(0), drawn(0)) and not torch.equal(drawn(0), drawn(1))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": interp.contrast(" today", " sun"), "choose": "value"}, "size"),
        ({"by": "eap", "steps": 3}, "no parameter"),
        ({"by": "eap-ig", "step": 3}, "steps"),
        ({"references": [OTHER, OTHER]}, "2 references were given for 1 text"),
        ({"edges": 500}, "from 0 to 46"),
        ({"share": True}, "from 0 to 1"),
        ({"by": "eap-ig", "steps": 0}, "at least 1"),
        ({"by": "eap-ig", "steps": "x"}, "whole number"),
        ({"by": "eap-ig", "steps": True}, "whole number"),
        ({"by": EAPIG(steps=2), "steps": 3}, "instance"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"references": OTHER, "targets": " today", "progress": False, **options}
    with pytest.raises(InputError, match=said):
        interp.find_circuit(tiny_generator(), TEXT, given.pop("references"), **given)


@pytest.mark.usefixtures("unchecked")
def test_a_measure_that_means_nothing_is_refused() -> None:
    model = tiny_generator()
    circuit = interp.find_circuit(model, TEXT, OTHER, targets=" today", progress=False)
    options: dict[str, Any] = {"targets": " today", "progress": False}
    with pytest.raises(InputError, match="nothing is left to be faithful to"):
        interp.faithfulness(circuit, model, TEXT, TEXT, **options)
    with pytest.raises(InputError, match="other components"):
        interp.faithfulness(circuit, tiny_llama(), TEXT, OTHER, **options)
    for shares in ((0.5, 0.1), 0.5, ["a"], "01", [], [0.0, True], (0.5, 2.0)):
        with pytest.raises(InputError, match="ascending"):
            interp.faithfulness(circuit, model, TEXT, OTHER, shares=shares, **options)
    for name, value in [("samples", -1), ("samples", 2.0), ("seed", "x"), ("seed", -1), ("seed", True)]:
        with pytest.raises(InputError, match=f"{name} is {value!r}"):
            interp.faithfulness(circuit, model, TEXT, OTHER, **{name: value}, **options)
    with pytest.raises(InputError, match="circuit is 3"):
        interp.faithfulness(3, model, TEXT, OTHER, **options)


def served_model() -> interp.RemoteModel:
    return interp.RemoteModel("http://127.0.0.1:9", "a/model", tokenizer=word_tokenizer())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("make", [lambda: tiny_generator().model, served_model, lambda: "gpt2"])
def test_what_is_no_text_model_is_refused(make: Any) -> None:
    options: dict[str, Any] = {"targets": " today", "progress": False}
    with pytest.raises(InputError, match="a TextModel was expected"):
        interp.find_circuit(make(), TEXT, OTHER, **options)
    with pytest.raises(InputError, match="a TextModel was expected"):
        interp.faithfulness(circuit_of([1.0] * 6), make(), TEXT, OTHER, **options)


def test_a_method_by_name_or_instance_is_the_same() -> None:
    model = tiny_generator()
    named = interp.find_circuit(model, TEXT, OTHER, by="occlusion", targets=" today", progress=False)
    given = interp.find_circuit(model, TEXT, OTHER, by=interp.method("occlusion"), targets=" today", progress=False)
    assert torch.equal(named.scores, given.scores) and named.made_by.method == "occlusion"
    assert replace(named, kept=given.kept).size == given.size
