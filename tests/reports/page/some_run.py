"""A run with a failed check and a hostile name, and its page as elements and text."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from reports.verdicts.doubts import MARK

HOSTILE = "<img src=x onerror=alert(1)><script>alert('x')</script>|`a`*b*"
MARKED = HOSTILE + MARK
INFO: dict[str, Any] = {
    "schema": 1,
    "attnscale": "0.1.0",
    "created": "2026-11-20T06:30:00+00:00",
    "preset": "quick",
    "seed": 0,
    "allocator": "default",
    "threads": 2,
    "machine": {
        "cpu": "Some CPU",
        "cores_physical": 2,
        "memory_bytes": 2**34,
        "caches_bytes": {"L2": 2**20},
        "gpu": None,
    },
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "ceilings": {"cpu/float32": {"matmul_flops_per_s": 2e11, "copy_bytes_per_s": 1e10}},
    "verification": {
        "pass": 31,
        "fail": 1,
        "unsupported": 2,
        "error": 0,
        "failures": ["slow causal: off by 3"],
        "matrix": [
            {
                "implementation": name,
                "dtype": dtype,
                "area": area,
                "check": "output",
                "pass": 7,
                "fail": int(name == HOSTILE and dtype == "bfloat16"),
                "unsupported": 0,
                "error": 0,
                "case": "causal_block_65",
                "worst_error": step * (13 if name == HOSTILE and dtype == "bfloat16" else 0.5),
                "worst_allowed": step,
                "reason": None,
            }
            for name in ("alpha", HOSTILE)
            for dtype, step in (("float32", 1e-6), ("bfloat16", 1e-2))
            for area in ("causal", "masks")
        ],
    },
    "caveats": ["The room was warm by 3 %."],
}


def rows(*names: str) -> list[dict[str, Any]]:
    """Three rounds of a law n^2*d with one per cent of scatter, and one skipped cell each."""
    scatter = np.random.default_rng(5)
    made: list[dict[str, Any]] = []
    for speed, name in enumerate(names, start=1):
        for n in (128, 256, 512, 1024, 2048):
            for d in (64, 128, 256, 512):
                for round_ in range(3):
                    wanted = (n, d) != (2048, 512)
                    time = (2e-5 + 4 * n * n * d / (speed * 2e10)) * math.exp(
                        scatter.normal(0, 0.01)
                    )
                    made.append(
                        {
                            "schema": 1,
                            "implementation": name,
                            "kind": "core",
                            "pass": "forward",
                            "device": "cpu",
                            "dtype": "float32",
                            "batch": 1,
                            "num_heads": d // 64,
                            "seq_len": n,
                            "key_len": n,
                            "head_dim": 64,
                            "d_model": d,
                            "is_causal": False,
                            "mask": "none",
                            "threads": 2,
                            "round": round_,
                            "status": "measured" if wanted else "skipped",
                            "reason": None if wanted else "predicted 9 s, over the budget | 2 s",
                            "time_s": time if wanted else None,
                            "workspace_bytes": 512 * n if wanted else None,
                            "flops": 4 * n * n * d,
                            "noisy": n == 128 and round_ == 0 and d == 64,
                            "noise_reasons": ["load"] if n == 128 and d == 64 else None,
                            "growth": "heads",
                            "claim": "n^2*d",
                            "workspace_claim": "n",
                        }
                    )
    return made


def plain_rows(*names: str) -> list[dict[str, Any]]:
    """One round of `rows`, and only its times."""
    absent = {"workspace_bytes": None, "workspace_claim": None, "flops": None}
    return [row | absent for row in rows(*names) if row["round"] == 0]


def few_rows(*names: str) -> list[dict[str, Any]]:
    """Those of one width: for tests that judge nothing."""
    return [row for row in plain_rows(*names) if row["d_model"] == 64]


def write_run(folder: Path, made: list[dict[str, Any]], info: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(info))
    lines = "".join(json.dumps(row) + "\n" for row in made)
    (folder / "records.jsonl").write_text(lines)
    return folder


class Page(HTMLParser):
    """Every element and its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data
