"""TextClassifier: any sequence classifier of Hugging Face, as it stands: words are the units, labels the items.

The network is not patched: it gets the vectors of the pieces instead of their rows (`inputs_embeds`), and the words
that are left as its attention mask. So taking a word away hides its pieces from attention; every other piece stays
where it stood. Special tokens are a part that is explained on request only, `parts=("words", "special")`; what they
bring and what the network adds itself (vectors of positions and types, biases) stands in the ledger as bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from whyrec.dataset import Catalog
from whyrec.errors import BadInput, InvalidSetting, NotApplicable
from whyrec.interactions import Interactions, Vocabulary
from whyrec.pieces import PADDING, START, FolderPieces, Pieces, WordPieces, Words
from whyrec.recommender import Inputs, Part, UnitKind
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.text_model import LABEL, PLACES, SHARE, WORDS, ClassWeights, TextModel, Units
from whyrec.text_table import TextGrid, catalog_of_texts

SPECIAL = "special"
Architecture = Literal["bert", "roberta", "xlm-roberta", "distilbert"]


class TextClassifier(TextModel):
    """A transformer that gives texts their labels: one from a folder, or a small one that begins by chance."""

    @settings
    class Settings:
        """Where the network comes from, or its shape."""

        folder: str | None = None
        """A folder with a network and its tokenizer as Hugging Face saves them; None: one of its own, on words."""
        column: str = "text"
        """The column of the users that holds the texts."""
        units: Units = "words"
        """What is named and taken away: words, or runs of up to four of them between signs of punctuation."""
        architecture: Architecture = "bert"
        """Of a network of its own: which family."""
        width: int = Field(default=48, ge=1)
        """Of a network of its own: length of the vectors, a multiple of `heads`."""
        layers: int = Field(default=2, ge=1)
        """Of a network of its own: how many layers."""
        heads: int = Field(default=4, ge=1)
        """Of a network of its own: how many attention heads."""
        vocabulary: int = Field(default=8000, ge=1)
        """Of a network of its own: words that have a vector, the most frequent of the training texts."""
        max_pieces: int = Field(default=128, ge=4)
        """Pieces read at once, special tokens among them; longer texts are read in windows."""
        class_weights: ClassWeights = "none"
        """Whether rare labels count more, so that all count alike altogether."""
        word_dropout: float = Field(default=0.5, ge=0, le=1)
        """Training hides up to this share of the words of a text, so that a removed word is nothing unheard of."""

    settings: Settings
    network: Any
    """The network of Hugging Face, as it stands."""
    search_space: ClassVar[SearchSpace] = {
        "width": ("choice", (32, 48, 64, 96)),
        "layers": ("int", 1, 4),
        "word_dropout": ("linear", 0.0, 0.8),
    }

    @classmethod
    def from_folder(cls, folder: str | Path, *, units: Units = "words", max_pieces: int = 128) -> Self:
        """A classifier that is trained already, with the labels that its configuration names; call `on` for texts.

        Its own training is not known, so `max_trained_drop` is 0 and the cards of `verify` say so.
        """
        model = cls(folder=str(folder), units=units, max_pieces=max_pieces, word_dropout=0.0)
        labels = _config(Path(folder)).id2label
        items = Catalog(Vocabulary((labels[row] for row in sorted(labels)), kind="item"))
        return model.build(catalog_of_texts({}, model.settings.column), items)

    def make_network(self, labels: int) -> None:
        asked = self.settings
        if asked.folder is None:
            self.words: Words | None = Words(asked.vocabulary)
            self.network = _new_network(_own_config(asked, len(self.words), labels))
        else:
            self.words = None
            self._folder_pieces = FolderPieces(asked.folder)
            self.network = _network_of(Path(asked.folder), labels)
        longest = _longest(self.network.config)
        if asked.max_pieces > longest:
            raise InvalidSetting(f"TextClassifier: max_pieces={asked.max_pieces}: this network reads {longest} at most")

    def prepare(self, train: Interactions) -> None:
        """Learn the words of the training texts, too, where the network has a vocabulary of its own."""
        super().prepare(train)
        if self.words is not None:
            self.words.learn(self.table.of(row).keys for row in train.user_counts.nonzero()[0].tolist())

    def train(self, mode: bool = True) -> Self:
        """As PyTorch's, but the network itself draws nothing at random: training hides words instead."""
        super().train(mode)
        if self.is_made:
            self.network.train(mode=False)
        return self

    @property
    def is_made(self) -> bool:
        """Whether there is a network already."""
        return "network" in self._modules

    @property
    def room(self) -> int:
        return self.settings.max_pieces - len(self._special_rows())

    def pieces(self) -> Pieces:
        return WordPieces() if self.words is not None else self._folder_pieces

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {WORDS: "word", SPECIAL: "factor"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        if part == SPECIAL:
            return "[start]" if self.words is not None else self._folder_pieces.names[unit]
        return super().unit_title(part, unit, user=user, item=item)

    def vectors(self, grid: TextGrid) -> Tensor:
        rows = grid.keys.clamp(min=0) if self.words is None else self.words.rows(grid.keys)
        found: Tensor = self.network.get_input_embeddings()(rows) * (grid.keys >= 0).unsqueeze(-1)
        return found

    def further(self, grid: TextGrid) -> dict[str, Part]:
        rows = torch.tensor(self._special_rows(), device=self.device)
        return {SPECIAL: Part.of(self.network.get_input_embeddings()(rows)[None, None])}

    def logits(self, inputs: Inputs) -> Tensor:
        read, seen, order = self._sequences(inputs)
        found = self.network(inputs_embeds=read.flatten(0, 1), attention_mask=seen.flatten(0, 1).long())
        logits: Tensor = found.logits.unflatten(0, order.shape[:2])
        return logits

    @torch.no_grad()
    def attention(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """How much the first token, whose vector becomes the logits, looks at each word in the last layer.

        The mean over heads, and over windows; special tokens keep the rest.
        """
        read, seen, order = self._sequences(inputs)
        with _LastAttention() as last:
            self.network(inputs_embeds=read.flatten(0, 1), attention_mask=seen.flatten(0, 1).long())
        looked = last.require_weights()[:, :, 0].mean(1).unflatten(0, order.shape[:2])  # (texts, windows, length)
        share = inputs[SHARE].values[:, 0, 0, :, None]
        words, special = inputs[WORDS].present[:, 0], inputs[SPECIAL].present.shape[-1]
        wide = inputs[WORDS].values.shape[-1] // read.shape[-1]
        found = looked.new_zeros(len(order), words.shape[-1] * wide + special)
        found.scatter_add_(1, order.flatten(1), (looked * share * seen).flatten(1))
        by_word = found[:, : words.shape[-1] * wide].unflatten(1, (-1, wide)).sum(-1) * words
        return {WORDS: by_word[:, None].expand(-1, inputs[LABEL].values.shape[1], -1)}

    def _sequences(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """What the network reads: vectors (texts, windows, length, channel), which of them are there, and whose."""
        words, special = inputs[WORDS], inputs[SPECIAL]
        texts, channel = len(words.values), special.values.shape[-1]
        pieces = words.values[:, 0].unflatten(-1, (-1, channel)).flatten(1, 2)  # (texts, units * pieces, channel)
        around = special.values[:, 0].expand(texts, -1, -1)
        wide = pieces.shape[1] // words.present.shape[-1]
        there = words.present[:, 0].repeat_interleave(wide, dim=1)  # (texts, units * pieces)
        there = torch.cat([there, special.present[:, 0].expand(texts, -1)], dim=1)
        places = self._with_special(inputs[PLACES].values[:, 0].long().expand(texts, -1, -1), pieces.shape[1])
        order = places.clamp(min=0)  # (texts, windows, length)
        read = torch.take_along_dim(torch.cat([pieces, around], dim=1), order.flatten(1).unsqueeze(-1), dim=1)
        seen = torch.take_along_dim(there, order.flatten(1), dim=1).unflatten(1, order.shape[1:]) & (places >= 0)
        return read.unflatten(1, order.shape[1:]), seen, order

    def _with_special(self, places: Tensor, first: int) -> Tensor:
        """Windows with special tokens around their pieces, which stand behind all pieces from `first` on."""
        before, after = self._ends()
        texts, windows, length = places.shape
        ends = (places >= 0).sum(-1, keepdim=True)  # (texts, windows, 1)
        column = torch.arange(before + length + after, device=places.device).expand(texts, windows, -1)
        shifted = torch.take_along_dim(places, (column - before).clamp(0, length - 1), dim=-1)
        closing = column - before - ends  # 0 at the first special token behind the pieces
        found = torch.where(closing < 0, shifted, torch.where(closing < after, first + before + closing, -1))
        return torch.where(column < before, first + column, found)

    def _ends(self) -> tuple[int, int]:
        """Special tokens before and behind each window."""
        if self.words is not None:
            return 1, 0
        return len(self._folder_pieces.before), len(self._folder_pieces.after)

    def _special_rows(self) -> tuple[int, ...]:
        if self.words is not None:
            return (START,)
        return (*self._folder_pieces.before, *self._folder_pieces.after)

    @property
    def widest_channel(self) -> int:
        config = self.network.config
        inner = getattr(config, "intermediate_size", None) or config.hidden_dim
        return 2 * max(int(inner), int(config.num_attention_heads) * self.settings.max_pieces, int(config.hidden_size))


class _LastAttention(TorchFunctionMode):
    """While open, keeps the weights of the last attention that is computed, (rows, heads, queries, keys)."""

    weights: Tensor | None = None

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if function is F.scaled_dot_product_attention:
            query, key = args[0], args[1]
            scale = given.get("scale")
            logits = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
            mask = given.get("attn_mask")
            if mask is not None:
                logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
            self.weights = logits.softmax(-1)
        return function(*args, **given)

    def require_weights(self) -> Tensor:
        """What was kept; raises `NotApplicable` where the network computes attention in another way."""
        if self.weights is None:
            raise NotApplicable(
                "this network does not use scaled_dot_product_attention, so its attention weights are not seen; load "
                "it with attn_implementation='sdpa'"
            )
        return self.weights


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as missing:
        raise NotApplicable("TextClassifier needs transformers: pip install 'whyrec[text]'") from missing
    return transformers


def _own_config(asked: TextClassifier.Settings, rows: int, labels: int) -> Any:
    if asked.width % asked.heads:
        raise InvalidSetting(f"TextClassifier: width={asked.width}: it must be a multiple of heads={asked.heads}")
    positions = asked.max_pieces + (PADDING + 1 if "roberta" in asked.architecture else 0)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    if asked.architecture == "distilbert":
        names = ("dim", "n_layers", "n_heads", "hidden_dim")
    sizes = dict(zip(names, (asked.width, asked.layers, asked.heads, 2 * asked.width), strict=True))
    shape = {"vocab_size": rows, "pad_token_id": PADDING, "num_labels": labels, "max_position_embeddings": positions}
    return _transformers().AutoConfig.for_model(asked.architecture, **shape, **sizes)


def _new_network(config: Any) -> Any:
    return _transformers().AutoModelForSequenceClassification.from_config(config).eval()


def _config(folder: Path) -> Any:
    try:
        return _transformers().AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as problem:
        raise BadInput(f"{folder}: no network of Hugging Face is read ({str(problem).splitlines()[0]})") from None


def _network_of(folder: Path, labels: int) -> Any:
    """The network of a folder, with its own head where that has as many labels."""
    _config(folder)
    family = _transformers().AutoModelForSequenceClassification
    asked = {"local_files_only": True, "num_labels": labels, "ignore_mismatched_sizes": True, "dtype": torch.float32}
    return family.from_pretrained(str(folder), **asked).eval()


def _longest(config: Any) -> int:
    """How many pieces a network reads: those of the RoBERTa family count positions from behind the padding's row."""
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(config.max_position_embeddings) - int(offset)
