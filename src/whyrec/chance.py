"""Random numbers from a seed: global ones for the length of a `with`, and streams that stand apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Draw from `seed` on the CPU, and on `device` where that is of CUDA; no other generator is touched.

    `torch.manual_seed` would seed all GPUs of the process, those not yet in use as well, and nothing puts them back.

    >>> before = torch.get_rng_state()
    >>> with seeded(3):
    ...     first = torch.rand(2)
    >>> with seeded(3):
    ...     bool(torch.equal(torch.rand(2), first))
    True
    >>> bool(torch.equal(torch.get_rng_state(), before))
    True
    """
    gpus = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield


def stream(purpose: str, seed: int) -> torch.Generator:
    """A generator whose numbers have nothing to do with those that another purpose draws from the same seed.

    An untrained table of scores and the negatives that it is judged among, both straight from one seed, are the same
    numbers twice: its HR@10 among 99 was .055, not .10.

    >>> one, other = (torch.rand(2, generator=stream(purpose, 0)) for purpose in ("weights", "negatives"))
    >>> bool(torch.equal(one, other))
    False
    """
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
