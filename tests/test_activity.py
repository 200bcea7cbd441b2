"""Where concepts are active: counts that are exact, samples that are fair, ranks whose error is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, _activity, activity, with_rows
from interp_core.concepts._strongest import check_whole
from interp_core.errors import InputError
from torch import Tensor


class Plain(ConceptSpace):
    """The codes are the activations."""

    def encode(self, values: Tensor) -> Tensor:
        return values


def codes_of(rows: int, seed: int = 0) -> Tensor:
    """Dense, sparse, very rare, never active, constant, skewed, and giant."""
    draw = torch.Generator().manual_seed(seed)
    normal = torch.randn(rows, 7, generator=draw)
    normal[:, 1] *= torch.rand(rows, generator=draw) < 0.05
    normal[:, 2] = (torch.rand(rows, generator=draw) < 3 / rows).float()
    normal[:, 3] = -1.0
    normal[:, 4] = 0.5
    normal[:, 5] = normal[:, 5].exp() ** 3
    normal[:, 6] *= 1e30
    return normal


def test_counts_means_and_largest_codes_are_exact() -> None:
    codes = codes_of(3000)
    found = activity(Plain(torch.eye(7)), of_rows(codes), sample=100)
    above = codes > 0
    assert found.active.tolist() == above.sum(0).tolist() and found.rows == 3000
    mean = codes.double().clamp(min=0).sum(0) / above.sum(0).clamp(min=1)
    assert torch.allclose(found.mean.double(), mean, rtol=1e-5) and found.mean[3] == 0
    assert torch.equal(found.largest, codes.clamp(min=0).amax(0))
    for concept, (on, off) in enumerate(zip(found.samples, found.silent, strict=True)):
        assert torch.equal(on.codes, codes[on.rows, concept]) and torch.equal(off.codes, codes[off.rows, concept])
        assert (on.codes > 0).all() and (off.codes <= 0).all()
        assert len(on.rows) == min(100, int(above[:, concept].sum())) == len(on.rows.unique())
        assert len(off.rows) == min(64, int((~above[:, concept]).sum())) == len(off.rows.unique())
        assert torch.equal(on.codes, on.codes.sort(descending=True).values)


@pytest.mark.parametrize("sample", [300, 2048, 10_000])
def test_the_rank_of_a_quantile_is_off_by_no_more_than_is_said(sample: int) -> None:
    codes = codes_of(8000)
    found = activity(Plain(torch.eye(7)), of_rows(codes), sample=sample)
    assert found.rank_error <= {300: 0.04, 2048: 0.01, 10_000: 1 / 500}[sample]
    shares = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0]
    for concept in (0, 1, 5, 6):
        own = codes[codes[:, concept] > 0, concept].sort().values
        for share, value in zip(shares, found.quantiles(concept, shares).tolist(), strict=True):
            rank = float((own <= value).double().mean())
            assert abs(rank - share) <= found.rank_error + 2 / len(own)
        counts, limits = found.histogram(concept, 10)
        true = np.histogram(own.double().numpy(), limits.double().numpy())[0]
        assert np.abs(counts.numpy().cumsum() - true.cumsum()).max() <= (found.rank_error + 1e-3) * len(own) + 2
    assert found.quantiles(3, [0.5]).tolist() == [0] and found.histogram(3)[0].sum() == 0
    assert found.quantiles(4, [0.1, 1.0]).tolist() == [0.5, 0.5] and found.histogram(4, 5)[0].tolist()[-1] == 8000


def test_every_active_row_has_the_same_chance() -> None:
    codes = torch.tensor([[1.0], [2.0], [3.0], [-1.0], [4.0]])
    drawn = [activity(Plain(torch.eye(1)), of_rows(codes), sample=2, seed=seed).samples[0] for seed in range(400)]
    counts = np.bincount(torch.cat([one.rows for one in drawn]).numpy(), minlength=5)
    assert counts[3] == 0 and (np.abs(counts[[0, 1, 2, 4]] - 200) < 5 * 10).all()  # 400 draws, a half each


def test_batches_and_stores_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = codes_of(500)
    whole = activity(Plain(torch.eye(7)), of_rows(codes), sample=50)
    monkeypatch.setattr(_activity, "ENTRIES", 7 * 33)
    parts = activity(Plain(torch.eye(7)), of_rows(codes), sample=50)
    for one, other in ((whole, parts), (parts, activity(Plain(torch.eye(7)), of_rows(codes), sample=50))):
        assert torch.equal(one.active, other.active) and one.rank_error == other.rank_error
        for name in ("samples", "silent"):
            for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
                assert torch.equal(a.rows, b.rows) and torch.equal(a.codes, b.codes)
        assert torch.equal(one.quantiles(5, [0.3, 0.7]), other.quantiles(5, [0.3, 0.7]))


def test_the_rows_are_read_once_where_every_active_row_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read, plain = [], _activity._codes

    def counting(*given: Any) -> Any:
        read.append(given)
        return plain(*given)

    monkeypatch.setattr(_activity, "_codes", counting)
    codes = codes_of(500)
    activity(Plain(torch.eye(7)), of_rows(codes), sample=500)
    assert len(read) == 1
    activity(Plain(torch.eye(7)), of_rows(codes), sample=400)
    assert len(read) == 3


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="sample is 0"):
        activity(Plain(torch.eye(7)), of_rows(codes_of(5)), sample=0)
    with pytest.raises(InputError):
        activity(Plain(torch.eye(3)), of_rows(codes_of(5)))


def test_a_bin_holds_its_upper_limit_and_the_last_quantile_is_the_largest_code() -> None:
    found = activity(Plain(torch.eye(1)), of_rows(torch.tensor([[1.0], [1.0], [2.0], [0.5], [-1.0]])))
    counts, limits = found.histogram(0, 2)
    assert counts.tolist() == [3, 1] and limits.tolist() == [0, 1, 2]
    assert found.quantiles(0, [0.0, 0.25, 0.5, 0.75, 1.0]).tolist() == [0.5, 0.5, 1.0, 1.0, 2.0]
    large = activity(Plain(torch.eye(7)), of_rows(codes_of(3000)), sample=100)
    assert torch.equal(torch.cat([large.quantiles(c, [1.0]) for c in range(7)]), large.largest)


def test_a_code_that_is_not_finite_is_named() -> None:
    codes = codes_of(20)
    codes[7, 2] = torch.inf
    with pytest.raises(InputError, match="concept 0 in row 7 is nan"):
        activity(Plain(torch.eye(7)), of_rows(codes))


def test_what_an_activity_is_asked_must_be_there() -> None:
    found = activity(Plain(torch.eye(7)), of_rows(codes_of(20)))
    for concept in (7, -1, True):
        with pytest.raises(InputError, match="there is no concept"):
            found.quantiles(concept, [0.5])
        with pytest.raises(InputError, match="there is no concept"):
            found.histogram(concept)
    for shares in ([-0.1], [1.1], [torch.nan], [0.5, torch.inf]):
        for concept in (0, 3):  # the second is never active
            with pytest.raises(InputError, match="from 0 to 1"):
                found.quantiles(concept, shares)
    for bins in (0, -2, True):
        with pytest.raises(InputError, match="bins is"):
            found.histogram(0, bins)
    for name in ("sample", "silent", "seed"):
        with pytest.raises(InputError, match=f"{name} is -1"):
            activity(Plain(torch.eye(7)), of_rows(codes_of(20)), **{name: -1})
    assert found.quantiles(0, []).tolist() == [] and len(found.quantiles(3, (0.5, 1))) == 2


@pytest.mark.parametrize("wrong", [1.5, "ten", None, 0, torch.tensor([1, 2])])
def test_what_is_no_whole_number_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match=r"bins is .*; a whole number of at least 1 is needed"):
        check_whole("bins", wrong, 1)
    check_whole("bins", np.int64(1), 1)


def test_rows_are_kept_above_what_is_said_and_at_least_one() -> None:
    codes, keys = torch.tensor([[-3.0, 1.0], [-1.0, 0.0], [-2.0, -4.0]]), torch.tensor([0, 0, 1])
    assert with_rows(None, codes, 5, keys, 3).entries == [[], [(5, 1.0)]]
    found = with_rows(None, codes[:1], 5, keys[:1], 3, above=-torch.inf)
    found = with_rows(found, codes[1:], 6, keys[1:], 3, above=-torch.inf)
    assert found.entries == [[(6, -1.0), (7, -2.0)], [(5, 1.0), (7, -4.0)]]
    for top in (0, -1, True):
        with pytest.raises(InputError, match="top is"):
            with_rows(None, codes, 0, keys, top)


def test_a_view_knows_the_whole_space_and_the_numbers_of_its_concepts() -> None:
    space = Plain(torch.eye(5))
    view = space.only([4, 1, 2]).only([2, 0])
    assert view.whole is space and view.numbers == [2, 4] and space.whole is space and space.numbers == [0, 1, 2, 3, 4]
    rows = torch.arange(10.0).reshape(2, 5)
    assert torch.equal(view.encode(rows), rows[:, [2, 4]]) and torch.equal(view.dictionary, torch.eye(5)[[2, 4]])
