"""Words of a text, in any script: where each begins and ends, so that pieces of tokenizers find their word.

A word is letters, digits and the marks on them (vowel signs of Devanagari, accents), with what joins them. Scripts that
are written without spaces have no words that a rule could find: there each letter with its marks stands for itself. So
does each sign of punctuation, and each emoji with all that belongs to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

Span = tuple[int, int]
"""Where something begins in a text, and where it ends."""

Cut = Callable[[str], list[Span]]
"""How a text is cut into units that are named and taken away: in order, none within another."""

NO_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Letters of scripts without spaces between words, as a range of a regular expression."""

JOINER = "\u200d"
EMOJI_TAIL = "\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
"""What belongs to the emoji before it: how to draw it, a colour of skin, the letters of a flag."""

LONGEST_PHRASE = 4
"""Words of a phrase, at most."""


def words_of(text: str) -> list[Span]:
    """The words of a text, signs of punctuation among them.

    >>> text = "Isn't नमस्ते 好的 👍🏽!"
    >>> [text[start:end] for start, end in words_of(text)]
    ["Isn't", 'नमस्ते', '好', '的', '👍🏽', '!']
    """
    return [found.span() for found in _pattern().finditer(text)]


def phrases_of(text: str) -> list[Span]:
    """Neighbouring words as one unit: up to the next sign of punctuation, and no more than four.

    For phrases of your own language, such as those of a chunker, write a function that takes a text and returns where
    each phrase begins and ends.

    >>> text = "not very good, but short"
    >>> [text[start:end] for start, end in phrases_of(text)]
    ['not very good', ',', 'but short']
    """
    phrases: list[list[Span]] = []
    for word in words_of(text):
        is_sign = not any(one.isalnum() for one in text[slice(*word)])
        if is_sign or not phrases or len(phrases[-1]) == LONGEST_PHRASE or _is_sign(text, phrases[-1][-1]):
            phrases.append([word])
        else:
            phrases[-1].append(word)
    return [(phrase[0][0], phrase[-1][1]) for phrase in phrases]


def joined(words: list[str]) -> str:
    """Words as a line of text: a space between two, but not before a sign, nor in scripts that write none.

    >>> joined(["so", "good", "!", "好", "的"])
    'so good! 好的'
    """
    line = ""
    for word in words:
        line += word if not needs_space(line[-1:], word) else f" {word}"
    return line


def needs_space(before: str, word: str) -> bool:
    """Whether a space stands between what ends in `before` and a word."""
    tight = re.compile(f"[{NO_SPACES}]")
    if not before or word[:1] in ",.;:!?)]}%’”।":
        return False
    return not (before in "([{“" or (tight.match(before) and tight.match(word)))


def _is_sign(text: str, word: Span) -> bool:
    return not any(one.isalnum() for one in text[slice(*word)])


@cache
def _pattern() -> re.Pattern[str]:
    """What a word looks like; marks are found by their category, since `\\w` leaves them out."""
    points = (*range(0x300, 0x1_2000), *range(0xE0100, 0xE01F0))
    marks = "".join(re.escape(chr(one)) for one in points if unicodedata.category(chr(one)) in ("Mn", "Mc", "Me"))
    letter = f"[^\\W{NO_SPACES}]"
    inside = f"(?:{letter}|[{marks}\u200c{JOINER}])"
    alone = f"[{NO_SPACES}][{marks}]*"
    word = f"{letter}{inside}*(?:['’][^\\W{NO_SPACES}]{inside}*)*"
    flag = "[\U0001f1e6-\U0001f1ff]{2}"
    sign = f"[^\\s{JOINER}](?:[{EMOJI_TAIL}{marks}]|{JOINER}\\S)*"
    return re.compile(f"{alone}|{word}|{flag}|{sign}")
