"""Starting the service: one process, or several workers that share a port, records and counts."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from whyrec.errors import NotApplicable

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    folder: Path,
    given: Mapping[str, Any],
    *,
    host: str,
    port: int,
    workers: int,
    tell: Callable[[str], None],
) -> None:
    """Serve the model of a folder until somebody stops it. `given` are settings of the service by their names.

    On other than a loopback address the service answers to any name, unless names are given.
    """
    _share_cores(workers)
    if host not in LOOPBACK and "hosts" not in given:
        given = {**given, "hosts": ("*",)}
    with tempfile.TemporaryDirectory(prefix="whyrec-metrics-") as counts:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts  # read when its package is imported
        try:
            import uvicorn  # noqa: F401 (so that its absence is told, too)

            from whyrec.service_settings import PREFIX, ServiceSettings
            from whyrec.web_app import create, prepare
        except ImportError as missing:
            raise NotApplicable(
                f"serving needs packages that are not installed ({missing.name}): pip install 'whyrec[serve]'"
            ) from missing
        settings = ServiceSettings(folder=folder, **given)
        prepare(settings)
        tell(f"serving {folder} at http://{host}:{port}, records in {_without_password(settings.store)}")
        if host not in LOOPBACK and settings.keys is None:
            tell("anybody who reaches this address can ask about any user; give --keys FILE to let in only some")
        if workers == 1:
            run(create(settings), host=host, port=port)
            return
        os.environ.update(_as_environment(settings.model_dump(mode="json"), PREFIX))
        run("whyrec.web_app:create", host=host, port=port, workers=workers, factory=True)


def run(application: Any, *, host: str, port: int, workers: int = 1, factory: bool = False) -> None:
    """Run an application, written `module:name` where there are several workers, until somebody stops it."""
    import uvicorn

    from whyrec.prompt_protocol import PromptProtocol

    uvicorn.run(
        application,
        factory=factory,
        host=host,
        port=port,
        workers=workers,
        http=PromptProtocol,
        log_level="warning",
        access_log=False,
    )


def _share_cores(workers: int) -> None:
    """Threads of all workers together are as many as there are cores, unless somebody said otherwise."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def _as_environment(settings: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """What workers read: texts as they are, lists as JSON; what is not set is left out."""
    return {
        prefix + name.upper(): json.dumps(value) if isinstance(value, list) else str(value)
        for name, value in settings.items()
        if value is not None
    }


def _without_password(address: str) -> str:
    """An address as it may be shown."""
    before, at, after = address.rpartition("@")
    return f"{before.partition('://')[0]}://...@{after}" if at and "://" in before else address
