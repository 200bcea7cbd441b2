"""The verb `attribute`, which scores the units of texts for the targets that a caller names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interp_core.attribution._attribution_run import AttributionRun, in_shards
from interp_core.attribution._attributions import Attributions
from interp_core.attribution._method_call import explained, with_notes
from interp_core.attribution._options import Options
from interp_core.attribution._removal import Removal
from interp_core.attribution._stored_attributions import StoredAttributions
from interp_core.attribution._targets import as_list
from interp_core.errors import InterpWarning
from interp_core.model import ServedModel, WrappedModel
from interp_core.plugin import named_options, resolve
from interp_core.results import SHARD_SIZE
from interp_core.text import Granularity, Region, Text, as_texts


@named_options
def attribute(
    model: WrappedModel | ServedModel,
    texts: Text | Iterable[Text],
    *,
    by: Any,
    targets: Any = None,
    labels: Iterable[Any] | str | int | None = None,
    granularity: Granularity = "word",
    units: Region = None,
    removal: Removal = "auto",
    score: str = "auto",
    output: Granularity = "token",
    layer: int | str | None = None,
    over: Any = None,
    reference: Any = None,
    align: str | None = None,
    max_new_tokens: int = 12,
    max_rows: int | None = None,
    truncation: str = "longest_first",
    on_error: str = "raise",
    to: str | Path | None = None,
    executor: Any = None,
    shard_size: int = SHARD_SIZE,
    progress: bool = True,
    **parameters: Any,
) -> Attributions | StoredAttributions:
    """Score how much each unit of a text, such as a word, contributes to the model's answer.

    Args:
        model: the model, as `interp.load` returns it.
        texts: one text or several; for a generator, the prompts. A text may also be a pair of strings, for models that
            compare two texts or extract an answer (question, context); or a chat, which is a list of messages, or an
            `interp.Chat` if it has documents. A single pair is written `[(first, second)]`.
        by: the name of an attribution method, or an instance of one.
        targets: what to explain. The choice depends on the head of the model:

            - Classifier: None (the predicted class), `"all"`, a class by name or number, `interp.contrast(a, b)`, a
              function of the logits, a list of these for all texts, or one list for each text.
            - Generator: None (the tokens of the model's own greedy continuation), the continuation to explain, a
              contrast of two next tokens, or a function of the logits of the next token.
            - Masked language model: None (the model's own words), or the word in the gap.
            - Tagger: None (the words that have a tag), `"all"`, `interp.at(word, tag)` or a tuple of these.
            - Extractive question answering: None (the model's own answer), or the answer.

            Except for classifiers, a single value holds for all texts, and a list has one value for each text. With
            `to` or `executor`, an iterator has one value for each text, whatever the model.
        labels: for classifiers, the true class of each text, by name or number, or a row of booleans for a multi-label
            head; None for a text without one. For a single text, the class itself will do. Results say which texts the
            model gets right.
        granularity: what a unit is, such as `"word"` or `"sentence"`; see `interp_core.text.divide`.
        units: the part of a text that is explained: None (all of it), `"documents"` or `"messages"` of a chat,
            `"prompt"` (all before the continuation), a role such as `"user"`, character spans [start, stop), or a
            function from the text to such spans. The rest of the text is in no unit and stays unchanged.
        removal: what replaces an absent unit: `"mask"`, `"mean"`, `"zero"`, `"drop"`, `"attention"`, a vector, or
            `"auto"` (the mask token if there is one, else the mean embedding); see `interp_core.attribution.absence`.
        score: the score space: `"auto"` (log-probability where the answer is a token, else logit), `"logit"`,
            `"probability"`, `"log-probability"`, `"log-odds"` (log p - log(1 - p), where p is the probability of the
            whole target; it does not saturate as p approaches 1) or `"entropy"` (nats).
        output: for generators only, what one target is: `"token"`, or a granularity that groups the tokens of the
            continuation, such as `"word"`, `"sentence"`, or `"sample"` for the whole continuation.
        layer: the layer whose hidden states are the features, as the number of a block or a module path; None for the
            embeddings. With `over="positions"`, the only layer at which positions are patched.
        over: components of the model that are scored in place of the units of the text. The features are gates, 1 for
            the text and 0 for the reference, so any method that asks for scores or gradients can be used: occlusion is
            exact activation patching, input-x-gradient is attribution patching.

            - `"heads"`: the output of each attention head, `L3.H5`; in encoder-decoder models `E3.H5`, `D3.H5`, and
              `D3.X5` for cross-attention heads.
            - `"mlps"`: the output of each MLP, `L3.MLP`; `"components"`: heads and MLPs.
            - `"blocks"`: what each block adds to the residual stream, `L3`.
            - `"positions"`: the hidden state at each token, `3 happy`, in every layer or in one `layer`.
            - `"heads-by-position"`: each head at each token, `L3.H5 @ 7 happy`.
            - a concept space: its concepts at its layer, and the residual that they do not explain.

            Except for the concepts of a space and for positions in a single layer, the embeddings are a component too:
            with all gates closed, the model runs on the reference.
        reference: with `over`, what a closed gate lets through: the states of another text (or a list with one for each
            text); `"mean"`, the mean of the component over the tokens of the text; or `"zero"`. To ask which
            components restore an answer rather than which carry it, swap text and reference.
        align: how a reference of another length is aligned: `"left"` pairs the first tokens, `"right"` the last ones;
            tokens without a counterpart stay unchanged, as the notes say. None: such a reference is an error.
        max_new_tokens: for generators only, the maximum number of tokens to generate when no continuation is given.
        max_rows: the maximum number of model rows for each text. Methods that sample draw fewer and report a larger
            standard error; others raise a `BudgetError`. None for no limit.
        truncation: which text of a pair is cut when the pair is longer than the model accepts: `"longest_first"`,
            `"only_first"` or `"only_second"`; every cut is in the notes.
        on_error: `"raise"`, or `"skip"` to go on without texts that cannot be explained. Skipped texts are named in a
            warning and in the settings of each result, where `made_by.settings["skipped"]` maps the number of a text to
            its error; with `to`, they are in the `skipped` property of the returned value.
        to: a folder in which results are written as they are made, for more texts than fit in memory. The same call
            resumes a run that was interrupted. Texts, `labels` and `targets` may then be iterators, which are read only
            as far as the run has come.
        executor: where shards of texts are processed: the name of an executor such as `"processes"` or `"ray"`, or an
            instance; None for this process. The model is sent to each worker once.
        shard_size: with `to` or `executor`, the number of texts in a shard. Texts of a shard share passes, a worker
            processes one shard at a time, and an interruption loses at most the shards in progress.
        progress: show a progress bar in a terminal or notebook, with the time left where the number of texts is known.
        **parameters: the parameters of the method, if `by` is a name.

    Returns:
        One `Attribution` for each text that was not skipped, in the order of the texts. With `to`, they stay in the
        folder and are read on access.

    Raises:
        InputError: a text, target, option or parameter cannot be used, or the folder holds another run. Where there
            are several texts, an error about one of them starts with its number (from 0) and its first characters.
        PluginError: no installed package declares the method `by`, several do, or it cannot be imported.
        UnsupportedError: the method needs something that this model or these options do not offer.
        BudgetError: a method that does not sample needs more rows than `max_rows`.
        ModelError: the model returned NaN or infinity, or the method returned something other than finite (k, u)
            scores.

    Examples:
        >>> from interp_core.testing import planted_model, tiny_generator
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> happy, sad = interp.attribute(model, ["so happy today", "a sad day"], by="occlusion", progress=False)
        >>> happy.targets[0].label, happy.top(count=1)
        ('class 0', [('happy', 3.0)])
        >>> sad.targets[0].label, sad.top(count=1)
        ('class 1', [('sad', 2.0)])

        For a generator, each token of the continuation is a target.

        >>> (generated,) = interp.attribute(
        ...     tiny_generator(), "i feel so", by="occlusion", targets=" happy today", progress=False
        ... )
        >>> generated.words
        ['i', 'feel', 'so', 'happy', 'today']
        >>> generated.applicable
        tensor([[ True,  True,  True, False, False],
                [ True,  True,  True,  True, False]])
    """
    method = resolve(by, "attribution", parameters, attribute)
    options = Options(
        units=units,
        removal=removal,
        score=score,
        output=output,
        layer=layer,
        over=over,
        reference=reference,
        align=align,
        max_new_tokens=max_new_tokens,
        max_rows=max_rows,
        truncation=truncation,
        on_error=on_error,
        progress=progress,
    )
    targets = as_list(targets)
    found: Attributions | StoredAttributions
    if to is not None or executor is not None:
        run = AttributionRun(model, method, options, granularity, targets)
        found, notes = in_shards(run, texts, labels, to=to, executor=executor, shard_size=shard_size)
    else:
        corpus = as_texts(texts)
        known: dict[str, Any] = {"granularity": granularity, "targets": targets, "labels": labels}
        each, skipped, _ = explained(model, method, options, corpus, **known)
        found, notes = with_notes(each, skipped, len(corpus))
    for note in notes:
        warnings.warn(note, InterpWarning, stacklevel=3)
    return found
