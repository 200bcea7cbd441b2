"""Parameters of every installed method: a value of another type than its field is refused before it is made."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import types
import typing
import warnings
from typing import Any, Literal

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Attribution, Options, Session, ask, explain
from interp_core.errors import InputError
from interp_core.plugin import _registry as registry
from interp_core.plugin import catalogue, implementation, method, methods, resolve
from interp_core.testing import TopicLLM, planted_model, tiny_classifier, tiny_generator, tiny_tagger, topic_world

WRONG: dict[type, list[object]] = {  # values that a field of exactly this type does not take
    int: [2.5, "3", True, None, float("nan"), [1]],
    float: ["a", True, float("nan"), float("inf"), None],
    bool: [1, "yes", None],
    str: [3, b"cpu", None],
}
FIELDS = [
    pytest.param(m, f.name, hints[f.name], id=f"{m.name}.{f.name}")
    for m in methods()
    for hints in [typing.get_type_hints(implementation(m))]
    for f in dataclasses.fields(implementation(m))
    if hints[f.name] is not Any
]


@pytest.mark.parametrize(("declared", "field", "hint"), FIELDS)
def test_a_value_of_another_type_than_its_field_is_refused(declared: interp.Method, field: str, hint: Any) -> None:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for value in (v for kind in kinds for v in WRONG.get(kind, []) if not (v is None and types.NoneType in kinds)):
        if not (float in kinds and isinstance(value, float) and value == 2.5):
            with pytest.raises(InputError, match=f"'{declared.name}': {field} is .* was expected"):
                method(declared.name, declared.kind, **{field: value})
    if field in ("seed", "concepts"):
        with pytest.raises(InputError, match=f"{field} is -1; a whole number of at least"):
            method(declared.name, declared.kind, **{field: -1})


@pytest.mark.parametrize("declared", methods(), ids=lambda m: m.name)
def test_what_a_method_has_by_default_is_of_its_own_types(declared: interp.Method) -> None:
    instance = method(declared.name, declared.kind)
    if declared.kind == "llm":
        return  # asks for a key
    assert registry._instance(instance, declared.kind) is instance


@dataclasses.dataclass(frozen=True)
class Many:
    """Parameters of every kind of type."""

    form: Literal["first", "second"] = "first"
    bins: typing.Sequence[float] = (1.0,)
    pairs: tuple[int, ...] = ()
    prices: tuple[float, float] | None = None
    headers: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    hidden: int = dataclasses.field(default=0, repr=False)
    either: bool | Literal["auto"] = "auto"
    anything: Any = None
    of_the_program: torch.Tensor | None = None
    unreadable: Nowhere = 3  # type: ignore[name-defined]

    def attribute(self, question: interp.Question) -> torch.Tensor:
        return torch.zeros(len(question.targets), len(question.units))


def test_types_of_every_kind_are_told_apart() -> None:
    fields = [f for f in dataclasses.fields(Many) if f.name != "unreadable"]
    made = dataclasses.make_dataclass("Made", [(f.name, f.type, f) for f in fields], frozen=True)
    made.__module__ = __name__
    from interp_core.plugin._arguments import check_types

    check_types(
        made,
        {
            "form": "second",
            "bins": [1, 2.5],
            "pairs": [1],
            "prices": [1, 2],
            "headers": {},
            "either": True,
            "anything": object(),
        },
        "made",
    )
    for wrong, said in (
        ({"form": "secnd"}, "'first' or 'second' was expected. Did you mean 'second'?"),
        ({"bins": 3}, "a sequence, each a finite number, was expected"),
        ({"bins": ["a"]}, "a sequence, each a finite number, was expected"),
        ({"bins": "abc"}, "a sequence, each a finite number, was expected"),
        ({"pairs": [1.5]}, "a sequence, each a whole number, was expected"),
        ({"prices": (1.0,)}, "2 values (a finite number, a finite number) or None was expected"),
        ({"prices": (1.0, float("nan"))}, "2 values (a finite number, a finite number) or None was expected"),
        ({"headers": "a"}, "headers is of type str; a mapping was expected"),
        ({"hidden": "a secret"}, "hidden is of type str; a whole number was expected"),
        ({"either": "atuo"}, "True or False or 'auto' was expected. Did you mean 'auto'?"),
    ):
        with pytest.raises(InputError) as caught:
            check_types(made, wrong, "made")
        assert said in str(caught.value)
    check_types(Many, {"form": 3, "unreadable": "x"}, "many")  # annotations that cannot be read promise nothing


def test_values_of_an_instance_are_checked_where_a_verb_takes_it() -> None:
    wrong = object.__new__(implementation(registry.find_method("lime")))
    for field, value in {"samples": 2.5, "kernel_width": 0.25, "ridge": 0.0, "tolerance": None, "seed": 0}.items():
        object.__setattr__(wrong, field, value)
    with pytest.raises(InputError, match=r"'Lime': samples is 2\.5"):
        resolve(wrong, "attribution")


DIRECTLY = """
import json, sys
from interp_hf_llm.hf_llm import HFLLM
from interp_label_scores.detection import Detection, Fuzzing
from interp_label_scores.embedding_match import EmbeddingMatch
from interp_label_scores.intruder import Intruder
from interp_label_scores.simulation import Simulation
from interp_llm.asking import ask, check_ready
from interp_llm.scripted import Scripted
from interp_llm_labels.labels import LLMLabels
from interp_openai.client import OpenAI
TALK = [[{"role": "user", "content": "a"}]]
for source in sys.stdin.read().splitlines():
    try:
        eval(source)
        print("nothing")
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""
SECRET = "sk-0123456789"
REFUSED = {
    "LLMLabels(examples='a')": "'LLMLabels': examples is 'a'; a whole number was expected",
    "LLMLabels(cache=5)": "cache is 5; a string or None was expected",
    "LLMLabels(sampling=3)": "sampling is 3; a string was expected",
    "Detection(bins=None)": "bins is None; a whole number was expected",
    "Fuzzing(threshold='half')": "threshold is 'half'; a finite number was expected",
    "Simulation(permuted='no')": "permuted is 'no'; True or False was expected",
    "Intruder(trials=2.5)": "trials is 2.5; a whole number was expected",
    "EmbeddingMatch(seed='x')": "seed is 'x'; a whole number was expected",
    "HFLLM(batch_size=None)": "batch_size is None; a whole number was expected",
    "HFLLM(template=5)": "template is of type int; a mapping or None was expected",
    "OpenAI(timeout='long')": "timeout is 'long'; a finite number was expected",
    "OpenAI(base_url=3)": "base_url is 3; a string or None was expected",
    "OpenAI(key_from=3)": "key_from must be the name of an environment variable",
    "OpenAI(prices=('1', '2'))": "2 values (a finite number, a finite number) or None was expected",
    f"OpenAI(extra_headers='Bearer {SECRET}')": "extra_headers is of type str; a mapping or None was expected",
    f"OpenAI(headers_from='{SECRET}')": "headers_from must name",
    "Scripted(5)": "a mapping, a sequence or a function of the conversation was expected",
    "Scripted(answer_tokens='many')": "answer_tokens is 'many'; a whole number was expected",
    "Scripted(prices=(1.0, float('nan')))": "2 values (a finite number, a finite number) or None was expected",
    "ask('scripted', TALK, cache=5)": "cache is 5; the path of a folder was expected",
    "ask('scripted', TALK, cache=True)": "cache is True; the path of a folder was expected",
    "check_ready('scripted', cache=[])": "cache is []; the path of a folder was expected",
    "ask('scripted', 5)": "conversations is '5'; a list of conversations was expected",
    "ask('scripted', 'What is a pear?')": "a list of conversations was expected",
    "ask('scripted', TALK, schema=5)": "a JSON schema was expected",
}


def test_what_is_made_or_called_directly_refuses_other_types_in_words() -> None:
    """In a process of its own, since types are checked at run time in this one."""
    command = [sys.executable, "-c", DIRECTLY]
    done = subprocess.run(command, input="\n".join(REFUSED), capture_output=True, text=True, check=True, timeout=300)
    said = dict(zip(REFUSED, done.stdout.splitlines(), strict=True))
    wrong = {source: said[source] for source, part in REFUSED.items() if part not in said[source]}
    assert not wrong and all(one.startswith("InputError: ") for one in said.values()) and SECRET not in done.stdout


class Keyless(TopicLLM):
    """A language model that cannot be asked."""

    def ready(self) -> None:
        raise InputError("there is no key")


def test_what_cannot_run_says_so_before_anything_is_computed() -> None:
    activations, space = topic_world()
    with pytest.raises(InputError, match="there is no key"):
        resolve(Keyless(), "llm")
    space.encode = lambda values: pytest.fail("was encoded")  # type: ignore[method-assign]
    with pytest.raises(InputError, match="there is no key"):
        interp.interpret(space, activations, by="llm-labels", llm=Keyless())


def test_a_device_that_is_not_there_is_refused_in_words() -> None:
    activations, _ = topic_world()
    with pytest.raises(InputError, match="semi-nmf cannot compute on device 'cdua'"):
        interp.fit_concepts(activations, by="semi-nmf", concepts=2, device="cdua")


def test_what_is_read_from_the_package_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        catalogue()["methods"]["lime"] = "interp-mine"  # type: ignore[index]
    assert catalogue()["methods"]["lime"] == "interp-lime"


def test_a_misspelt_name_of_the_package_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"interp_core has no 'atribute'. Did you mean 'attribute'\?"):
        _ = interp.atribute


def test_a_path_of_0_1_lists_its_names_and_answers_a_misspelt_one() -> None:
    import interp_core.question as old

    assert {"Question", "ask"} <= set(dir(old))
    with pytest.raises(AttributeError, match=r"has no 'Questoin'. Did you mean 'Question'\?"):
        _ = old.Questoin
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        taken: dict[str, Any] = {}
        exec("from interp_core.question import *", taken)
    assert taken["Question"] is interp.Question


def test_one_question_explained_alone_knows_how_it_was_made() -> None:
    question = ask(lambda v: 10 * v.sum(1), torch.tensor([[1.0], [2.0]]), names=["one", "two"])
    found = explain(interp.method("lime", samples=16), question)
    assert isinstance(found, Attribution) and "Ribeiro" in found.made_by.source
    assert found.made_by.parameters["samples"] == 16 and found.made_by.cost.rows == question.rows > 0


def test_a_question_about_a_layer_reads_the_states_it_was_not_given() -> None:
    model = tiny_classifier()
    session = Session(model, Options(layer=0, progress=False))
    (prepared,) = session.prepare(["i feel so happy"], 0, "word")
    (given,) = session.each([prepared], [lambda q: q.x.clone()], "states")
    question = session.question(prepared)
    assert torch.allclose(question.x, given, atol=1e-6)
    with torch.no_grad():
        whole = model.model(prepared.encoded.ids[None], output_hidden_states=True).hidden_states[1][0]
    assert torch.allclose(question.x, whole, atol=1e-5)


def test_words_of_a_span_with_different_tags_are_all_named() -> None:
    model = tiny_tagger()
    names = list(model.tags)
    (one,) = interp.attribute(model, "the sun was warm", by="occlusion", targets=interp.at("sun was"), progress=False)
    (apart,) = interp.attribute(
        model, "the sun was warm", by="occlusion", targets=(interp.at("sun"), interp.at("was")), progress=False
    )
    tags = [t.label.split(": ")[1] for t in apart.targets]
    assert set(tags) <= set(names) and one.targets[0].label == f"sun was: {' '.join(dict.fromkeys(tags))}"


def chatting() -> interp.TextModel:
    model = tiny_generator()
    model.tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}so"
    return model


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"type": "text", "text": "a"}, {"type": "image"}], r"of user is 2 parts \(text, image\); give one string"),
        ([{"type": "image", "url": "x"}], r"is 1 parts \(image\)"),
        (None, "is NoneType; give one string"),
        (3, "is int; give one string"),
    ],
)
def test_a_message_of_more_than_text_is_refused(content: object, said: str) -> None:
    model = chatting()
    with pytest.raises(InputError, match=said):
        model.encoder.prompt([{"role": "user", "content": content}])


def test_a_message_of_one_part_of_text_is_that_text() -> None:
    model = chatting()
    part = [{"role": "user", "content": [{"type": "text", "text": "so happy"}]}]
    whole = [{"role": "user", "content": "so happy"}]
    assert model.encoder.prompt(part).ids.tolist() == model.encoder.prompt(whole).ids.tolist()


def test_a_method_that_is_not_known_stops_a_benchmark_before_any_text_is_explained() -> None:
    model = planted_model({"happy": (3.0, -1.0)})
    model.forward = lambda *_a, **_k: pytest.fail("the model was asked")  # type: ignore[method-assign]
    with pytest.raises(interp.InterpError, match="No installed method is called 'limme'"):
        interp.benchmark(model, ["so happy"] * 5, methods=["occlusion", "limme"], metrics="insertion", progress=False)
