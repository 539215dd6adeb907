"""Answers in plain words. One file in `languages/` is one language: sentences with places for titles and numbers."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from whyrec.counterfactuals import Counterfactual
from whyrec.errors import InvalidSetting
from whyrec.reasons import Reason
from whyrec.targets import SCORE_NAMES

FIRST = "en"
"""The language whose sentences every other one has to have."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The sentences of one language.

    >>> wording("de").because(["Nine Kettles", "The Brass Orchard"])
    'Wegen „Nine Kettles“ und „The Brass Orchard“.'
    """

    language: str
    sentences: dict[str, str]

    def says(self, key: str, values: Mapping[str, str | int] | None = None) -> str:
        """One sentence with its places filled."""
        return self.sentences[key].format_map(values or {})

    def because(self, titles: Sequence[str]) -> str:
        """The reasons, the strongest first."""
        return self.says("because", {"titles": self.listed(titles)})

    def reasons(self, found: Sequence[Reason], verdict: str | None, method: str, target_name: str) -> str:
        """The reasons of one place of a list, or why there are none."""
        if target_name not in SCORE_NAMES:
            return self.says("about a comparison")
        if verdict is None:
            return self.says("not judged", {"method": method})
        if verdict in self.sentences:
            return self.says(verdict, {"method": method})
        return self.because([one.contribution.title for one in found]) if found else self.says("no reason")

    def counterfactual(self, found: Counterfactual) -> str:
        """What would have to be missing from the past."""
        item = self.quoted(found.item.title)
        if found.replacement is None:
            return self.says("no counterfactual", {"item": item, "k": found.k})
        return self.says(
            "counterfactual",
            {
                "titles": self.listed([one.title for one in found.removed]),
                "item": item,
                "rank": found.item.rank,
                "rank_after": found.item.rank_after,
                "replacement": self.quoted(found.replacement.title),
            },
        )

    def change(self, left: Sequence[str], entered: Sequence[str]) -> str:
        """What another past would change in a list."""
        if not left and not entered:
            return self.says("what if nothing")
        gone, new = (self.listed(titles) if titles else "–" for titles in (left, entered))
        return self.says("what if", {"left": gone, "entered": new})

    def number(self, value: float, digits: int) -> str:
        """A number with this language's decimal sign."""
        return f"{value:.{digits}f}".replace(".", self.sentences["decimal"])

    def listed(self, titles: Sequence[str]) -> str:
        """Quoted titles: one, two and three."""
        *first, last = (self.quoted(title) for title in titles)
        return self.says("and", {"first": ", ".join(first), "last": last}) if first else last

    def quoted(self, title: str) -> str:
        """A title in this language's quotation marks."""
        return self.says("quote", {"title": title})


def languages() -> list[str]:
    """Languages there are words for: names of the files in `languages/`.

    >>> languages()
    ['de', 'en']
    """
    folder = resources.files("whyrec") / "languages"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def wording(language: str) -> Wording:
    """The words of a language by its short name."""
    if language not in languages():
        raise InvalidSetting(f"there are no words in {language!r}; there are {', '.join(languages())}")
    return Wording(language, _sentences(language))


def places_in(sentence: str) -> set[str]:
    """The names of what a sentence has a place for.

    >>> places_in("Because of {titles}.")
    {'titles'}
    """
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@cache
def _sentences(language: str) -> dict[str, str]:
    file = resources.files("whyrec") / "languages" / f"{language}.json"
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return found
