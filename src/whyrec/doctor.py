"""What is installed, and what a person should know about it before they start."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import dataclass
from typing import Literal

NEEDED = ("torch", "numpy", "duckdb", "safetensors", "pydantic", "typer", "rich", "jinja2", "matplotlib", "einops")
PEERS = ("captum", "shap", "lime")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up."""

    level: Literal["good", "note", "bad"]
    what: str
    advice: str = ""

    def __str__(self) -> str:
        sign = {"good": "  ok  ", "note": " note ", "bad": " BAD  "}[self.level]
        return f"{sign}{self.what}: {self.advice}" if self.advice else sign + self.what


def installation() -> list[Finding]:
    """Python, packages and devices; `bad` findings keep whyrec from working."""
    found = [Finding("good", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")]
    found += [_package(name) for name in NEEDED]
    if all(finding.level != "bad" for finding in found):
        found += _torch()
    found += [
        Finding("note", f"{name} is not installed", "optional: pip install whyrec[peers]")
        for name in PEERS
        if importlib.util.find_spec(name) is None
    ]
    return found


def _package(name: str) -> Finding:
    try:
        return Finding("good", f"{name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding("bad", f"{name} is missing", f"pip install {name}")


def _torch() -> list[Finding]:
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    found = [Finding("good", f"{threads} threads on {cores} cores")]
    if threads > cores:
        found.append(Finding("note", f"{threads} threads share {cores} cores", f"set OMP_NUM_THREADS={cores}"))
    devices = [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    if not devices and torch.version.cuda is not None:
        found.append(
            Finding(
                "note",
                f"this PyTorch was built for CUDA {torch.version.cuda}, and no such device is there",
                "the CPU build does the same in a tenth of the space",
            )
        )
    return [*found, Finding("good", "devices: " + ", ".join(["cpu", *devices]))]
