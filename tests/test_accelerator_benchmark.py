"""The benchmark for accelerators runs on the CPU, small, and goes on where it was stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from interp_core.plugin import methods

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "accelerator.py"


def run(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), "--small", "--device", "cpu", "--out", str(folder), *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )


@pytest.mark.slow
def test_all_parts_run_small_on_the_cpu_and_every_method_says_the_same_in_other_batches(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No accelerator was at hand" in done.stdout
    parts = {file.stem: json.loads(file.read_text()) for file in tmp_path.glob("*.json")}
    assert parts.keys() == {"parity", "bert", "llama", "autoencoder"}
    compared = parts["parity"]["methods"]
    assert compared.keys() == {
        f"{m.name}, {kind}" for m in methods("attribution") for kind in ("classifier", "generator")
    }
    numbers = [one for one in compared.values() if "refused" not in one]
    assert len(numbers) > 0.9 * len(compared) and all(one["float32"] <= 1e-3 for one in numbers)
    assert any(one["bfloat16"] > 1e-4 for one in numbers)  # it was on
    for part in ("bert", "llama"):
        for name, row in parts[part]["rates"].items():
            assert row["rows a second"] > 0 and row["bare rows a second"] > 0 and row["peak megabytes"] > 0
            assert row["host syncs"] <= 2 * row["batches"], name
    assert parts["autoencoder"]["rates"].keys() == {"float32", "bfloat16"}

    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.json") if file.stem != "autoencoder"}
    (tmp_path / "autoencoder.json").unlink()  # as if it had been stopped before
    again = run(tmp_path)
    assert again.returncode == 0 and (tmp_path / "autoencoder.json").exists()
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())


def test_a_part_that_does_not_exist_is_refused_and_the_parts_are_named(tmp_path: Path) -> None:
    done = run(tmp_path, "--part", "berts")
    assert done.returncode == 2 and "there is no part berts; parts are parity, bert, llama, autoencoder" in done.stderr
