"""Global random state from a seed for the length of a `with`, and as it was found afterwards."""

from __future__ import annotations

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
