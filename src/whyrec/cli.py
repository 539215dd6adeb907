"""The command line: the same verbs. Results go to standard output, progress to standard error.

Exit code 0 is done, 1 means that the input is at fault (one line says what and what to do), 2 is wrong usage. PyTorch
is imported only by commands that need it.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from whyrec.arguments import (
    AsJson,
    Duplicates,
    Folder,
    History,
    ItemColumn,
    Items,
    Method,
    Model,
    RatingColumn,
    Seed,
    Source,
    TimeColumn,
    User,
    UserColumn,
    Users,
    ids_of,
    listed,
    require_one_of,
    sorted_settings,
)
from whyrec.errors import WhyrecError

if TYPE_CHECKING:
    from whyrec.recommendations import Recommendations
    from whyrec.recommender import Recommender
    from whyrec.sources import Columns
    from whyrec.split import Split

app = typer.Typer(
    help="Train a recommender, recommend, explain every recommendation, and find out whether the explanation is true.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line; one line and exit code 1 for whatever a user can mend."""
    try:
        app()
    except (WhyrecError, OSError) as problem:
        print(f"whyrec: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for report.html, metrics.json, card.json and the model.")],
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Run everything on the bundled world, offline, and leave a report."""
    from whyrec.demo import demo as run

    found = run(out, seed=seed, tell=_tell)
    _show(
        {"folder": str(out), "seconds": found.seconds, "metrics": found.metrics, "card": found.card},
        f"done in {found.seconds:.0f} s: open {out / 'report.html'}",
        as_json,
    )


@app.command()
def fit(
    data: Source,
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    model: Model = "neumf",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the model or of its training, e.g. factors=32.")
    ] = None,
    seed: Seed = 0,
    user: UserColumn = None,
    item: ItemColumn = None,
    rating: RatingColumn = None,
    time: TimeColumn = None,
    users: Users = None,
    items: Items = None,
    duplicates: Duplicates = "error",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model and save it with its data. A run that is interrupted can go on with --resume.

    With --set pretrain=true a neumf begins as a trained gmf and a trained mlp, weighed by --set alpha=0.5.
    """
    from whyrec import kinds, pretraining
    from whyrec import train as training_loop
    from whyrec.checkpoint import save
    from whyrec.settings import make, to_json
    from whyrec.sources import Columns
    from whyrec.training import Training, chosen_epoch

    family = kinds.load("models", model)
    records = (family.Settings, Training, pretraining.Pretraining)
    model_settings, training_settings, beginning = sorted_settings(settings or [], *records)
    recommender = family(**model_settings)
    training = make(Training, {"seed": seed, **training_settings}, owner="Training")
    begin = pretraining.asked_for(family, beginning)
    split = _split(data, Columns(user, item, rating, time), users, items, duplicates)
    kept = out.with_name(f".{out.name}.training.safetensors")
    if not resume:
        pretraining.forget(kept)
    if begin.pretrain:
        recommender = pretraining.fit_pretrained(recommender, split, training, alpha=begin.alpha, checkpoint=kept)
    else:
        training_loop.fit(recommender, split, training, checkpoint=kept)
    save(recommender, out, split=split)
    best = chosen_epoch(recommender.log) if recommender.log else None
    about = {
        "folder": str(out),
        "model": model,
        "settings": to_json(recommender.settings),
        "training": to_json(training),
        **({"pretraining": to_json(begin)} if begin.pretrain else {}),
        "split": split.how,
        "epochs": len(recommender.log),
        "validation_ndcg@10": None if best is None else best.validation,
    }
    chosen = (
        f", epoch {best.number} of {len(recommender.log)} chosen on validation"
        if best and best.validation is not None
        else ""
    )
    _show(about, f"saved {model} to {out}{chosen}", as_json)


@app.command()
def tune(
    data: Source,
    out: Annotated[Path, typer.Option(help="Folder for tuned.json, the trials and the best model.")],
    model: Model = "neumf",
    minutes: Annotated[float, typer.Option(help="When to stop; the trial that runs then still ends.")] = 10.0,
    trials: Annotated[int | None, typer.Option(help="Trials at most, those of earlier calls included.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE that is not searched.")] = None,
    seed: Seed = 0,
    user: UserColumn = None,
    item: ItemColumn = None,
    rating: RatingColumn = None,
    time: TimeColumn = None,
    users: Users = None,
    items: Items = None,
    duplicates: Duplicates = "error",
    as_json: AsJson = False,
) -> None:
    """Look for good settings on the validation part and save the best model. Called again, it goes on."""
    from whyrec import tuning
    from whyrec.sources import Columns
    from whyrec.training import Training

    (fixed,) = sorted_settings(settings or [], Training)
    split = _split(data, Columns(user, item, rating, time), users, items, duplicates)
    found = tuning.tune_into(out, model, split, minutes=minutes, trials=trials, fixed=fixed, seed=seed, tell=_tell)
    _show({"folder": str(out), **found.to_json()}, f"{found}\nsaved the best model to {out / 'model'}", as_json)


@app.command()
def evaluate(
    folder: Folder,
    protocol: Annotated[
        Literal["full", "sampled"], typer.Option(help="Against all items, or against 99 unseen ones.")
    ] = "full",
    metrics: Annotated[
        str, typer.Option(help="What to measure: names of files in metrics/, NAME,NAME.")
    ] = "hit_rate,ndcg",
    baselines: Annotated[str, typer.Option(help="Models to put beside it, NAME,NAME.")] = "popularity",
    max_memory: Annotated[str | None, typer.Option(help="The most one block of scores may take, as 256MB.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Rank held-out items: metrics with 95 % intervals, simple baselines beside."""
    from whyrec import evaluation
    from whyrec.checkpoint import load, load_split

    found = evaluation.evaluate(
        load(folder),
        load_split(folder),
        protocol=protocol,
        metrics=listed(metrics),
        baselines=listed(baselines),
        seed=seed,
        max_memory=max_memory,
    )
    _show(found.to_json(), str(found), as_json)


@app.command()
def recommend(
    folder: Folder,
    user: User = None,
    history: History = None,
    k: Annotated[int, typer.Option("-k", help="Length of the list.")] = 10,
    as_json: AsJson = False,
) -> None:
    """The best items for a known user, or for somebody new with a history."""
    from whyrec import recommendations
    from whyrec.checkpoint import load

    require_one_of(user, history)
    past = ids_of(history)
    lists = recommendations.recommend(load(folder), None if user is None else [user], history=past, k=k)
    items = [{"rank": one.rank, "item": one.item, "title": one.title, "score": one.score} for one in lists.lines(0)]
    _show({"user": lists.user(0), "items": items}, str(lists), as_json)


@app.command()
def explain(
    folder: Folder,
    item: Annotated[str, typer.Option(help="Id of the item to explain.")],
    user: User = None,
    history: History = None,
    method: Method = "lrp",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Split a score over the model's inputs, with the account that has to add up."""
    from whyrec import explanation, kinds, recommendations
    from whyrec.checkpoint import load

    require_one_of(user, history)
    model = load(folder)
    lists = recommendations.list_of(model, user, item, ids_of(history))
    why = explanation.explain(model, lists, kinds.load("explainers", method)(), seed=seed)
    line, ledger = lists.lines(0)[0], why.ledger
    contributions = why.contributions(0, 0)
    account = {
        name: float(getattr(ledger, name)[0, 0]) for name in ("inputs", "bias", "stabilizer", "reference", "gap")
    }
    target = float(ledger.target[0, 0])
    document = {
        "user": line.user,
        "item": line.item,
        "title": line.title,
        "score": line.score,
        "target": target,
        "target_name": why.target,
        "method": why.method,
        "parts": [
            {"part": one.part, "unit": one.unit, "title": one.title, "relevance": one.relevance}
            for one in contributions
        ],
        "ledger": account,
        "complete": why.attribution.complete,
        "seconds": why.seconds,
    }
    lines = [f"{line.title} for {line.user}: {target:.3f} ({why.target}), explained by {why.method}"]
    lines += [f"{one.relevance:+8.3f}  {one.title}" for one in contributions[:10]]
    if len(contributions) > 10:
        lines.append(f"{sum(one.relevance for one in contributions[10:]):+8.3f}  {len(contributions) - 10} more")
    lines.append("ledger: " + ", ".join(f"{name} {amount:+.4g}" for name, amount in account.items()))
    _show(document, "\n".join(lines), as_json)


@app.command()
def verify(
    folder: Folder,
    method: Annotated[list[str] | None, typer.Option(help="A method to judge; may be given several times.")] = None,
    users: Annotated[int, typer.Option(help="Users to judge on, at most.")] = 200,
    k: Annotated[int, typer.Option("-k", help="Units taken away, or kept, at once.")] = 5,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Judge explanations by taking units away: floor, ceiling, interval, verdict."""
    from whyrec import kinds, report_card, verification
    from whyrec.settings import make

    model, lists = _lists(folder)
    settings = make(verification.Verification, {"users": users, "k": k, "seed": seed}, owner="Verification")
    names = method or ["lrp", "occlusion", "gradient", "random"]
    card = report_card.verify(model, lists, [kinds.load("explainers", name)() for name in names], settings=settings)
    _show(card.to_json(), str(card), as_json)


@app.command()
def report(
    folder: Folder,
    to: Annotated[Path, typer.Option(help="The HTML file to write.")],
    method: Method = "lrp",
    baselines: Annotated[str, typer.Option(help="Models to put beside it, NAME,NAME.")] = "popularity,ease",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """One HTML file: data, lists, reasons, verdicts, and how they were made. Opens offline."""
    from whyrec import evaluation, explanation, html_report, kinds, report_card, verification
    from whyrec.checkpoint import load_split

    model, lists = _lists(folder)
    split = load_split(folder)
    explainer = kinds.load("explainers", method)()
    judged = [explainer, *(kinds.load("explainers", name)() for name in ("occlusion", "random") if name != method)]
    card = report_card.verify(model, lists, judged, settings=verification.Verification(seed=seed))
    html_report.report(
        model,
        lists,
        explanation.explain(model, lists.best(3), explainer, seed=seed),
        card,
        to=to,
        evaluation=evaluation.evaluate(model, split, baselines=listed(baselines), seed=seed),
        split=split,
        seed=seed,
    )
    _show({"report": str(to)}, f"wrote {to}", as_json)


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A file, a folder, KIND:PATH (movielens:..., ncf:...) or planted.")],
    user: UserColumn = None,
    item: ItemColumn = None,
    rating: RatingColumn = None,
    time: TimeColumn = None,
    users: Users = None,
    items: Items = None,
    duplicates: Duplicates = "keep",
    as_json: AsJson = False,
) -> None:
    """Look a data set over before training: what is odd about it, and what to do. The exit code is 0 all the same."""
    from whyrec.data_doctor import check as findings_of
    from whyrec.sources import Columns, open_data
    from whyrec.split import Split

    columns = Columns(user, item, rating, time)
    found = open_data(source, columns=columns, users=users, items=items, duplicates=duplicates)
    for noticed in found.dataset.findings if isinstance(found, Split) else found.findings:
        _tell(noticed)
    findings = findings_of(found)
    _show({"findings": [asdict(one) for one in findings]}, "\n".join(map(str, findings)), as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check the installation."""
    from whyrec.doctor import installation

    findings = installation()
    _show({"findings": [asdict(one) for one in findings]}, "\n".join(map(str, findings)), as_json)
    if any(one.level == "bad" for one in findings):
        raise typer.Exit(1)


def _split(source: str, columns: Columns, users: Path | None, items: Path | None, duplicates: Duplicates) -> Split:
    """The data to train on, split; what was noticed on the way is told."""
    from whyrec.sources import open_split

    split = open_split(source, columns=columns, users=users, items=items, duplicates=duplicates)
    for noticed in split.dataset.findings:
        _tell(noticed)
    return split


def _lists(folder: Path) -> tuple[Recommender, Recommendations]:
    """A saved model and everybody's list."""
    from whyrec.checkpoint import load
    from whyrec.recommendations import recommend as lists_of

    model = load(folder)
    return model, lists_of(model, k=10)


def _show(document: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(_finite(document), ensure_ascii=False, allow_nan=False) if as_json else text)


def _finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
