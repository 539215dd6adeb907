"""Tiny networks and tokenizers of Hugging Face, made on the spot: random weights, no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

WORDS = ("the", "film", "was", "good", "bad", "plot", "and", "not", "very", "यह", "अच्छी", "थी")
PARTS = ("un", "##believ", "##able", "##s", "walk", "##ing", "!", ".", "好", "的")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
NAMES = ("pad_token", "unk_token", "cls_token", "sep_token")
ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "distilbert")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}


def transformers() -> Any:
    return pytest.importorskip("transformers", reason="the networks of Hugging Face come with whyrec[text]")


def network(architecture: str, *, vocabulary: int = 40, labels: int = 3, biases: bool = True, seed: int = 0) -> Any:
    """A network in double precision with weights large enough that relevance is well above rounding."""
    shape = {"vocab_size": vocabulary, "num_labels": labels, "max_position_embeddings": 48}
    sizes = dict(zip(("dim", "n_layers", "n_heads", "hidden_dim"), SIZES.values(), strict=True))
    config = transformers().AutoConfig.for_model(
        architecture, **shape, **(sizes if architecture == "distilbert" else SIZES)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = transformers().AutoModelForSequenceClassification.from_config(config).eval().double()
        for name, weight in made.named_parameters():
            is_norm = "norm" in name.lower()
            if name.endswith("bias"):
                torch.nn.init.normal_(weight, std=0.2) if biases else torch.nn.init.zeros_(weight)
            elif not is_norm:
                torch.nn.init.normal_(weight, std=0.3)
    return made


def tokens(*, rows: int = 3, length: int = 7, vocabulary: int = 40, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Rows of pieces, and which are there: the last row is shorter by two; (rows, length) each."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, vocabulary, (rows, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, -2:] = 0
    return ids, mask


def saved(folder: Path, architecture: str = "bert") -> Path:
    """A network and its tokenizer in a folder, as Hugging Face saves them; labels are called no, perhaps and yes."""
    tokenizer = _word_pieces() if architecture in ("bert", "distilbert") else _unigrams()
    tokenizer.save_pretrained(folder)
    made = network(architecture, vocabulary=len(tokenizer)).float()
    made.config.id2label = {0: "no", 1: "perhaps", 2: "yes"}
    made.config.label2id = {"no": 0, "perhaps": 1, "yes": 2}
    made.config.pad_token_id = tokenizer.pad_token_id
    made.save_pretrained(folder)
    return folder


def _word_pieces() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    rows = {piece: row for row, piece in enumerate((*SPECIAL, *WORDS, *PARTS))}
    found = Tokenizer(models.WordPiece(rows, unk_token=SPECIAL[1]))
    found.normalizer = normalizers.BertNormalizer(strip_accents=False)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", rows["[CLS]"]), ("[SEP]", rows["[SEP]"])]
    found.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = dict(zip(NAMES, ("[PAD]", "[UNK]", "[CLS]", "[SEP]"), strict=True))
    return transformers().PreTrainedTokenizerFast(tokenizer_object=found, **names)


def _unigrams() -> Any:
    """Pieces that begin with the space before them, as those of XLM-R do."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ("<s>", "<pad>", "</s>", "<unk>")
    pieces = [*special, "▁", *(f"▁{word}" for word in WORDS), *(part.strip("#") for part in PARTS), *"abcdefgh"]
    found = Tokenizer(models.Unigram([(piece, -float(place) / 10) for place, piece in enumerate(pieces)], unk_id=3))
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [("<s>", 0), ("</s>", 2)]
    found.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    names = dict(zip(NAMES, ("<pad>", "<unk>", "<s>", "</s>"), strict=True))
    return transformers().PreTrainedTokenizerFast(tokenizer_object=found, **names)
