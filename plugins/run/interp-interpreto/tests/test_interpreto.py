"""interpreto's calls give what the same calls of interp give, in both styles, and say so where they cannot."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import pkgutil
import subprocess
import sys
import warnings

import interp_core as interp
import interp_interpreto
import pytest
import torch
import transformers
from interp_core.errors import InputError, InterpWarning, UnsupportedError
from interp_core.testing import planted_model, state_of, tiny_classifier, tiny_generator
from interp_interpreto import ModelWithSplitPoints, attributions, concepts, plot_attributions, plot_concepts
from interp_interpreto.attributions import InferenceModes
from interp_interpreto.attributions.metrics import Deletion, Insertion
from interp_interpreto.commons import Granularity, GranularityAggregationStrategy
from interp_interpreto.concepts import LLMLabels, NeuronsAsConcepts, PCAConcepts, SemiNMFConcepts, TopKInputs
from interp_interpreto.concepts.interpretations import SAMPLING_METHOD
from interp_interpreto.concepts.metrics import FID, MSE, Sparsity, SparsityRatio, Stability
from interp_interpreto.model_wrapping.llm_interface import LLMInterface, OpenAILLM, Role, llm_of
from interp_interpreto.model_wrapping.model_with_split_points import ActivationGranularity
from interp_llm.asking import ask
from notebook_worlds import byte_tokenizer

TEXTS = ["so happy today", "the cat was sad", "a good dog", "very tired"]
WORD, CLS = ActivationGranularity.WORD, ActivationGranularity.CLS_TOKEN
MODULES = [
    m.name for m in pkgutil.walk_packages(interp_interpreto.__path__, "interp_interpreto.") if "._" not in m.name
]


@pytest.fixture(scope="module")
def tiny():
    return tiny_classifier()


@pytest.fixture(scope="module")
def split(tiny):
    return ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])


@pytest.fixture(scope="module")
def words(split):
    return split.get_activations(TEXTS, WORD, include_predicted_classes=True)


@pytest.fixture(scope="module")
def fitted(split, words):
    explainer = PCAConcepts(split, nb_concepts=3)
    explainer.fit(words)
    return explainer


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module):
    done = doctest.testmod(
        importlib.import_module(module),
        globs=None,
        extraglobs={"torch": torch, "interp": interp},
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert done.failed == 0


def test_all_explainers_are_tried():
    made = {n for n in attributions.__all__ if getattr(getattr(attributions, n), "method", "")}
    assert made == set(EXPLAINERS) and set(CONCEPTS) == {n for n in concepts.__all__ if n.endswith("Concepts")}


def test_a_wrong_name_is_none():
    with pytest.raises(AttributeError, match="Limes"):
        interp_interpreto.Limes  # noqa: B018


# Attributions


EXPLAINERS = {
    "GradientShap": interp.method("gradient-shap"),
    "IntegratedGradients": interp.method("integrated-gradients"),
    "KernelShap": interp.method("kernel-shap"),
    "Lime": interp.method("lime"),
    "Occlusion": interp.method("occlusion"),
    "Saliency": interp.method("input-x-gradient"),
    "SmoothGrad": interp.method("smooth-grad"),
    "Sobol": interp.method("sobol", order="first"),
    "SquareGrad": interp.method("square-grad"),
    "VarGrad": interp.method("var-grad"),
}


@pytest.mark.parametrize(("name", "method"), EXPLAINERS.items())
def test_each_explainer_is_its_method(name, method, tiny):
    explainer = getattr(attributions, name)
    (output,) = explainer(tiny.model, tiny.tokenizer)(TEXTS[0], targets=torch.tensor([[0, 2]]))
    same = interp.attribute(tiny, TEXTS[0], by=method, targets=[0, 2], score="logit", progress=False)[0]
    assert torch.equal(output.attributions, same.scores) and output.elements == same.words
    assert output.targets.tolist() == output.classes.tolist() == [0, 2]
    assert output.model_inputs_to_explain["input_ids"].shape == (1, 5)


def test_occlusion_says_what_each_word_is_worth():
    model = planted_model({"happy": (2.0, 0.0), "sad": (0.0, 3.0)})
    explainer = attributions.Occlusion(model)
    joy, grief = explainer(["so happy", "sad"], targets=torch.tensor([0, 1]))
    assert joy.attributions.tolist() == [[0.0, 2.0]] and grief.attributions.tolist() == [[3.0]]


@pytest.mark.parametrize(
    ("targets", "count", "expected"),
    [
        (None, 2, None),
        (1, 1, [[1]]),
        (torch.tensor(1), 1, [[1]]),
        ("LABEL_2", 1, [[2]]),
        (["LABEL_1", ["LABEL_0", "LABEL_2"]], 2, [[1], [0, 2]]),
        (torch.tensor([0, 2]), 2, [[0], [2]]),
        (torch.tensor([[0, 1], [2, 1]]), 2, [[0, 1], [2, 1]]),
        ([0, 2], 2, [[0], [2]]),
        ([torch.tensor([0, 1]), torch.tensor([2])], 2, [[0, 1], [2]]),
    ],
)
def test_targets_are_those_of_each_text(targets, count, expected, tiny):
    outputs = attributions.Saliency(tiny.model, tiny.tokenizer)(TEXTS[:count], targets=targets)
    if expected is None:
        expected = [[int(tiny_class)] for tiny_class in predicted_by(tiny, TEXTS[:count])]
    assert [output.targets.tolist() for output in outputs] == expected


def predicted_by(model, texts):
    with torch.no_grad():
        return [model.model(**model.tokenizer(text, return_tensors="pt")).logits.argmax() for text in texts]


def test_what_is_explained_of_token_ids_is_what_they_say(tiny):
    """Special tokens within the text are part of it; those around it are not, and pairs are told from texts."""
    explainer, tokenizer = attributions.Occlusion(tiny.model, tiny.tokenizer), tiny.tokenizer
    for text in ("so [MASK] today", "so [UNK] happy", "the cat was sad"):
        for encoded in (tokenizer(text, return_tensors="pt"), tokenizer([text]), tokenizer(text)["input_ids"]):
            given = torch.tensor([encoded]) if isinstance(encoded, list) else encoded
            (output,) = explainer(given, targets=1)
            assert output.model_inputs_to_explain["input_ids"][0].tolist() == tokenizer(text)["input_ids"]
    bare = tokenizer("so happy", add_special_tokens=False, return_tensors="pt")
    assert explainer(bare, targets=1)[0].elements == ["so", "happy"]
    with pytest.raises(InputError, match="tuple of strings"):
        explainer(tokenizer("so happy", "today", return_tensors="pt"), targets=1)
    assert len(explainer([("so happy", "today")], targets=1)[0].elements) == 3
    assert [o.elements for o in explainer(tokenizer(TEXTS[:2]), targets=[0, 1])] == [t.split() for t in TEXTS[:2]]


def test_encoded_texts_are_taken_and_ids_of_no_text_refused(tiny):
    explainer = attributions.Occlusion(tiny.model, tiny.tokenizer)
    encoded = tiny.tokenizer(TEXTS[:2], padding=True, return_tensors="pt")
    plain, from_ids = explainer(TEXTS[:2], targets=[0, 1]), explainer(encoded, targets=[0, 1])
    assert [o.elements for o in plain] == [o.elements for o in from_ids]
    assert all(torch.equal(a.attributions, b.attributions) for a, b in zip(plain, from_ids, strict=True))
    with pytest.raises(InputError, match="a text is float"):
        explainer(0.5)


def test_generators_explain_continuations_and_their_own_answer():
    tiny = tiny_generator()
    explainer = attributions.Occlusion(tiny.model, tiny.tokenizer)
    (output,) = explainer("i feel so", targets="happy today")
    same = interp.attribute(tiny, "i feel so", by="occlusion", targets=" happy today", score="logit", progress=False)[0]
    assert torch.equal(output.attributions, same.scores) and output.classes is None
    assert output.model_task.value == "generation"
    ids = torch.tensor(tiny.tokenizer(" happy today", add_special_tokens=False)["input_ids"])
    assert torch.equal(explainer("i feel so", targets=ids)[0].attributions, output.attributions)
    assert len(explainer("i feel so", max_new_tokens=3)[0].targets) == 3
    auc, curves = Insertion(tiny.model, tiny.tokenizer).evaluate([output])
    assert 0 <= auc <= 1 and len(curves[0]) == 2
    assert [len(c) for c in curves[0]] == [int(a.sum()) + 1 for a in output.attribution.applicable]


def test_modes_and_units_are_those_asked_for(tiny):
    for mode in InferenceModes:
        output = attributions.Occlusion(tiny.model, tiny.tokenizer, inference_mode=mode)(TEXTS[0])[0]
        assert output.attribution.score_space == mode.value
    of_tokens = attributions.Occlusion(tiny.model, tiny.tokenizer, granularity=Granularity.TOKEN)
    assert of_tokens(TEXTS[0])[0].attribution.made_by.settings["granularity"] == "token"
    with pytest.warns(InterpWarning, match="special tokens"):
        attributions.Occlusion(tiny.model, tiny.tokenizer, granularity=Granularity.ALL_TOKENS)


def test_a_baseline_is_where_a_path_starts(tiny):
    zero = attributions.IntegratedGradients(tiny.model, tiny.tokenizer, baseline=0)(TEXTS[0], targets=[1])[0]
    same = interp.attribute(tiny, TEXTS[0], by="integrated-gradients", targets=1, removal="zero", progress=False)[0]
    assert torch.equal(zero.attributions, same.scores)
    lifted = attributions.IntegratedGradients(tiny.model, tiny.tokenizer, baseline=0.5)(TEXTS[0], targets=[1])[0]
    assert not torch.equal(lifted.attributions, zero.attributions)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "said"),
    [
        ("Lime", {"n_perturbation": 5}, InputError, "n_perturbation"),
        ("Lime", {"perturb_probability": 0.3}, UnsupportedError, "perturb_probability=0.5"),
        ("Lime", {"distance_function": attributions.Lime.distance_functions.HAMMING}, UnsupportedError, "COSINE"),
        ("Lime", {"baseline": 0}, InputError, "baseline"),
        ("Lime", {"granularity": "letter"}, InputError, "Granularity.WORD"),
        ("Lime", {"inference_mode": "softmax"}, InputError, "InferenceModes"),
        ("Lime", {"device": "cuda"}, InputError, "move the model yourself"),
        ("Saliency", {"granularity_aggregation_strategy": GranularityAggregationStrategy.MAX}, UnsupportedError, "MAX"),
        ("Lime", {"input_x_gradient": True}, InputError, "input_x_gradient"),
        ("Lime", {"device": "gpu"}, InputError, "device is 'gpu'"),
        ("IntegratedGradients", {"baseline": "zero"}, InputError, "baseline is 'zero'"),
        ("SmoothGrad", {"noise_std": 0.1}, UnsupportedError, "noise=…"),
        ("SmoothGrad", {"input_x_gradient": False}, UnsupportedError, "multiplies"),
        ("SquareGrad", {"input_x_gradient": True}, UnsupportedError, "does not multiply"),
    ],
)
def test_what_an_explainer_cannot_do_is_said_when_it_is_made(name, arguments, error, said, tiny):
    with pytest.raises(error, match=said):
        getattr(attributions, name)(tiny.model, tiny.tokenizer, **arguments)


def test_what_a_call_cannot_do_is_said(tiny):
    explainer = attributions.Occlusion(tiny.model, tiny.tokenizer)
    with pytest.raises(InputError, match="one for each was expected"):
        explainer(TEXTS[:2], targets=[0])
    with pytest.raises(InputError, match="numbers of classes"):
        explainer(TEXTS[0], targets=[0.5])
    with pytest.raises(InputError, match="max_new_token'"):
        explainer(TEXTS[0], max_new_token=3)
    with pytest.raises(InputError, match="there is no tokenizer"):
        attributions.Occlusion(tiny.model)
    with pytest.raises(InputError, match="no attributions"):
        Insertion(tiny.model, tiny.tokenizer).evaluate([])


def test_areas_are_those_of_the_curves(tiny):
    explainer = attributions.Occlusion(tiny.model, tiny.tokenizer)
    outputs = explainer(TEXTS[:2], targets=[torch.tensor([0]), torch.tensor([1, 0, 2])])
    for metric in (Insertion(tiny.model, tiny.tokenizer), Deletion(tiny.model, tiny.tokenizer)):
        auc, curves = metric(outputs)
        assert [len(own) for own in curves] == [1, 3] and {len(c) for c in curves[0]} == {4}
        areas = [[float(torch.trapezoid(c)) / (len(c) - 1) for c in own] for own in curves]
        assert auc == pytest.approx(sum(sum(own) / len(own) for own in areas) / 2, abs=1e-6)
        with torch.no_grad():
            whole = tiny.model(**tiny.tokenizer(TEXTS[0], return_tensors="pt")).logits.softmax(-1)[0, 0]
        end = curves[0][0][-1 if isinstance(metric, Insertion) else 0]
        assert float(end) == pytest.approx(float(whole), abs=1e-5)


def test_means_of_tokens_are_read_as_sums_and_it_is_said(tiny):
    with pytest.warns(InterpWarning, match="MEAN is read as SUM"):
        explainer = attributions.Saliency(
            tiny.model, tiny.tokenizer, granularity_aggregation_strategy=GranularityAggregationStrategy.MEAN
        )
    assert explainer(TEXTS[0])[0].granularity_aggregation_strategy is GranularityAggregationStrategy.SUM
    with pytest.warns(InterpWarning, match="n_perturbations has no effect"):
        Insertion(tiny.model, tiny.tokenizer, n_perturbations=4)
    assert attributions.Sobol(tiny.model, tiny.tokenizer, sampler=attributions.Sobol.samplers.SOBOL).by.order == "first"


def test_saliency_without_the_input_is_the_size_of_gradients(tiny):
    size = attributions.Saliency(tiny.model, tiny.tokenizer, input_x_gradient=False)
    assert size.by == interp.method("saliency")
    assert attributions.Saliency(tiny.model, tiny.tokenizer).by == interp.method("input-x-gradient")


# Activations


def test_activations_are_found_by_path_and_number_and_chosen_by_rows(split, words):
    own = split.at().activations(TEXTS, granularity="word", predictions=True, progress=False)
    assert torch.equal(words[split.split_points[0]], own.values) and torch.equal(words[1], own.values)
    assert torch.equal(words["predictions"], own.predictions[own.text_of])
    chosen = (words["predictions"] == words["predictions"][0]).nonzero(as_tuple=True)[0]
    some = {key: rows[chosen] for key, rows in words.items()}
    assert torch.equal(split.get_split_activations(some), own.values[chosen])
    with pytest.raises(InputError, match="no activations of 0"):
        words[0]


def test_rows_that_were_changed_are_those_that_are_used(split):
    changed = split.get_activations(TEXTS, WORD)
    path = split.split_points[0]
    changed[path] = changed[path][:5]
    learnt, same = PCAConcepts(split, nb_concepts=2), PCAConcepts(split, nb_concepts=2)
    learnt.fit(changed)
    same.fit({path: changed[path]})
    assert torch.equal(learnt.get_dictionary(), same.get_dictionary())
    assert learnt.space.made_by.settings["granularity"] == "given"
    assert FID(learnt).compute(changed) == FID(learnt).compute({path: changed[path]})
    changed[path] = split.get_activations(TEXTS, WORD)[path].relu()
    words = TopKInputs(concept_explainer=learnt).interpret(inputs=TEXTS, latent_activations=changed)
    assert words == TopKInputs(concept_explainer=learnt).interpret(
        inputs=TEXTS, latent_activations={path: changed[path]}
    )


def test_concepts_are_of_one_layer(tiny):
    both = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[0, 1])
    explainer = NeuronsAsConcepts(both, split_point=0)
    assert explainer.concept_output_gradient(TEXTS[:1], 2, split_point=0, activation_granularity=CLS)[0].shape[0] == 1
    for call in (
        lambda: explainer.concept_output_gradient(TEXTS[:1], split_point=1, activation_granularity=CLS),
        lambda: explainer.interpret(TopKInputs, inputs=TEXTS, split_point=1),
    ):
        with pytest.raises(InputError, match="leave split_point out"):
            call()


def test_rows_by_text(split):
    listed = split.get_activations(TEXTS, WORD, flatten_activations=False, include_predicted_classes=True)
    assert [len(rows) for rows in listed[1]] == [3, 4, 3, 2] and len(listed["predictions"]) == 4
    flat = split.get_activations(TEXTS, WORD)
    assert torch.equal(split.get_split_activations(listed), flat[1])


def test_several_layers_are_read_in_one_pass(tiny):
    both = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[0, "bert.encoder.layer.1.output"])
    assert both.split_points == ["bert.encoder.layer.0", "bert.encoder.layer.1.output"]
    read = both.get_activations(TEXTS, CLS)
    assert read[0].shape == read["bert.encoder.layer.1.output"].shape == (4, 16)
    assert {one.made_by.cost.forwards for one in read.of.values()} == {1}  # the same one
    with pytest.raises(InputError, match="split_point=…"):
        PCAConcepts(both, nb_concepts=2)
    assert PCAConcepts(both, nb_concepts=2, split_point=0).split_point == "bert.encoder.layer.0"
    with pytest.raises(InputError, match="not split at 1"):
        both.at(1)


def test_a_model_is_loaded_by_name_or_taken_as_it_lies(tiny, tmp_path):
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    from transformers import AutoModelForSequenceClassification

    loaded = ModelWithSplitPoints(
        str(tmp_path), split_points=-1, automodel=AutoModelForSequenceClassification, device_map="cpu"
    )
    assert loaded.split_points == ["bert.encoder.layer.1"] and loaded.device.type == "cpu"
    for arguments, said in (
        ({"device_map": "cuda"}, "move the model yourself"),
        ({"revision": "main"}, "revision is for loading"),
        ({"split_points": []}, r"split_points is \[\]"),
        ({"split_points": 1.5}, "split_points is 1.5"),
    ):
        given = {"tokenizer": tiny.tokenizer, "split_points": 1, **arguments}
        with pytest.raises(InputError, match=said):
            ModelWithSplitPoints(tiny.model, **given)


# Concepts


CONCEPTS = {
    "BatchTopKSAEConcepts": "batch-topk-sae",
    "ConvexNMFConcepts": "convex-nmf",
    "DictionaryLearningConcepts": "dictionary-learning",
    "ICAConcepts": "ica",
    "JumpReLUSAEConcepts": "jumprelu-sae",
    "KMeansConcepts": "kmeans",
    "MpSAEConcepts": "matching-pursuit-sae",
    "NMFConcepts": "nmf",
    "NeuronsAsConcepts": "neurons",
    "PCAConcepts": "pca",
    "SVDConcepts": "svd",
    "SemiNMFConcepts": "semi-nmf",
    "SparsePCAConcepts": "sparse-pca",
    "TopKSAEConcepts": "topk-sae",
    "VanillaSAEConcepts": "sae",
}


@pytest.mark.parametrize(("name", "method"), [*CONCEPTS.items(), ("Cockatiel", "nmf")])
def test_each_explainer_learns_what_its_method_learns(name, method, split, words):
    made = getattr(concepts, name)
    options = {} if made is NeuronsAsConcepts else {"nb_concepts": 3}
    if method.endswith("sae"):
        options |= {"steps": 5}
    rows = words.of[split.split_points[0]]
    if method == "nmf":
        rows = split.rows(rows.values.relu(), split.at())
    explainer = made(split, **options, device="cpu")
    assert explainer.is_fitted == (made is NeuronsAsConcepts)
    explainer.fit(words if method != "nmf" else {split.split_points[0]: rows.values})
    parameters = {"concepts" if key == "nb_concepts" else key: value for key, value in options.items()}
    space = interp.fit_concepts(rows, by=method, progress=False, **parameters)
    assert explainer.is_fitted and torch.equal(explainer.get_dictionary(), space.dictionary)
    codes = explainer.encode_activations(rows.values)
    assert torch.equal(codes, space.encode(rows.values))
    assert torch.equal(explainer.decode_concepts(codes), space.decode(codes))


def test_gradients_are_the_importance_of_concepts(tiny):
    split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[0])
    words = split.get_activations(TEXTS, WORD)
    fitted, own = PCAConcepts(split, nb_concepts=3), words.of[split.split_points[0]]
    fitted.fit(words)
    slopes = fitted.concept_output_gradient(
        TEXTS, activation_granularity=WORD, concepts_x_gradients=True, normalization=False
    )
    assert [tuple(one.shape) for one in slopes] == [(3, 3, 3), (3, 4, 3), (3, 3, 3), (3, 2, 3)]
    result = interp.importance(split.at(), fitted.space, own, by="input-x-gradient", progress=False)
    summed = torch.stack([one.sum(1) for one in slopes])
    assert torch.allclose(summed, result.per_text, atol=1e-6)
    normed = fitted.concept_output_gradient(TEXTS, [2], activation_granularity=WORD)
    assert all(float(one.abs().sum()) == pytest.approx(1, abs=1e-5) for one in normed)
    assert torch.allclose(normed[0], slopes[0][2:] / slopes[0][2].abs().sum(), atol=1e-6)


def test_gradients_that_are_all_zero_say_why(fitted):
    """Above the last block only the first position is read, so that words cannot matter there."""
    with pytest.warns(InterpWarning, match="rows of granularity 'cls'"):
        found = fitted.concept_output_gradient(TEXTS, activation_granularity=WORD)
    assert not any(bool(one.any()) for one in found)


def test_gradients_alone_are_those_of_autograd(tiny):
    """At the last block, where the head reads one row, by hand."""
    split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
    rows = split.get_activations(TEXTS, CLS)
    explainer = NeuronsAsConcepts(split)
    explainer.fit(rows)
    options = {"activation_granularity": CLS, "concepts_x_gradients": False, "normalization": False}
    found = torch.stack(explainer.concept_output_gradient(TEXTS, **options))[:, :, 0]
    states = rows[1].clone().requires_grad_()
    logits = tiny.model.classifier(tiny.model.bert.pooler(states[:, None]))
    by_hand = torch.stack([torch.autograd.grad(logits[:, k].sum(), states, retain_graph=True)[0] for k in range(3)], 1)
    assert torch.allclose(found, by_hand, atol=1e-6)
    stacked = torch.stack(explainer.concept_output_gradient(TEXTS, activation_granularity=CLS))
    assert stacked.abs().squeeze().mean(0).shape == (3, 16)  # as notebooks have it


def test_concepts_of_a_class_are_learnt_from_chosen_rows(split):
    rows = split.get_activations(TEXTS, CLS, include_predicted_classes=True)
    some = {key: value[:3] for key, value in rows.items()}
    explainer = SemiNMFConcepts(split, nb_concepts=2)
    explainer.fit(some)
    assert explainer.space.layer == split.split_points[0] and explainer.space.concepts == 2
    assert len(explainer.concept_output_gradient(TEXTS[:3], [0], activation_granularity=CLS)) == 3
    words = TopKInputs(concept_explainer=explainer, activation_granularity=CLS, k=2, use_unique_words=True)
    assert set(words.interpret(inputs=TEXTS[:3])) == {0, 1}


def test_both_styles_of_top_inputs_are_one(split, fitted, words):
    new = TopKInputs(concept_explainer=fitted, k=4, activation_granularity=WORD)
    assert new.interpret(inputs=TEXTS) == new.interpret("all", TEXTS, words)
    old = fitted.interpret(
        TopKInputs,
        concepts_indices="all",
        source=TopKInputs.sources.LATENT_ACTIVATIONS,
        granularity=TopKInputs.granularities.WORD,
        inputs=TEXTS,
        latent_activations=words,
        k=4,
    )
    assert old == new.interpret(inputs=TEXTS)
    own = interp.interpret(fitted.space, words.of[split.split_points[0]], source="units", top=4)
    assert old == {c.concept: dict(c.words) for c in own}
    plain = {split.split_points[0]: words[1]}  # as it is after rows were chosen
    assert new.interpret(inputs=TEXTS, latent_activations=plain) == old
    codes = fitted.encode_activations(words)
    assert new.interpret(inputs=TEXTS, concepts_activations=codes) == old
    assert list(new.interpret([2, 0], TEXTS)) == [2, 0] and list(new.interpret(torch.tensor([1]), TEXTS)) == [1]


def byte_level_generator():
    """A LLaMA whose tokens hold the blank before a word."""
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    return interp.TextModel(transformers.LlamaForCausalLM(config).eval(), tokenizer)


def test_words_of_byte_level_tokens_keep_the_blank_before_them():
    made = byte_level_generator()
    split = ModelWithSplitPoints(made, split_points=[0])
    rows = split.get_activations(TEXTS, WORD)
    words = NeuronsAsConcepts(split).interpret(TopKInputs, inputs=TEXTS, latent_activations=rows, k=9)
    found = {word for own in words.values() for word in own}
    assert found <= {"so", " happy", " today", "the", " cat", " was", " sad", "a", " good", " dog", "very", " tired"}
    assert {" happy", " cat"} & found and {"so", "the"} & found


def test_token_ids_that_go_on_without_a_blank_are_explained_as_they_are():
    made = byte_level_generator()
    explainer = attributions.Occlusion(made)
    for text, tokens in ((",", 1), (" happy", 1), ("ing", 1)):
        ids = made.tokenizer(text, add_special_tokens=False)["input_ids"]
        (output,) = explainer("i feel so", targets=torch.tensor([ids]))
        assert output.targets.tolist() == ids, tokens
    (output,) = explainer("i feel so", targets="happy")
    assert output.targets.tolist() == made.tokenizer(" happy", add_special_tokens=False)["input_ids"]
    piece = next(i for i in range(4, len(made.tokenizer)) if "\ufffd" in made.tokenizer.decode([i]))
    with pytest.raises(InputError, match="do not come back"):
        explainer("i feel so", targets=torch.tensor([[piece]]))
    with pytest.raises(InputError, match="do not come back"):
        explainer(torch.tensor([[piece]]))


def test_unique_words_are_counted_joined_and_left_out(split):
    texts = [*TEXTS, "the dogs and the dog", "the cats"]
    fitted = NeuronsAsConcepts(split)
    fitted.fit(split.get_activations(texts, CLS))
    kwargs = {"count_min_threshold": 2, "lemmatize": True, "words_to_ignore": ["The"]}
    options = {"activation_granularity": CLS, "use_unique_words": True, "unique_words_kwargs": kwargs, "k": 5}
    method = TopKInputs(concept_explainer=fitted, **options)
    found = {word for words in method.interpret(inputs=texts).values() for word in words}
    assert found <= {"dog", "dogs", "cat", "cats"} and found
    for bad, error in (({"n": 2}, UnsupportedError), ({"min": 2}, InputError)):
        with pytest.raises(error):
            TopKInputs(concept_explainer=fitted, use_unique_words=True, unique_words_kwargs=bad)


def test_the_vocabulary_is_looked_up_token_by_token(split, fitted, tiny):
    """Each token is what its text becomes; pieces of words, which no text becomes alone, are left out and counted."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        words = fitted.interpret(TopKInputs, source=TopKInputs.sources.VOCABULARY, granularity=WORD, k=3)
    pieces = [t for t in tiny.tokenizer.get_vocab() if t.startswith("##")]
    assert any("are pieces that no text becomes" in str(one.message) for one in said) == bool(pieces)
    for word in {word for own in words.values() for word in own}:
        assert len(tiny.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1
    special = set(tiny.tokenizer.all_special_tokens)
    assert all(len(own) == 3 and not special & set(own) for own in words.values())


class Reader(LLMInterface):
    """Names a concept after what it is shown, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def generate(self, prompt):
        self.asked.append(prompt)
        return prompt[-1][1].splitlines()[0].split("| ")[1] if len(self.asked) != 2 else None


@pytest.mark.filterwarnings("ignore:2 of 3 concepts labelled")  # the second answer is none
def test_both_styles_of_labels_are_one_and_ask_what_was_chosen(fitted):
    new, old = Reader(), Reader()
    by_class = LLMLabels(concept_explainer=fitted, llm_interface=new, activation_granularity=WORD, k_examples=2)
    labels = by_class.interpret([2, 0, 1], inputs=TEXTS)
    same = fitted.interpret(
        LLMLabels,
        concepts_indices=[2, 0, 1],
        activation_granularity=WORD,
        llm_interface=old,
        sampling_method=SAMPLING_METHOD.TOP,
        inputs=TEXTS,
        k_examples=2,
    )
    assert labels == same and list(labels) == [2, 0, 1] and labels[0] is None and labels[2]
    assert new.asked == old.asked and [role for role, _ in new.asked[0]] == [Role.SYSTEM, Role.USER]
    assert len(new.asked[0][1][1].splitlines()) <= 2
    context = fitted.interpret(LLMLabels, [0], inputs=TEXTS, llm_interface=Reader(), k_context=3, granularity=WORD)
    assert "<<" in context[0]


class Broken(LLMInterface):
    """A language model that cannot be reached."""

    def generate(self, prompt):
        raise ConnectionError("no route to host")


def test_a_language_model_that_fails_is_heard_of(fitted):
    with pytest.warns(InterpWarning, match="no route to host"):
        labels = LLMLabels(concept_explainer=fitted, llm_interface=Broken()).interpret("all", inputs=TEXTS)
    assert set(labels.values()) == {None}


def test_neurons_need_no_fit(split, words):
    explainer = NeuronsAsConcepts(split)
    assert explainer.is_fitted and torch.equal(explainer.encode_activations(words), words[1])
    assert explainer.get_dictionary().shape == (16, 16)


def test_a_key_is_in_the_object_alone(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    llm = OpenAILLM(api_key="sk-secret-0123456789", model="any", num_try=3)
    assert llm.client.key() == "sk-secret-0123456789" and llm.client.retries == 2
    assert "secret" not in repr(llm.client) and "secret" not in str(interp.results.parameters_of(llm.client))
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        OpenAILLM(model="any").client.ready()
    assert OpenAILLM(api_key=" sk-key-0123\n").client.key() == "sk-key-0123"
    with pytest.raises(InputError, match="api_key is empty"):
        OpenAILLM(api_key=" ")


@dataclasses.dataclass
class Holder(LLMInterface):
    """A language model of the caller's that holds a key."""

    api_key: str

    def generate(self, prompt):
        return "words"


def test_a_key_of_the_callers_own_is_in_no_result(fitted, words, split):
    method = LLMLabels(concept_explainer=fitted, llm_interface=Holder("sk-mine-0123456789")).by
    found = interp.interpret(fitted.space, words.of[split.split_points[0]], by=method)
    assert "sk-mine" not in repr(method) and "sk-mine" not in str(found.to_json())


def test_metrics_are_those_of_interp(split, fitted, words):
    own = words.of[split.split_points[0]]
    for metric, name in ((FID, "fid"), (MSE, "mse"), (Sparsity, "sparsity"), (SparsityRatio, "sparsity-ratio")):
        assert metric(fitted).compute(words) == interp.measure(fitted.space, own, by=name, chance=False).value
    assert FID(fitted).compute({split.split_points[0]: own.values}) == FID(fitted).compute(words)
    assert Stability(fitted, fitted).compute() == pytest.approx(1)
    assert Stability(torch.eye(4)[:2], torch.eye(4)[2:]).compute() == 0
    assert Stability(torch.eye(4)[:2], torch.eye(4)[:3]).compute() == pytest.approx(2 / 3)  # one has no match
    with pytest.raises(InputError, match="at least two"):
        Stability(fitted)
    with pytest.raises(InputError, match="widths"):
        Stability(torch.eye(3), torch.eye(4))


def test_what_concepts_cannot_do_is_said(split, fitted, words):
    fresh = PCAConcepts(split, nb_concepts=2)
    for call, error, said in (
        (lambda: PCAConcepts(split), InputError, "nb_concepts"),
        (lambda: PCAConcepts(split, nb_concepts=2, whitens=True), InputError, "whitens"),
        (lambda: PCAConcepts("model", nb_concepts=2), InputError, "a ModelWithSplitPoints was expected"),
        (lambda: PCAConcepts(split, nb_concepts=2, device="nonsense"), InputError, "device is 'nonsense'"),
        (lambda: fresh.fit(words, nb_epochs=2), InputError, "does not learn in epochs"),
        (lambda: fitted.fit(words, overwrite=False), InputError, "has concepts already"),
        (lambda: fitted.concept_output_gradient(TEXTS, [0.7]), InputError, "numbers of classes"),
        (lambda: fitted.concept_output_gradient(TEXTS, 0.7), InputError, "by number or name"),
        (lambda: fitted.interpret("topk"), InputError, "TopKInputs or LLMLabels"),
        (lambda: fitted.interpret(TopKInputs, source="garbage", inputs=TEXTS), InputError, "source 'garbage'"),
        (lambda: TopKInputs(concept_explainer=fitted, kk=3), InputError, "kk"),
        (
            lambda: TopKInputs(concept_explainer=fitted, unique_words_kwargs={"n": 3}),
            InputError,
            "use_unique_words=True",
        ),
        (lambda: fresh.encode_activations(words), InputError, r"call fit\(activations\)"),
        (lambda: fresh.fit({"elsewhere": words[1]}), InputError, "there are 'elsewhere'"),
        (lambda: fresh.fit(words[1][0]), InputError, "shape"),
        (lambda: fresh.fit({key: rows[:0] for key, rows in words.items()}), InputError, "no rows"),
        (lambda: split.get_activations(TEXTS, WORD, GranularityAggregationStrategy.MAX), UnsupportedError, "MAX"),
        (lambda: split.get_activations([], WORD), InputError, "no texts"),
        (lambda: TopKInputs(concept_explainer=fitted).interpret(), InputError, "nothing to look concepts up in"),
        (lambda: TopKInputs(concept_explainer=fitted).interpret([7], TEXTS), InputError, "from 0 to 2"),
        (
            lambda: TopKInputs(concept_explainer=fitted, activation_granularity=CLS).interpret("all", TEXTS, words),
            InputError,
            "'word', and 'cls' was asked for",
        ),
        (lambda: TopKInputs(concept_explainer=fitted).interpret("all", TEXTS[:2], words), InputError, "other texts"),
        (lambda: TopKInputs(concept_explainer=fitted).interpret("all", TEXTS, words[1][:3]), InputError, "3 rows"),
        (
            lambda: LLMLabels(concept_explainer=fitted, llm_interface=Reader(), sampling_method="topp"),
            InputError,
            "sampling_method",
        ),
        (
            lambda: LLMLabels(concept_explainer=fitted, llm_interface=Reader(), sampling_method="random"),
            UnsupportedError,
            "random rows",
        ),
        (
            lambda: LLMLabels(concept_explainer=fitted, llm_interface=Reader(), use_unique_words=True),
            UnsupportedError,
            "TopKInputs",
        ),
        (
            lambda: plot_concepts(concepts_importances=torch.ones(2, 3), sample=["a"]),
            UnsupportedError,
            r"interp\.plot_concepts",
        ),
    ):
        with pytest.raises(error, match=said):
            call()


def test_a_generator_wants_targets_for_its_gradients():
    tiny = tiny_generator()
    split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[0])
    explainer = PCAConcepts(split, nb_concepts=2)
    explainer.fit(split.get_activations(TEXTS, ActivationGranularity.TOKEN))
    with pytest.raises(UnsupportedError, match="next tokens"):
        explainer.concept_output_gradient(TEXTS)
    found = explainer.concept_output_gradient(TEXTS, [" happy", " sad"])
    assert [one.shape[0] for one in found] == [2, 2, 2, 2] and found[0].shape[2] == 2


def test_autoencoders_are_trained_as_asked(split, words):
    explainer = concepts.TopKSAEConcepts(split, nb_concepts=8, k=2)
    explainer.fit(words, lr=1e-3, nb_epochs=4, batch_size=5)
    made = explainer.space.made_by.parameters
    assert (made["learning_rate"], made["batch_size"], made["steps"], made["k"]) == (1e-3, 5, 4 * 3, 2)


# Plots, and what must not change


def test_plots_are_shown_and_saved(tiny, tmp_path):
    outputs = attributions.Occlusion(tiny.model, tiny.tokenizer)(TEXTS[:2], targets=torch.tensor([[0, 1], [1, 2]]))
    plot = plot_attributions(outputs, classes_names={0: "joy", 1: "<b>", 2: "fear"}, save_path=tmp_path / "a.html")
    assert "&lt;b&gt;" in plot.html and "<b>fear" not in plot.html and (tmp_path / "a.html").exists()
    assert "happy" in outputs[0]._repr_html_() and "happy" in str(outputs[0]) and len(repr(outputs[0])) <= 230
    scores = {0: torch.tensor([0.1, 0.5]), 1: torch.tensor([0.3, 0.2])}
    labels = {0: {0: "rain", 1: None}, 1: {0: "sun", 1: "wind"}}
    page = plot_concepts(classes_names=["a", "b"], concepts_importances=scores, concepts_labels=labels)
    assert "rain" in page.html and "wind" in page.html


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_models_and_tokenizers_of_users_stay_as_they_are(dtype):
    tiny = tiny_classifier()
    tiny.model.to(dtype).train()
    before, size = state_of(tiny), len(tiny.tokenizer)
    outputs = attributions.Lime(tiny.model, tiny.tokenizer)(TEXTS[:2], targets=torch.tensor([[0, 1], [1, 2]]))
    Insertion(tiny.model, tiny.tokenizer).evaluate(outputs)
    split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
    explainer = PCAConcepts(split, nb_concepts=2)
    explainer.fit(split.get_activations(TEXTS, CLS))
    explainer.concept_output_gradient(TEXTS, activation_granularity=CLS)
    assert state_of(tiny) == before and tiny.model.training and len(tiny.tokenizer) == size
    assert tiny.model.get_input_embeddings().weight.shape[0] == tiny.model.config.vocab_size


def test_concepts_are_had_without_a_client_of_language_models():
    code = "import sys, interp_interpreto.concepts; print('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_answers_of_an_interface_are_kept_and_told_from_those_of_another(tmp_path):
    class Named(LLMInterface):
        def __init__(self, model):
            self.model = model

        def generate(self, prompt):
            return self.model

    class Saying(Named):
        def identity(self):
            return ["says", 3]

    assert llm_of(Saying("one")).identity() == ["says", 3]
    one, two = (llm_of(Named(model)).identity() for model in ("one", "two"))
    assert one != two and one["model"] == "one" and "Named" in one["client"]
    asked = [[{"role": "user", "content": "a"}]]
    answers = [ask(llm_of(Named(model)), asked, cache=tmp_path).answers[0] for model in ("one", "one", "two")]
    assert answers == ["one", "one", "two"] and [answer.cached for answer in answers] == [False, True, False]
