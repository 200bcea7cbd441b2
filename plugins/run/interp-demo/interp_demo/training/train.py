"""Train the small emotion classifier of this package on the corpus that stands beside it.

It keeps out a stratified fifth, learns a WordPiece vocabulary and a small BERT from nothing on the rest, measures the
kept-out fifth once, and writes the model folder: ``python train.py``, a minute or two on one CPU core, no network.
"""

import csv
import json
import random
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

PACKAGE = Path(__file__).resolve().parent.parent
CORPUS = PACKAGE / "corpus.csv"
MODEL = PACKAGE / "emotion-demo"

LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SEED = 20
HELD_OUT_SHARE = 0.2
VOCABULARY = 2500
MAX_TOKENS = 64
EPOCHS = 30
BATCH = 32
LEARNING_RATE = 3e-4
WEIGHT_DECAY = 0.05
MASKED_SHARE = 0.1

README = """# A small emotion classifier

A BERT-style text classifier that names one of six emotions ({labels})
in a short English first-person sentence. It exists to try interpretability tools on:
it is small, fast and easy to retrain, and no more than that.

- Architecture: `BertForSequenceClassification`, {config.num_hidden_layers} layers, {config.hidden_size} wide,
  {config.num_attention_heads} heads, {parameters:,} parameters in float32;
  a lower-case WordPiece vocabulary of {config.vocab_size:,} pieces; at most {tokens} tokens.
- Training: from random weights, with {masked:.0%} of the word pieces replaced by `[MASK]`, so that masking a word
  out stays near what the model has seen.
- Corpus: `../corpus.csv`, {rows:,} sentences written for this repository; {train:,} of them trained the model.
- Held out: {held_out} sentences (`held_out.json` lists their rows): accuracy {accuracy:.3f}, macro F1 {macro_f1:.3f}.
  They come from the same hand as the training sentences, so expect less on other text.
- Retrain: `python ../training/train.py`, run from here, writes this folder anew.
- Licence: MIT, weights and corpus alike.
"""


def read_corpus(path: Path) -> tuple[list[str], list[int]]:
    """Read the sentences, and for each the position of its label in ``LABELS``."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [LABELS.index(row["label"]) for row in rows]


def train_tokenizer(texts: Sequence[str]) -> BertTokenizer:
    """Learn a lower-case WordPiece vocabulary, in which frequent words are whole pieces.

    The letters are handed to the trainer in order, as it would number them differently in each run.
    """
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = string.ascii_lowercase + string.digits
    alphabet = [*letters, *string.punctuation, *("##" + letter for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=[*SPECIAL_TOKENS, *alphabet], show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=learner.get_vocab(), model_max_length=MAX_TOKENS)


def new_model(vocabulary: int) -> BertForSequenceClassification:
    """Build the classifier with random weights for a vocabulary of the given size."""
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=MAX_TOKENS,
        hidden_dropout_prob=0.4,
        attention_probs_dropout_prob=0.1,
        classifier_dropout=0.2,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    return BertForSequenceClassification(config)


def mask_pieces(ids: Tensor, tokenizer: BertTokenizer) -> Tensor:
    """Replace a random share of the ordinary word pieces by ``[MASK]``; special tokens stay as they are."""
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    chosen = (torch.rand(ids.shape) < MASKED_SHARE) & ~special
    return ids.masked_fill(chosen, SPECIAL_TOKENS.index("[MASK]"))


def batches(count: int) -> Iterator[list[int]]:
    """Yield the row numbers ``0 .. count - 1`` in random order, a batch at a time."""
    order = torch.randperm(count).tolist()
    for start in range(0, count, BATCH):
        yield order[start : start + BATCH]


def fit(model: BertForSequenceClassification, tokenizer: BertTokenizer, texts: list[str], labels: list[int]) -> None:
    """Train the model in place, for a fixed number of epochs and without looking at any other sentence."""
    steps = EPOCHS * -(-len(texts) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LEARNING_RATE, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    model.train()
    for _ in range(EPOCHS):
        for rows in batches(len(texts)):
            batch = tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
            batch["input_ids"] = mask_pieces(batch["input_ids"], tokenizer)
            loss = model(**batch, labels=torch.tensor([labels[row] for row in rows])).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


def predict(model: BertForSequenceClassification, tokenizer: BertTokenizer, texts: list[str]) -> list[int]:
    """Return the most probable label number of each sentence."""
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return [int(number) for number in model(**batch).logits.argmax(dim=-1)]


def split(labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Divide the rows into a training part and a held-out fifth with the same mix of labels."""
    shuffler = random.Random(SEED)
    held_out: list[int] = []
    for label in range(len(LABELS)):
        rows = [row for row, own in enumerate(labels) if own == label]
        held_out += shuffler.sample(rows, round(HELD_OUT_SHARE * len(rows)))
    return sorted(set(range(len(labels))) - set(held_out)), sorted(held_out)


def score(predicted: Sequence[int], true: Sequence[int]) -> tuple[float, float]:
    """Return the accuracy and the macro F1 of the predicted label numbers."""
    pairs = list(zip(predicted, true, strict=True))
    f1 = []
    for label in range(len(LABELS)):
        hits = sum(guess == own == label for guess, own in pairs)
        f1.append(2 * hits / max(1, sum((guess == label) + (own == label) for guess, own in pairs)))
    return sum(guess == own for guess, own in pairs) / len(pairs), sum(f1) / len(f1)


def write_readme(model: BertForSequenceClassification, rows: int, held_out: int, accuracy: float, f1: float) -> None:
    """Describe the trained model in its folder."""
    text = README.format(
        labels=", ".join(LABELS),
        config=model.config,
        parameters=model.num_parameters(),
        tokens=MAX_TOKENS,
        masked=MASKED_SHARE,
        rows=rows,
        train=rows - held_out,
        held_out=held_out,
        accuracy=accuracy,
        macro_f1=f1,
    )
    (MODEL / "README.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Train, measure once on the held-out rows, and write the model folder."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # a second thread gains little here, and the order of sums stays fixed
    texts, labels = read_corpus(CORPUS)
    training, held_out = split(labels)
    tokenizer = train_tokenizer([texts[row] for row in training])
    model = new_model(len(tokenizer))
    fit(model, tokenizer, [texts[row] for row in training], [labels[row] for row in training])
    model.save_pretrained(MODEL)
    tokenizer.save_pretrained(MODEL)

    stored = BertForSequenceClassification.from_pretrained(MODEL).eval()
    predicted = predict(stored, tokenizer, [texts[row] for row in held_out])
    accuracy, f1 = score(predicted, [labels[row] for row in held_out])
    figures = {"accuracy": round(accuracy, 4), "macro_f1": round(f1, 4), "rows": len(held_out), "indices": held_out}
    (MODEL / "held_out.json").write_text(json.dumps(figures) + "\n", encoding="utf-8")
    write_readme(model, len(texts), len(held_out), accuracy, f1)
    print(f"held out: {len(held_out)} sentences, accuracy {accuracy:.3f}, macro F1 {f1:.3f}")


if __name__ == "__main__":
    main()
