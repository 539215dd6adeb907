"""Commands around the service: serve a model, look at what it does, and see to what people may ask of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyrec.arguments import AsJson, Folder, Method, Seed, explainer_of, listed
from whyrec.console import show, tell

if TYPE_CHECKING:  # PyTorch takes a second to import: only commands that need it should wait
    from whyrec.record_store import RecordStore
    from whyrec.shares import ParameterShares

Somebody = Annotated[str, typer.Option("--user", help="Id of the user.")]
Records = Annotated[
    str, typer.Option(help="File or PostgreSQL address of the records; DIR.records.sqlite where not given.")
]
Listing = Annotated[int, typer.Option("-k", help="Length of the list.")]
Language = Annotated[str, typer.Option(help="Of the sentences: a name of a file in languages/.")]


def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1)] = 1,
    records: Records = "",
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys, one a line; no key is asked for without.")
    ] = None,
    allow_host: Annotated[str, typer.Option(help="Names to answer to, NAME,NAME; * is any.")] = "",
    cors: Annotated[str, typer.Option(help="Origins whose pages may call, ORIGIN,ORIGIN.")] = "",
    rate: Annotated[str, typer.Option(help="Requests allowed to one client in each worker, as 100/minute.")] = "",
    max_body: Annotated[int, typer.Option(help="The largest request in bytes.", min=1000)] = 1_000_000,
    seconds: Annotated[float, typer.Option(help="How long one request may take.", min=0.1)] = 30.0,
    threads: Annotated[int, typer.Option(help="Requests that a worker computes at once.", min=1)] = 4,
    retention_days: Annotated[float, typer.Option(help="How long records are kept.", min=0.01)] = 180.0,
    judge: Annotated[
        str, typer.Option(help="Methods to judge at the start, NAME,NAME: reasons need a verdict.")
    ] = "lrp",
) -> None:
    """Serve a model over HTTP, on this machine only unless --host says otherwise. Each answer leaves a record."""
    from whyrec import serving

    given: dict[str, Any] = {
        "records": records,
        "keys": keys,
        "cors": tuple(listed(cors)),
        "rate": rate,
        "max_body": max_body,
        "seconds": seconds,
        "threads": threads,
        "retention_days": retention_days,
        "judged": tuple(listed(judge)),
        **({"hosts": tuple(listed(allow_host))} if allow_host else {}),
    }
    serving.serve(folder, given, host=host, port=port, workers=workers, tell=tell)


def similar(
    folder: Folder,
    item: Annotated[str, typer.Option(help="Id of the item.")],
    k: Listing = 10,
    as_json: AsJson = False,
) -> None:
    """Items like an item: by the model's own word, by its vectors, or by who took both."""
    from whyrec import item_similarity
    from whyrec.checkpoint import load

    found = item_similarity.similar(load(folder), item, k)
    show({**asdict(found), "items": [asdict(one) for one in found.lines]}, str(found), as_json)


def main_parameters(
    folder: Folder,
    method: Method = "lrp",
    users: Annotated[int, typer.Option(help="Users whose lists are looked at, at most.", min=2)] = 500,
    k: Listing = 10,
    most: Annotated[int, typer.Option(help="Inputs that stand by themselves.", min=0)] = 10,
    before: Annotated[Path | None, typer.Option(help="Folder of an older version, to say what changed.")] = None,
    language: Language = "en",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What recommendations rest on: shares of 100 % with intervals, and how they changed since an older version."""
    from whyrec.checkpoint import load
    from whyrec.shares import parameter_changes, parameter_shares

    def measured(of: Path) -> ParameterShares:
        return parameter_shares(load(of), explainer=explainer_of(method), users=users, k=k, most=most, seed=seed)

    found = measured(folder)
    changes = [] if before is None else parameter_changes(measured(before), found)
    document = {**found.to_json(), **({} if before is None else {"changes": [asdict(one) for one in changes]})}
    told = [found.sentences(language), *(["", "since the older version:"] if changes else []), *map(str, changes)]
    show(document, "\n".join(told), as_json)


def model_card(
    folder: Folder,
    to: Annotated[Path | None, typer.Option(help="File to write the card to, as Markdown.")] = None,
    method: Method = "lrp",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What a model is, learned from, can do, rests on and is not for."""
    from whyrec import evaluation, model_cards, recommendations, report_card, shares, verification
    from whyrec.checkpoint import load, load_split

    model, split = load(folder), load_split(folder)
    explainer = explainer_of(method)
    card = model_cards.model_card(
        model,
        split=split,
        evaluation=evaluation.evaluate(model, split, seed=seed),
        card=report_card.verify(
            model, recommendations.recommend(model), [explainer], settings=verification.Verification(seed=seed)
        ),
        shares=shares.parameter_shares(model, explainer=explainer, seed=seed),
    )
    if to is not None:
        to.write_text(card.to_markdown() + "\n", encoding="utf-8")
    show(card.to_json(), card.to_markdown() if to is None else f"wrote {to}", as_json)


def erase(folder: Folder, user: Somebody, records: Records = "", as_json: AsJson = False) -> None:
    """Erase a user: every record of them, and their events and id in the model. A running service heeds it at once."""
    from whyrec.erasure import erase_from

    with _store(folder, records) as store:
        gone = store.erase(_pseudonym(folder, records, user))
    tell(f"erased {gone} records")
    found = erase_from(folder, user)
    show({"records": gone, **asdict(found)}, str(found), as_json)


def opt_out(
    folder: Folder,
    user: Somebody,
    undo: Annotated[bool, typer.Option(help="The user no longer objects.")] = False,
    records: Records = "",
    as_json: AsJson = False,
) -> None:
    """Note that a user objects to profiling. A running service heeds it at the next request."""
    from whyrec.checkpoint import load
    from whyrec.people import People
    from whyrec.pseudonyms import pseudonyms_of

    with _store(folder, records) as store:
        one = People(load(folder).users, pseudonyms_of(_secret(folder, records)), store).asked(user)
        store.set_objection(one.pseudonym or "", objects=not undo)
    told = "may be profiled again" if undo else "is not profiled any more"
    show({"user": user, "opted_out": not undo}, f"{user} {told}", as_json)


def _store(folder: Path, records: str) -> RecordStore:
    from whyrec.record_store import open_records, place_of_records

    return open_records(place_of_records(folder, records))


def _pseudonym(folder: Path, records: str, user: str) -> str:
    from whyrec.pseudonyms import pseudonyms_of

    return pseudonyms_of(_secret(folder, records)).of(user)


def _secret(folder: Path, records: str) -> Path:
    from whyrec.record_store import place_of_records, secret_of_records

    return secret_of_records(folder, place_of_records(folder, records))


COMMANDS = (serve, similar, main_parameters, model_card, erase, opt_out)
