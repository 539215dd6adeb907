"""Good settings, found by trying: each trial trains a model, and the validation part says how good it became.

Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) chooses what to try next. The first trial is always the
model as it comes, so the outcome is never worse than that. The test part is never seen: a search gets what `fit` gets.
What counts is what chooses the epoch in training: NDCG@10 of held-out items, or the RMSE of held-out ratings.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyrec import kinds
from whyrec.checkpoint import save
from whyrec.errors import BadInput, InvalidSetting, WhyrecError
from whyrec.objectives import objective, objective_of
from whyrec.recommender import Recommender, Solved
from whyrec.search_space import Range, Searchable, SearchSpace, require_ranges
from whyrec.settings import make, to_json
from whyrec.split import Split, TrainingData
from whyrec.train import fit
from whyrec.training import Loss, Measure, Training

if TYPE_CHECKING:
    import optuna

TRAINING_SPACE: SearchSpace = {
    "learning_rate": ("log", 5e-4, 5e-2),
    "weight_decay": ("choice", (0.0, 1e-3, 1e-2, 1e-1)),
}
"""Where the training of models without a closed form is looked for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of settings and what became of it."""

    number: int  # from 1
    settings: Mapping[str, Any]  # the searched ones, of the model and of its training
    validation: float | None  # as `Tuned.measure` says; None where training failed
    seconds: float
    problem: str = ""  # why it failed


@dataclass(frozen=True, eq=False)
class Tuned:
    """The best settings found, and all that was tried. Printing it shows a table, the best first."""

    model: str
    settings: Mapping[str, Any]
    """All settings of the best model, as plain values."""
    training: Training
    measure: Measure
    """What was looked at: NDCG@10, the higher the better, or RMSE, the lower the better."""
    validation: float
    trials: tuple[Trial, ...]

    def new(self) -> Recommender:
        """A model with the best settings, for `fit`; to be trained as `training` says."""
        model: Recommender = kinds.load("models", self.model)(**self.settings)
        return model

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "settings": dict(self.settings),
            "training": to_json(self.training),
            "measure": self.measure,
            "validation": self.validation,
            "trials": [asdict(trial) for trial in self.trials],
        }

    def __str__(self) -> str:
        ordered = sorted(self.trials, key=lambda trial: _cost(trial, self.measure))
        lines = [f"{'trial':>5}  {self.measure:<8} {'seconds':>7}  settings"]
        for trial in ordered:
            value = "failed" if trial.validation is None else f"{trial.validation:.4f}"
            said = ", ".join(f"{name}={_short(found)}" for name, found in trial.settings.items())
            lines.append(f"{trial.number:>5}  {value:<8} {trial.seconds:>7.1f}  {said}")
        lines.append(f"{self.model}: {self.measure} of the validation part; the test part was not used")
        return "\n".join(lines)


def tune(
    model: str | type[Recommender],
    split: Split | TrainingData,
    *,
    minutes: float = 10.0,
    trials: int | None = None,
    space: SearchSpace | None = None,
    fixed: Mapping[str, Any] | None = None,
    seed: int = 0,
    storage: str | Path | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> Tuned:
    """Look for settings of `model` (a class, or its name) with the best NDCG@10, or RMSE of ratings, on validation.

    Stops at the first trial that ends after `minutes`, or after `trials` in all. `space` says where to look, in place
    of the model's own `search_space`; `fixed` are settings, of the model or its training, that are not searched. With a
    `storage` file (SQLite) a search goes on where it stopped: interrupted and resumed, it tries what it would have
    tried. `tell` is given a line for each trial. Needs Optuna: pip install 'whyrec[tune]'.
    """
    family: type[Recommender] = kinds.load("models", model) if isinstance(model, str) else model
    data = split.for_training() if isinstance(split, Split) else split
    if len(data.validation) == 0:
        raise BadInput(f"{data.name}: the validation part is empty, so nothing can say which settings are good")
    held = _flat(fixed or {})
    search = _Search(family, data, _space(family, space, held), held, seed)
    until = time.monotonic() + 60 * minutes
    search.require_one_measure()
    with _quiet_study(search, storage) as study:
        while not search.done(study, trials, until):
            tell(search.step(study))
        return search.outcome(study)


def tune_into(
    folder: Path,
    model: str,
    split: Split,
    *,
    minutes: float = 10.0,
    trials: int | None = None,
    fixed: Mapping[str, Any] | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _line: None,
) -> Tuned:
    """`tune` with all of it kept in a folder: the trials, what came of them, and the best model, trained once more."""
    kept = folder / "trials.sqlite"
    found = tune(model, split, minutes=minutes, trials=trials, fixed=fixed, seed=seed, storage=kept, tell=tell)
    save(fit(found.new(), split, found.training), folder / "model", split=split)
    (folder / "tuned.json").write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
    return found


def _space(family: type[Recommender], given: SearchSpace | None, fixed: Mapping[str, Any]) -> SearchSpace:
    """Where to look: as given, or what the model declares, and its training where it is trained, but what is fixed."""
    if given is None:
        own: SearchSpace = family.search_space if isinstance(family, Searchable) else {}
        declared = own if issubclass(family, Solved) else {**own, **TRAINING_SPACE}
        given = {name: found for name, found in declared.items() if name not in fixed and _matters(name, fixed)}
    if not given:
        raise InvalidSetting(f"{family.__name__} has no settings to search; pass space={{name: ('log', low, high)}}")
    require_ranges(given)
    return given


def _matters(name: str, fixed: Mapping[str, Any]) -> bool:
    """Whether a setting can change anything: how past items are summed does not where users have rows of their own."""
    return not (name.startswith("history.") and fixed.get("user") == "id")


@dataclass(frozen=True)
class _Search:
    """What all trials of one search share."""

    family: type[Recommender]
    data: TrainingData
    space: SearchSpace
    fixed: Mapping[str, Any]  # by dotted names
    seed: int

    def done(self, study: optuna.Study, most: int | None, until: float) -> bool:
        """Whether enough was tried; one trial always is."""
        tried = len(_finished(study))
        return tried > 0 and (time.monotonic() >= until or (most is not None and tried >= most))

    def step(self, study: optuna.Study) -> str:
        """One more trial, and a line about it."""
        import optuna

        number = len(_finished(study))
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + number)  # so that a resumed search draws the same
        if number == 0:
            study.enqueue_trial(self.defaults())
        asked = study.ask()
        values = {name: _draw(asked, name, found) for name, found in self.space.items()}
        try:
            worth = self.try_out(values)
        except (BadInput, InvalidSetting):
            raise
        except WhyrecError as problem:  # training diverged: a finding about these settings
            asked.set_user_attr("problem", str(problem))
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
            return f"trial {number + 1}: {problem}"
        study.tell(asked, worth)
        return f"trial {number + 1}: validation {self.measure} {worth:.4f}, best {study.best_value:.4f}"

    def try_out(self, values: Mapping[str, Any]) -> float:
        """Train with these settings; what all of the validation part says of the outcome."""
        model, training = self.records(values)
        fitted = fit(self.family(**to_json(model)), self.data, replace(training, refit=False), progress=False)
        everybody = replace(fitted.usually(training), validation_users=len(self.data.users))
        return objective(self.data, everybody).judge(fitted).value(self.measure)

    @property
    def measure(self) -> Measure:
        """What the trials are compared by."""
        return objective_of(self._losses()[0]).measure

    def require_one_measure(self) -> None:
        """Refuse losses that are not judged alike: ranks and errors of ratings do not compare."""
        if len({objective_of(loss).measure for loss in self._losses()}) > 1:
            losses = ", ".join(map(str, self._losses()))
            raise InvalidSetting(
                f"search space: losses {losses} are not judged alike; search log, bpr and multinomial, or squared alone"
            )

    def _losses(self) -> tuple[Loss | None, ...]:
        choice, (settings, training) = self.space.get("loss"), self.records({})
        asked = choice[1] if choice is not None and choice[0] == "choice" else (training.loss,)
        usual = self.family(**to_json(settings)).usually(replace(training, loss=None)).loss
        return tuple(loss or usual for loss in asked)

    def records(self, values: Mapping[str, Any]) -> tuple[Any, Training]:
        """The model's settings and its training with these values in place."""
        asked = _nested({**self.fixed, **values})
        trained = {field.name for field in fields(Training)} - {field.name for field in fields(self.family.Settings)}
        own = {name: value for name, value in asked.items() if name not in trained}
        training = {"seed": self.seed, **{name: value for name, value in asked.items() if name in trained}}
        settings: Any = make(self.family.Settings, own, owner=self.family.__name__)
        return settings, make(Training, training, owner="Training")

    def defaults(self) -> dict[str, Any]:
        """The searched settings as the model comes; those outside of their range are left to chance."""
        model, training = self.records({})
        plain = {**_flat(to_json(training)), **_flat(to_json(model))}
        unknown = sorted(set(self.space) - set(plain))
        if unknown:
            raise InvalidSetting(
                f"search space: {self.family.__name__} and its training have no setting {unknown[0]!r}; "
                f"they have {', '.join(plain)}"
            )
        return {name: plain[name] for name, found in self.space.items() if _inside(plain[name], found)}

    def identity(self) -> str:
        """What makes two searches the same, as JSON."""
        about = {
            "data": [self.data.train.fingerprint(), self.data.validation.fingerprint()],
            "space": {name: list(found) for name, found in self.space.items()},
            "fixed": self.fixed,
            "seed": self.seed,
        }
        return json.dumps(about, sort_keys=True)

    def outcome(self, study: optuna.Study) -> Tuned:
        """The best of all trials."""
        tried = tuple(_trial(number, one) for number, one in enumerate(_finished(study), start=1))
        good = [trial for trial in tried if trial.validation is not None]
        if not good:
            raise WhyrecError(f"all {len(tried)} trials failed; the last one: {tried[-1].problem}")
        best = min(good, key=lambda trial: _cost(trial, self.measure))
        settings, training = self.records(best.settings)
        name, worth = kinds.name_of(self.family), best.validation
        return Tuned(name, to_json(settings), training, self.measure, math.nan if worth is None else worth, tried)


@contextmanager
def _quiet_study(search: _Search, storage: str | Path | None) -> Iterator[optuna.Study]:
    """The search's record, in memory or in a file; Optuna's own messages are off for as long as it is open."""
    try:
        import optuna
    except ImportError as missing:
        raise WhyrecError("tune needs Optuna; install it with: pip install 'whyrec[tune]'") from missing
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield _study(search, storage)
    finally:
        optuna.logging.set_verbosity(before)


def _study(search: _Search, storage: str | Path | None) -> optuna.Study:
    import optuna
    from sqlalchemy.exc import DatabaseError

    if storage is not None:
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=None if storage is None else f"sqlite:///{Path(storage)}",
            study_name=kinds.name_of(search.family),
            direction="minimize" if search.measure == "RMSE" else "maximize",
            load_if_exists=True,
        )
    except DatabaseError as problem:
        raise BadInput(f"{storage} cannot be used to keep trials: {problem.orig}; name another file") from None
    identity = search.identity()
    if study.user_attrs.get("search", identity) != identity:
        raise InvalidSetting(
            f"{storage} holds a search for {kinds.name_of(search.family)} with other data, ranges, settings or seed; "
            "name another file, or ask for the same search again"
        )
    study.set_user_attr("search", identity)
    return study


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that came to an end; one that was interrupted is tried again."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _trial(number: int, found: optuna.trial.FrozenTrial) -> Trial:
    spent = found.duration.total_seconds() if found.duration is not None else 0.0
    return Trial(number, dict(found.params), found.value, spent, found.user_attrs.get("problem", ""))


def _cost(trial: Trial, measure: Measure) -> float:
    """What orders trials, the best first."""
    if trial.validation is None:
        return math.inf
    return trial.validation if measure == "RMSE" else -trial.validation


def _draw(trial: optuna.Trial, name: str, found: Range) -> Any:
    match found:
        case ("int", low, high):
            return trial.suggest_int(name, low, high)
        case ("log" | "linear" as scale, low, high):
            return trial.suggest_float(name, low, high, log=scale == "log")
        case ("choice", values):
            return trial.suggest_categorical(name, values)


def _inside(value: Any, found: Range) -> bool:
    return value in found[1] if found[0] == "choice" else bool(found[1] <= value <= found[2])


def _flat(settings: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """Nested settings by dotted names: {"history": {"limit": 8}} -> {"history.limit": 8}."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = to_json(value) if is_dataclass(value) and not isinstance(value, type) else value
        flat |= _flat(inner, f"{head}{name}.") if isinstance(inner, Mapping) else {f"{head}{name}": inner}
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The opposite of `_flat`."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *heads, last = name.split(".")
        place = nested
        for head in heads:
            place = place.setdefault(head, {})
        place[last] = value
    return nested


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
