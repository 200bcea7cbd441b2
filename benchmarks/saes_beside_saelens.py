"""How well sparse autoencoders find planted features, beside those of SAELens on the same rows.

    pip install sae-lens
    python benchmarks/saes_beside_saelens.py [features] [width] [steps] [method,method,...] [seeds]

Needs the packages of `benchmarks/saes.py` too; without SAELens, its lines are left out. Both are trained on the same
rows of a small world of the kind of SynthSAEBench, with as many concepts as features, the same batches of 512 and the
same number of steps; of a method with a penalty, penalties are tried until it lights as many concepts as the others,
within a tenth. What is printed is measured on other rows of that world, as the mean over the seeds of world and
training. Here everything is at its default. SAELens is given what its batch top-k learnt best with on 256 features in
64 dimensions: a learning rate of 0.003 (of 0.0003, its default, 0.001, 0.003, 0.006 and 0.01), and 100 steps until a
concept counts as dead, where its default of 1,000 is most of the training.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import interp_core as interp
import torch
from interp_core.concepts import ConceptSpace
from interp_core.testing import synthetic_world
from torch import Tensor
from torch.nn.functional import normalize

FEATURES, WIDTH, STEPS, SEEDS = 128, 32, 1000, 3
ROWS, TEST, TRIES, BATCH = 40_000, 5_000, 6, 512
LEARNING_RATE, DEAD, PENALTY_WARMUP = 3e-3, 100, 0.2
COUNTED = {  # with the name of their classes in SAELens
    "topk-sae": "TopK",
    "batch-topk-sae": "BatchTopK",
    "matryoshka-sae": "MatryoshkaBatchTopK",
    "matching-pursuit-sae": "MatchingPursuit",
}
PENALISED = {  # with the first penalty of each, and the name of its weight there
    "sae": ("Standard", "l1", 0.4, 0.3),
    "gated-sae": ("Gated", "l1", 0.4, 0.3),
    "jumprelu-sae": ("JumpReLU", "l0", 0.025, 0.05),
}
METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    "MCC": ("planted-mcc", {}),
    "F1": ("planted-f1", {}),
    "F1 conc.": ("planted-f1", {"form": "concepts"}),
    "explained": ("explained-variance", {}),
    "L0": ("l0", {}),
    "dead": ("dead-concepts", {}),
}
Fit = Callable[[float | None], ConceptSpace]  # with a penalty, for those that have one


class Trained(ConceptSpace):
    """An autoencoder of SAELens, as it saves it for use."""

    def __init__(self, trained: Any) -> None:
        super().__init__(normalize(trained.W_dec.detach(), dim=1))
        self.trained = trained

    @torch.no_grad()
    def encode(self, values: Tensor) -> Tensor:
        return self.trained.encode(values).float()

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        return self.trained.decode(codes)


def batches(rows: Tensor, seed: int) -> Iterator[Tensor]:
    """Shuffled batches without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from rows[torch.randperm(len(rows), generator=generator)].split(BATCH)[:-1]


def by_saelens(method: str, rows: Tensor, penalty: float | None, k: int, given: dict[str, Any]) -> ConceptSpace:
    """Trained by SAELens."""
    from sae_lens import SAE, saes
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(given["seed"])
    features, steps = given["concepts"], given["steps"]
    options: dict[str, Any] = {"d_in": rows.shape[1], "d_sae": features}
    if method in COUNTED:
        name = COUNTED[method]
        options |= {"max_iterations": k} if method == "matching-pursuit-sae" else {"k": k}
        if method == "matryoshka-sae":
            options["matryoshka_widths"] = [features // part for part in (16, 8, 4, 2, 1)]
    else:
        name, kind = PENALISED[method][:2]
        options |= {f"{kind}_coefficient": penalty, f"{kind}_warm_up_steps": int(PENALTY_WARMUP * steps)}
    trained = getattr(saes, f"{name}TrainingSAE")(getattr(saes, f"{name}TrainingSAEConfig")(**options))
    config = SAETrainerConfig(
        total_training_samples=steps * BATCH,
        train_batch_size_samples=BATCH,
        lr=LEARNING_RATE,
        lr_end=LEARNING_RATE,
        dead_feature_window=DEAD,
        logger=LoggingConfig(log_to_wandb=False),
    )
    SAETrainer(cfg=config, sae=trained, data_provider=batches(rows, given["seed"])).fit()
    with tempfile.TemporaryDirectory() as folder:
        trained.save_inference_model(folder)
        return Trained(SAE.load_from_disk(folder))


def lit(space: ConceptSpace, test: Any) -> float:
    """How many concepts a row has."""
    return float(interp.measure(space, test, by="l0").value)


def at_equal_l0(fit: Fit, penalty: float, k: int, test: Any) -> tuple[ConceptSpace, float]:
    """Of the penalties tried, the space that lights the most nearly k concepts, and its penalty."""
    tried: dict[float, tuple[float, ConceptSpace]] = {}
    for _ in range(TRIES):
        space = fit(penalty)
        tried[penalty] = (lit(space, test), space)
        if abs(tried[penalty][0] / k - 1) < 0.1:
            break
        above = [p for p, (count, _) in tried.items() if count > k]  # too many: the penalty is too small
        below = [p for p, (count, _) in tried.items() if count <= k]
        penalty = (max(above) * min(below)) ** 0.5 if above and below else 2 * max(above) if above else min(below) / 2
    best = min(tried, key=lambda p: abs(tried[p][0] - k))
    return tried[best][1], best


def measured(space: ConceptSpace, test: Any, truth: ConceptSpace) -> list[float]:
    """A number for each column."""
    return [
        interp.measure(space, test, *((truth,) if by.startswith("planted") else ()), by=by, **form).value
        for by, form in METRICS.values()
    ]


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    features, width, steps = [int(a) for a in sys.argv[1:4]] + [FEATURES, WIDTH, STEPS][len(sys.argv[1:4]) :]
    methods = sys.argv[4].split(",") if len(sys.argv) > 4 else [*COUNTED, *PENALISED]
    seeds = int(sys.argv[5]) if len(sys.argv) > 5 else SEEDS
    k = round(features**0.5 / 2)
    print(f"{features} features in {width} dimensions, {k} a row; {ROWS} rows, {steps} steps; {seeds} seeds")
    print(f"{'':32}" + "".join(f"{name:>10}" for name in [*METRICS, "MCC ±", "seconds"]), flush=True)
    for method in methods:
        for trainer in ("interp", "SAELens") if find_spec("sae_lens") else ("interp",):
            penalty = PENALISED[method][2 + (trainer == "SAELens")] if method in PENALISED else None
            lines, start = [], time.process_time()
            for seed in range(seeds):
                world = {"seed": seed, "features": features, "width": width, "active": float(k)}
                rows, _ = synthetic_world(rows=ROWS, **world)
                test, truth = synthetic_world(rows=TEST, part=1, **world)
                given = {"concepts": features, "steps": steps, "seed": seed}

                def fit(penalty: float | None, rows: Any = rows, given: dict[str, Any] = given) -> ConceptSpace:
                    if trainer == "SAELens":  # noqa: B023 - called in this turn of the loop
                        return by_saelens(method, rows.matrix(), penalty, k, given)  # noqa: B023
                    own = {"k": k} if penalty is None else {"penalty": penalty}
                    return interp.fit_concepts(rows, by=method, **given, **own)  # noqa: B023

                space, penalty = (fit(None), None) if penalty is None else at_equal_l0(fit, penalty, k, test)
                lines.append(measured(space, test, truth))
            table = torch.tensor(lines)
            values = [*table.mean(0).tolist(), float(table[:, 0].std()), time.process_time() - start]
            print(f"{method:22}{trainer:10}" + "".join(f"{value:>10.3f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
