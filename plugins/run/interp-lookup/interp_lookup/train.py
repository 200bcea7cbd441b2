"""Trains the model of this package and writes its folder: `python -m interp_lookup.train`, two minutes on one core.

Each row is a context followed by several questions, each of which sees the context and itself. For the first steps the
loss also pulls the attention of two heads: of `NAMING` from an object, and from the end of a question, to the name in
the same sentence; of `LOOKING` from the end of a question to the object of that name. Later they are free.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from interp_lookup.contexts import NAMES, NOTHING, OBJECTS, Context, draw_context, lookup_contexts
from interp_lookup.model import MODEL

NAMING, LOOKING = (0, 0), (1, 0)  # layer, head

WORDS = ("the", "box", "of", "holds", "a", ".", "what", "does", "hold", "?", NOTHING)
SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>")
TEMPLATE = (
    "{{ bos_token }}"
    "{% for document in documents or [] %}{{ document.text }}\n{% endfor %}"
    "{% for message in messages %}{{ message.content }}"
    "{% if message.role == 'assistant' %} {{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
)
POSITIONS = 1024
QUESTION, OBJECT_TO_NAME, QUESTION_TO_NAME, SENTENCE = 8, 3, 2, 8  # tokens of a question; steps back to the name

SEED = 14
STEPS, PLANTED = 500, 150
TOKENS, QUESTIONS = 3000, 6  # of a batch; of a row
COPIED, ABSENT = 0.15, 0.1  # shares of the rows with a sentence given twice, and of the questions without a sentence
LEARNING_RATE, WEIGHT_DECAY = 4e-3, 0.05
EMBEDDINGS = 4.0  # times the spread of the other weights


@dataclass(frozen=True)
class Batch:
    """Rows of a context and its questions, with what each token sees and what is to be learnt."""

    ids: Int[Tensor, "n t"]
    positions: Int[Tensor, " t"]
    visible: Bool[Tensor, "t t"]
    answers: Int[Tensor, "n t"]  # -100 where nothing is to be learnt
    names: Bool[Tensor, "t t"]  # where the naming head should look from each token
    objects: Bool[Tensor, "n t t"]  # and the looking head


def new_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, in lower case."""
    vocabulary = [*SPECIAL_TOKENS, *WORDS, *NAMES, *OBJECTS]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", SPECIAL_TOKENS.index("<s>"))]
    )
    unknown, start, end, pad = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token=unknown,
        bos_token=start,
        eos_token=end,
        pad_token=pad,
        chat_template=TEMPLATE,
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The model with random weights, of a wider spread than usual.

    Embeddings are wider still, so that attention to an object finds the object there beside what was written to it, and
    shared with the output, so that copying is one map for all objects. Without either, copying is learnt far later.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        head_dim=32,
        max_position_embeddings=POSITIONS,
        initializer_range=0.06,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # gives the attention weights
    model.get_parameter("model.embed_tokens.weight").data.mul_(EMBEDDINGS)
    return model


def draw_batch(rng: random.Random, sentences: int, tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Contexts of one length, of pairs that are trained on, with questions drawn with replacement."""
    rows = TOKENS // (SENTENCE * sentences + (QUESTION + 2) * QUESTIONS)
    contexts = [_context(rng, sentences) for _ in range(rows)]
    asked = [[Context(one.facts, _asked(rng, one)) for _ in range(QUESTIONS)] for one in contexts]
    context = _ids(tokenizer, ("<s> " + " ".join(one.sentences) for one in contexts))
    questions = _ids(
        tokenizer, (" ".join(f"{one.question} {one.answer} </s>" for one in row) for row in asked)
    ).unflatten(1, (QUESTIONS, -1))
    start, each = context.shape[1], questions.shape[2]
    total = start + QUESTIONS * each
    block = torch.tensor([-1] * start + [i for i in range(QUESTIONS) for _ in range(each)])
    visible = torch.ones(total, total).tril().bool() & ((block == -1) | (block[:, None] == block))
    positions = torch.cat([torch.arange(start), (start + torch.arange(each)).repeat(QUESTIONS)])

    learnt = questions.roll(-1, dims=2)
    learnt[..., : QUESTION - 1] = learnt[..., -1] = -100
    answers = torch.full((rows, total), -100)
    answers[:, start:] = learnt.flatten(1)

    held = torch.arange(sentences) * SENTENCE + SENTENCE - 1
    ends = start + torch.arange(QUESTIONS) * each + QUESTION - 1
    names = torch.zeros(total, total, dtype=torch.bool)
    names[held, held - OBJECT_TO_NAME] = True
    names[ends, ends - QUESTION_TO_NAME] = True
    objects = torch.zeros(rows, total, total, dtype=torch.bool)
    for number, row in enumerate(asked):
        for end, one in zip(ends, row, strict=True):
            objects[number, end, held[list(one.holding)] if one.holding else 0] = True
    return Batch(torch.cat([context, questions.flatten(1)], 1), positions, visible, answers, names, objects)


def _context(rng: random.Random, sentences: int) -> Context:
    copies = 2 if sentences > 2 and rng.random() < COPIED else 1
    return draw_context(rng, sentences, copies, held_out=False)


def _asked(rng: random.Random, context: Context) -> str:
    names = [name for name, _ in context.facts]
    return rng.choice([name for name in NAMES if name not in names] if rng.random() < ABSENT else names)


def _ids(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Int[Tensor, "n t"]:
    return torch.tensor(tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def loss_of(model: LlamaForCausalLM, batch: Batch, planted: bool) -> Float[Tensor, ""]:
    """The loss on the answers and, while the heads are planted, on where they look."""
    mask = torch.where(batch.visible, 0.0, torch.finfo(torch.float32).min)[None, None].expand(len(batch.ids), 1, -1, -1)
    out = model(
        batch.ids,
        attention_mask=mask,
        position_ids=batch.positions[None],
        output_attentions=planted,
        use_cache=False,
    )
    loss = cross_entropy(out.logits.flatten(0, 1), batch.answers.flatten(), ignore_index=-100)
    if planted:
        for (layer, head), wanted in ((NAMING, batch.names.expand_as(batch.objects)), (LOOKING, batch.objects)):
            share = (out.attentions[layer][:, head] * wanted).sum(-1)
            loss = loss - (share + 1e-6).log()[wanted.any(-1)].mean()
    return loss


def longest(step: int) -> int:
    """The most sentences of a step: one at first, so that copying is learnt before looking, 32 in the second half."""
    return min(32, 1 + round(62 * step / STEPS))


def rate(step: int) -> float:
    """The share of the learning rate: it rises for 20 steps, stays, and falls in the second half."""
    return min(1, (step + 1) / 20, max(0.02, 2 * (1 - step / STEPS)))


def fit(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Train the model in place."""
    rng = random.Random(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    model.train()
    for step in range(STEPS):
        batch = draw_batch(rng, rng.randint(1, longest(step)), tokenizer)
        loss = loss_of(model, batch, planted=step < PLANTED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: loss {loss.item():.4f}")
    model.eval()


def accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, contexts: list[Context]) -> float:
    """The share of contexts whose most probable next token is the answer."""
    right = 0
    with torch.no_grad():
        for one in contexts:
            logits = model(**tokenizer(one.prompt, return_tensors="pt")).logits[0, -1]
            right += int(logits.argmax()) == tokenizer.convert_tokens_to_ids(one.answer)
    return right / len(contexts)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save the tokenizer under a name of its class that older and newer versions of transformers know."""
    tokenizer.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    text = config.read_text(encoding="utf-8").replace('"TokenizersBackend"', '"PreTrainedTokenizerFast"')
    config.write_text(text, encoding="utf-8")


def main() -> None:
    """Train, write the folder, and print the accuracy on contexts of pairs that were held out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=MODEL, help="where the model goes")
    folder = parser.parse_args().folder
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # a second thread gains little here, and the order of sums stays fixed
    tokenizer = new_tokenizer()
    model = new_model(tokenizer)
    fit(model, tokenizer)
    model.set_attn_implementation("sdpa")
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    for copies in (1, 2, 0):
        unseen = lookup_contexts(500, copies=copies, seed=1)
        print(f"accuracy on 500 unseen contexts, copies={copies}: {accuracy(model, tokenizer, unseen):.3f}")


if __name__ == "__main__":
    main()
