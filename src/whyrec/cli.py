"""The command line: the same verbs. Results go to standard output, progress to standard error.

Exit code 0 is done, 1 means that the input is at fault (one line says what and what to do), 2 is wrong usage. PyTorch
is imported only by commands that need it.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from whyrec.arguments import (
    About,
    AsJson,
    Duplicates,
    Folder,
    History,
    ItemColumn,
    Items,
    Method,
    MethodSettings,
    Model,
    Operator,
    RatingColumn,
    Seed,
    Source,
    TimeColumn,
    User,
    UserColumn,
    Users,
    explainer_of,
    ids_of,
    listed,
    require_one_of,
    sorted_settings,
    target_of,
)
from whyrec.console import answer_of, show, tell
from whyrec.errors import InvalidSetting, WhyrecError
from whyrec.service_commands import COMMANDS

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

    found = run(out, seed=seed, tell=tell)
    show(
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
        "training": to_json(recommender.trained_by),
        **({"pretraining": to_json(begin)} if begin.pretrain else {}),
        "split": split.how,
        "epochs": len(recommender.log),
        "validation_ndcg@10": None if best is None else best.validation,
        "validation_rmse": None if best is None else best.rmse,
    }
    chosen = (
        f", epoch {best.number} of {len(recommender.log)} chosen on validation"
        if best and best.merit is not None
        else ""
    )
    show(about, f"saved {model} to {out}{chosen}", as_json)


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
    found = tuning.tune_into(out, model, split, minutes=minutes, trials=trials, fixed=fixed, seed=seed, tell=tell)
    show({"folder": str(out), **found.to_json()}, f"{found}\nsaved the best model to {out / 'model'}", as_json)


@app.command()
def evaluate(
    folder: Folder,
    protocol: Annotated[
        Literal["full", "sampled", "ratings"],
        typer.Option(help="Rank against all items, or against 99 unseen ones; or the errors of ratings."),
    ] = "full",
    metrics: Annotated[
        str | None,
        typer.Option(help="What to measure: names of files in metrics/, NAME,NAME; hit_rate,ndcg where not given."),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(help="Models to put beside it, NAME,NAME; popularity, or bias_only for ratings, where not given."),
    ] = None,
    max_memory: Annotated[str | None, typer.Option(help="The most one block of scores may take, as 256MB.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Rank held-out items, or predict ratings: metrics with 95 % intervals, simple baselines beside."""
    from whyrec import evaluation, ratings
    from whyrec.checkpoint import load, load_split

    model, split = load(folder), load_split(folder)
    if protocol == "ratings":
        if metrics is not None:
            raise InvalidSetting("--protocol ratings measures RMSE and MAE; leave --metrics out")
        beside = listed("bias_only" if baselines is None else baselines)
        errors = ratings.evaluate_ratings(model, split, baselines=beside, max_memory=max_memory)
        show(errors.to_json(), str(errors), as_json)
        return
    found = evaluation.evaluate(
        model,
        split,
        protocol=protocol,
        metrics=listed("hit_rate,ndcg" if metrics is None else metrics),
        baselines=listed("popularity" if baselines is None else baselines),
        seed=seed,
        max_memory=max_memory,
    )
    show(found.to_json(), str(found), as_json)


@app.command()
def recommend(
    folder: Folder,
    user: User = None,
    history: History = None,
    k: Annotated[int, typer.Option("-k", help="Length of the list.")] = 10,
    non_profiling: Annotated[bool, typer.Option(help="What others took most; nothing of the user goes in.")] = False,
    as_json: AsJson = False,
) -> None:
    """The best items for a known user, or for somebody new with a history."""
    from whyrec import recommendations
    from whyrec.checkpoint import load

    require_one_of(user, history)
    users, past = None if user is None else [user], ids_of(history)
    lists = recommendations.recommend(load(folder), users, history=past, k=k, non_profiling=non_profiling)
    items = [{"rank": one.rank, "item": one.item, "title": one.title, "score": one.score} for one in lists.lines(0)]
    show({"user": lists.user(0), "items": items}, str(lists), as_json)


@app.command()
def explain(
    folder: Folder,
    item: Annotated[str, typer.Option(help="Id of the item to explain.")],
    user: User = None,
    history: History = None,
    method: Method = "lrp",
    settings: MethodSettings = None,
    target: About = "logit",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Split a score over the model's inputs, with the account that has to add up."""
    from whyrec import explanation, recommendations
    from whyrec.checkpoint import load

    require_one_of(user, history)
    model = load(folder)
    lists = recommendations.list_of(model, user, item, ids_of(history))
    why = explanation.explain(model, lists, explainer_of(method, settings), target=target_of(target), seed=seed)
    show(*answer_of(lists.lines(0)[0], why), as_json)


@app.command()
def verify(
    folder: Folder,
    method: Annotated[list[str] | None, typer.Option(help="A method to judge; may be given several times.")] = None,
    users: Annotated[int, typer.Option(help="Users to judge on, at most.")] = 200,
    k: Annotated[int, typer.Option("-k", help="Units taken away, or kept, at once.")] = 5,
    target: About = "logit",
    operator: Operator = "mask",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Judge explanations by taking units away: floor, ceiling, interval, verdict."""
    from whyrec import report_card, verification
    from whyrec.settings import make

    model, lists = _lists(folder)
    asked = {"users": users, "k": k, "operator": operator, "seed": seed}
    settings = make(verification.Verification, asked, owner="Verification")
    judged = [explainer_of(name) for name in method or ["lrp", "occlusion", "gradient", "random"]]
    card = report_card.verify(model, lists, judged, target=target_of(target), settings=settings)
    show(card.to_json(), str(card), as_json)


@app.command()
def report(
    folder: Folder,
    to: Annotated[Path, typer.Option(help="The HTML file to write.")],
    method: Method = "lrp",
    target: About = "logit",
    operator: Operator = "mask",
    baselines: Annotated[str, typer.Option(help="Models to put beside it, NAME,NAME.")] = "popularity,ease",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """One HTML file: data, lists, reasons, verdicts, and how they were made. Opens offline."""
    from whyrec import evaluation, explanation, html_report, report_card, verification
    from whyrec.checkpoint import load_split

    model, lists = _lists(folder)
    split = load_split(folder)
    explainer, about = explainer_of(method), target_of(target)
    judged = [explainer, *(explainer_of(name) for name in ("occlusion", "random") if name != method)]
    settings = verification.Verification(operator=operator, seed=seed)
    card = report_card.verify(model, lists, judged, target=about, settings=settings)
    html_report.report(
        model,
        lists,
        explanation.explain(model, lists.best(3), explainer, target=about, seed=seed),
        card,
        to=to,
        evaluation=evaluation.evaluate(model, split, baselines=listed(baselines), seed=seed),
        split=split,
        seed=seed,
    )
    show({"report": str(to)}, f"wrote {to}", as_json)


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
        tell(noticed)
    findings = findings_of(found)
    show({"findings": [asdict(one) for one in findings]}, "\n".join(map(str, findings)), as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check the installation."""
    from whyrec.doctor import installation

    findings = installation()
    show({"findings": [asdict(one) for one in findings]}, "\n".join(map(str, findings)), as_json)
    if any(one.level == "bad" for one in findings):
        raise typer.Exit(1)


for command in COMMANDS:
    app.command()(command)


def _split(source: str, columns: Columns, users: Path | None, items: Path | None, duplicates: Duplicates) -> Split:
    """The data to train on, split; what was noticed on the way is told."""
    from whyrec.sources import open_split

    split = open_split(source, columns=columns, users=users, items=items, duplicates=duplicates)
    for noticed in split.dataset.findings:
        tell(noticed)
    return split


def _lists(folder: Path) -> tuple[Recommender, Recommendations]:
    """A saved model and everybody's list."""
    from whyrec.checkpoint import load
    from whyrec.recommendations import recommend as lists_of

    model = load(folder)
    return model, lists_of(model, k=10)


if __name__ == "__main__":
    main()
