"""Bad input: each a clear error, raised before anything is computed, and nothing of the user's lost."""

import subprocess
import sys
import textwrap

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.errors import InputError, InterpWarning, ModelError, TargetError, UnsupportedError
from interp_core.testing import dictionary_world, state_of, tiny_classifier, tiny_generator
from interp_core.text import read_column

TEXT = "i feel so happy today"


def ask(model: interp.TextModel, text: object = TEXT, **options: object) -> list[interp.Attribution]:
    return interp.attribute(model, text, **{"by": "lime", "progress": False, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"text": ""}, InputError, "a text is empty"),
        ({"text": [TEXT, "  "]}, InputError, "a text is empty"),
        ({"text": []}, InputError, "no texts to explain"),
        ({"targets": 7}, TargetError, r"target 7 is out of range: this classifier has 3 labels \(LABEL_0, LABEL_1"),
        ({"targets": "LABEL_4"}, TargetError, "Did you mean"),
        ({"targets": []}, TargetError, "list of targets is empty"),
        ({"targets": [[0], [1]]}, TargetError, "2 lists of targets were given for 1 texts"),
        ({"layer": 9}, InputError, "2 blocks, 0 to 1"),
        ({"layer": "bert.encoder.layer.7"}, InputError, "no module"),
        ({"granularity": "phrase"}, InputError, "granularity 'phrase' is unknown"),
        ({"removal": "blank"}, InputError, "removal 'blank' is unknown"),
        ({"removal": torch.zeros(5)}, InputError, r"\(5,\); \(16,\) or \(7, 16\) was expected"),
        ({"score": "odds"}, TargetError, "score 'odds' is unknown"),
        ({"samples": 1}, InputError, "samples is 1; at least 2"),
        ({"sample": 100}, InputError, "has no parameter 'sample'; its parameters are samples"),
        ({"by": "lyme"}, interp.InterpError, "Did you mean 'lime'"),
        ({"by": "insertion"}, interp.InterpError, "is of kind 'metric'"),
        ({"by": "integrated-gradients", "removal": "drop"}, UnsupportedError, "needs gradients.*occlusion"),
        ({"layer": 0, "removal": "drop"}, UnsupportedError, "which a layer cannot"),
    ],
)
def test_bad_input_is_refused(options, error, message) -> None:  # type: ignore[no-untyped-def]
    model = tiny_classifier()
    before = state_of(model)
    with pytest.raises(error, match=message):
        ask(model, **options)
    assert state_of(model) == before


def test_probabilities_of_a_regression_are_refused() -> None:
    with pytest.raises(TargetError, match="no probabilities"):
        ask(tiny_classifier(labels=1), score="probability")


def test_a_text_that_is_too_long_is_cut_with_a_warning_and_a_note() -> None:
    with pytest.warns(InterpWarning, match="cut to 32 of 52 tokens"):
        (found,) = ask(tiny_classifier(), "sad " * 50, by="occlusion")
    assert "cut to 32 of 52" in found.notes[0] and len(found.units) == 30


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_weights_that_are_nan_are_named(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    name = "bert.encoder.layer.1.output.dense.weight" if model.head != "causal" else "transformer.h.1.mlp.c_fc.weight"
    with torch.no_grad():
        model.model.get_parameter(name)[0, 0] = float("nan")
    with pytest.raises(ModelError, match=name):
        ask(model, targets=" cat" if model.head == "causal" else 0)
    with pytest.raises(ModelError, match=name):
        model.split(-1).activations([TEXT], progress=False)


def test_weights_that_are_nan_are_named_also_where_a_position_is_looked_for() -> None:
    model = tiny_classifier()
    with torch.no_grad():
        next(p for n, p in model.model.named_parameters() if n.startswith("classifier"))[0] = torch.nan
    with pytest.raises(ModelError, match=r"gives NaN or infinity.* Its weights classifier"):
        model.split(-1).activations(["so sad"], granularity="cls", progress=False)


@pytest.mark.parametrize("path", [None, 5, ["a"]])
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(InputError, match="a folder or hub id was expected"):
        interp.load(path)  # type: ignore[arg-type]
    if path != ["a"]:
        with pytest.raises(InputError, match="is no path"):
            interp.load_results(path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a tensor"):
        of_rows(path)  # type: ignore[arg-type]


def test_a_model_on_the_meta_device_is_refused() -> None:
    import transformers
    from interp_core.testing import word_tokenizer

    with torch.device("meta"):
        model = transformers.BertModel(transformers.BertConfig(num_hidden_layers=1))
    with pytest.raises(ModelError, match="'meta' device"):
        interp.TextModel(model, word_tokenizer())


def test_more_concepts_than_rows_and_other_needs_are_refused() -> None:
    class Greedy:
        concepts = 900

        def fit(self, activations: interp.Activations) -> interp.ConceptSpace:
            raise AssertionError("must not be reached")

    with pytest.raises(InputError, match="900 concepts of 800 rows"):
        interp.fit_concepts(dictionary_world()[0], by=Greedy())


def test_a_file_or_column_that_does_not_exist_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    table = tmp_path / "table.csv"
    table.write_text("text,label\nsad,1\n", encoding="utf-8")
    assert read_column(table) == ["sad"]
    with pytest.raises(InputError, match="no file"):
        read_column(tmp_path / "missing.csv")
    with pytest.raises(InputError, match=r"no column 'body'; its columns are text, label"):
        read_column(table, "body")
    (tmp_path / "table.xls").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"not a \.csv"):
        read_column(tmp_path / "table.xls")


def test_a_folder_without_a_model_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="no model could be loaded"):
        interp.load(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        interp.load(tmp_path / "missing")


def test_a_result_that_cannot_be_measured_is_refused() -> None:
    model = tiny_classifier()
    found = ask(model)
    activations, space = dictionary_world()
    with pytest.raises(InputError, match=r"measured with \(TextModel\)"):
        interp.measure(found, activations, by="insertion")
    with pytest.raises(UnsupportedError, match="measures attribution; a result of kind 'concepts'"):
        interp.measure(space, activations, by="insertion")
    with pytest.raises(InputError, match="cannot be measured"):
        interp.measure("text", model, by="insertion")


def test_a_method_that_gives_nonsense_is_refused() -> None:
    class Short:
        def attribute(self, question: interp.Question) -> torch.Tensor:
            return torch.zeros(1, 1)

    class Endless(Short):
        def attribute(self, question: interp.Question) -> torch.Tensor:
            return torch.full((1, len(question.units)), float("inf"))

    with pytest.raises(ModelError, match=r"\(1, 5\) \(targets, units\) was expected"):
        ask(tiny_classifier(), by=Short())
    with pytest.raises(ModelError, match="NaN or infinity"):
        ask(tiny_classifier(), by=Endless())


@pytest.mark.usefixtures("unchecked")
def test_a_metric_that_gives_no_score_is_refused() -> None:
    class Bare:
        def measure(self, *_: object) -> float:
            return 0.5

    rows, planted = dictionary_world()
    with pytest.raises(ModelError, match=r"Bare returned 0.5; a Score was expected"):
        interp.measure(planted, rows, by=Bare())
    with pytest.raises(ModelError, match=r"Bare returned 0.5; a Score was expected"):
        interp.measure(ask(tiny_classifier()), tiny_classifier(), by=Bare(), progress=False)


MISTAKES = {
    # names that nobody has
    "interp.load(folder, dtyp='float32')": "Did you mean 'dtype'?",
    "interp.load(folder, tsk='auto')": "Did you mean 'task'?",
    "interp.report(interp.Score(0.5, True), titel='x')": "Did you mean 'title'?",
    "interp.intervene(None, None, ablat=[1])": "Did you mean 'ablate'?",
    "interp.Change(ablate=['concept 11']).factors(space)": "Did you mean 'concept 1'?",
    "interp.effect(split, space, activations, chang=3)": "Did you mean 'change'?",
    "interp.attribute(model, text='sad', by='lime')": "Did you mean 'texts'?",
    "interp.attribute(model, 'sad', method='lime')": "attribute needs 'by', which is missing. 'method' cannot stand",
    "interp.attribute(model, 'sad', 'lime')": "attribute needs 'by', which is missing",
    "interp.attribute(model, 'sad', 0, by='lime')": "takes 2 arguments by place (model, texts) and was given 3",
    "interp.attribute(model, 'sad', model=model, by='lime')": "was given 'model' twice",
    "interp.attribute(model, 'sad', by='lime', zzz=3)": "The options of attribute are model, texts, by, targets",
    "interp.attribute(model, 'sad', by='lime', granularity='wrod')": "Did you mean 'word'?",
    "interp.attribute(model, 'sad', by='lime', removal='zer')": "Did you mean 'zero'?",
    "interp.attribute(model, 'sad', by='lime', score='logits')": "Did you mean 'logit'?",
    "interp.attribute(model, 'sad', by='sobol', order='totl')": "Did you mean 'total'?",
    "interp.interpret(space, activations, source='unitz')": "Did you mean 'units'?",
    "interp.methods(kind='attributon')": "Did you mean 'attribution'?",
    "interp.method('lime', 'attributon')": "Did you mean 'attribution'?",
    "interp.contrast('joy', othr='fear')": "Did you mean 'other'?",
    "interp.plot_concepts(torch.zeros(2, 2), topp=3)": "Did you mean 'top'?",
    # values of the wrong kind
    "interp.attribute(model, 'sad', by='occlusion', layer=1.5)": "layer is 1.5; the number of a block or a module path",
    "interp.attribute(model, 'sad', by='occlusion', max_rows='3')": "max_rows is '3'; a whole number of at least 1",
    "interp.attribute(model, 'sad', by='occlusion', output='word')": "output='word' is for models that generate text",
    "interp.attribute(model, 'sad', by='occlusion', max_new_tokens=3)": "max_new_tokens=3 is for models that generate",
    "interp.attribute(generator, 'sad', by='occlusion', max_new_tokens=0)": "max_new_tokens is 0; a whole number",
    "interp.attribute(model, 'sad', by=torch.zeros(300))": "by=Tensor(…) has no method attribute()",
    "interp.interpret(space, activations, concepts='al')": "concepts is 'al'; the numbers of concepts",
    "interp.interpret(space, activations, concepts=3)": "concepts is 3; the numbers of concepts",
    "interp.interpret(space, activations, concepts=['a'])": "concepts is ['a']; the numbers of concepts",
    "interp.measure([], model, by='insertion')": "an empty list cannot be measured",
    "interp.measure([3], model, by='insertion')": "a list with int cannot be measured",
    "interp.benchmark(model, 'sad', methods=[], metrics='insertion')": "no methods were given; at least one",
    "interp.benchmark(model, 'sad', methods='lime', metrics=[])": "no metrics were given; at least one",
    "interp.benchmark(None, 'sad', methods=['lime', 'limme'], metrics='insertion')": "Did you mean 'lime'?",
    "interp.benchmark(None, 'sad', methods='lime', metrics='plausibility-iou-f1', labels=[1, 2])": "2 labels were",
    "explain('lime', question)": "'lime' is a name; give an instance, such as interp.method('lime')",
    # parts of a question that do not fit
    "question.masked(torch.ones(1, 3, dtype=torch.bool))": "keep has 3 columns; this question has 4 units",
    "question.decides(torch.ones(1, 3, dtype=torch.bool))": "keep has 3 columns; this question has 4 units",
    "question.masked(torch.ones(4, dtype=torch.bool))": "keep is bool (4,); a tensor of booleans (p, 4)",
    "question.masked(torch.ones(1, 4))": "keep is float32 (1, 4); a tensor of booleans",
    "question.masked([[True] * 4])": "a tensor of booleans (p, 4) was expected",
    "question.moved(3)": "x is 3; numbers (4, 3) were expected",
    "question.moved(torch.zeros(1, 1))": "x is float32 (1, 1); numbers (4, 3) were expected",
    "question.at(torch.zeros(4, 3))": "x is float32 (4, 3); numbers (p, 4, 3) were expected",
    "question.gradients(torch.zeros(2, 2))": "x is float32 (2, 2); numbers (p, 4, 3) were expected",
    "question.with_budget('3')": "max_rows is '3'; a whole number of at least 1",
    "question.with_budget(-5)": "max_rows is -5; a whole number of at least 1",
    "question.with_budget(2.5)": "max_rows is 2.5; a whole number of at least 1",
    "question.afford(0)": "draws is 0; a whole number of at least 1",
    "question.afford(-3)": "draws is -3; a whole number of at least 1",
    "question.pool(torch.zeros(3))": "scores is float32 (3,); numbers (k, 4) were expected",
    "question.references(2.5, torch.Generator())": "count is 2.5; a whole number of at least 0",
    "question.references(2, 0)": "generator is 0; a torch.Generator",
    "question.replace(applicable=torch.ones(3, 3))": "applicable is float32 (3, 3); booleans (2, 4)",
    "question.replace(intact=torch.ones(9))": "intact is float32 (9,); numbers (2,)",
    "question.replace(max_rows=-1)": "max_rows is -1; a whole number of at least 1",
    "question.replace(background=torch.ones(2, 9))": "background is float32 (2, 9); numbers (r, 3)",
    "question.replace(unit_of=torch.tensor([0, 1, 2, 7]), runner=0)": "unit_of has numbers from 0 to 7; there are 4",
    "ask(lambda x: x.sum(), torch.ones(3, 1))": "what the function gives for one variant is float32 (); numbers (1, k)",
    "ask(lambda x: 3.0, torch.ones(3, 1))": "what the function gives for one variant is 3.0",
    "ask(lambda x: x.sum(1), torch.ones(3, 1), names=['a'])": "1 names were given for 3 features",
    "ask(lambda x: x.sum(1), torch.ones(3))": "x is float32 (3,); numbers (f, d)",
    "ask(lambda x: x.sum(1), torch.ones(3, 1), torch.ones(2, 1))": "baseline is float32 (2, 1); numbers (3, 1)",
    # what is no such thing
    "interp.attribute(model.model, 'sad', by='lime')": "interp.TextModel(model, tokenizer) gives it",
    "interp.attribute(model.split(0), 'sad', by='lime')": "give its .model and layer=",
    "interp.attribute(model, [3], by='lime')": "a text is int; a string",
    "interp.attribute(model, 'sad', by='lime', targets=True)": "neither a class name nor a number",
    "interp.attribute(model, 'sad', by=interp_lime.lime.Lime)": "is a class; give an instance",
    "interp.attribute(model, 'sad', by=interp_lime.lime.Lime(), samples=3)": "beside an instance",
    "interp.importance(model, None, None)": "a split model, model.split(layer), was expected",
    "interp.TextModel(model, model.tokenizer)": "is a TextModel already",
    "interp.TextModel('bert', model.tokenizer)": "interp.load(path)",
    "interp.TextModel(model.model, model.tokenizer, tokens_per_batch='10')": "a whole number from 1 was expected",
    "interp.TextModel(model.model, model.tokenizer, tokens_per_batch=1.5)": "a whole number from 1 was expected",
}


def test_what_is_no_such_thing_at_all_is_refused_in_words() -> None:
    """In an interpreter of its own: here types are checked at every call, for a user they are not."""
    program = f"""
        import tempfile, torch, interp_core as interp, interp_lime.lime
        from interp_core.attribution import ask, explain
        from interp_core.testing import linear_world, tiny_classifier, tiny_generator, topic_world
        model, generator = tiny_classifier(), tiny_generator()
        split = model.split(-1)
        (activations, space), (question, _) = topic_world(), linear_world(units=4, targets=2)
        folder = tempfile.mkdtemp()
        model.model.save_pretrained(folder), model.tokenizer.save_pretrained(folder)
        for line in {list(MISTAKES)!r}:
            try:
                exec(line)
            except interp.InterpError as error:
                print(line, "->", error)
            except Exception as error:
                print(line, "-> raw", type(error))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    said = dict(line.split(" -> ", 1) for line in done.stdout.splitlines() if " -> " in line)
    assert list(said) == list(MISTAKES), done.stderr
    assert {line: said[line] for line, message in MISTAKES.items() if message not in said[line]} == {}


def test_errors_can_be_caught_by_their_full_name_at_once() -> None:

    code = "import sys, interp_core as interp; interp.errors.InputError; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
