"""What requests and answers look like; limits on their size stand here, so that the API's description has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)]
AnyId = Annotated[Name | Number, Field(union_mode="left_to_right")]
Length = Annotated[int, Field(ge=1, le=100, description="Length of the list.")]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="Where all chance comes from.")]
Method = Annotated[str, Field(max_length=50, description="How to explain: a name that GET /model lists.")]
Language = Annotated[str, Field(max_length=10, description="Of the sentences: a name that GET /model lists.")]
About = Annotated[
    str,
    Field(max_length=220, description="What to explain: logit, margin (lead over the 10th), margin@K or contrast:ID."),
]
Past = Annotated[list[AnyId], Field(max_length=2000, description="Past items of somebody new, oldest first.")]


class Body(BaseModel):
    """What every request has in common: a field that does not exist is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Person(Body):
    """Somebody the model knows, or somebody new."""

    user: AnyId | None = Field(default=None, description="Id of a known user.")
    history: Past | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.user is None) == (self.history is None):
            raise ValueError("give either user or history")
        return self


class RecommendBody(Body):
    """Whose lists."""

    users: Annotated[list[AnyId], Field(min_length=1, max_length=100)] | None = None
    history: Past | None = None
    k: Length = 10
    exclude_seen: bool = Field(default=True, description="Leave out what was seen.")
    non_profiling: bool = Field(default=False, description="Let nothing about the user go into the list.")
    language: Language = "en"

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.users is None) == (self.history is None):
            raise ValueError("give either users or history")
        return self


class ExplainBody(Person):
    """Which items for whom, and how."""

    items: Annotated[list[AnyId], Field(min_length=1, max_length=10)]
    method: Method = "lrp"
    target: About = "logit"
    seed: Seed = 0
    counterfactual: bool = Field(default=False, description="Also look for past items that keep it in the list.")
    k: Length = 10
    language: Language = "en"


class VerifyBody(Body):
    """Which methods to judge, and on how many users."""

    methods: Annotated[list[Method], Field(min_length=1, max_length=4)] = ["lrp"]
    users: int = Field(default=100, ge=2, le=200)
    k: int = Field(default=5, ge=1, le=20, description="Units taken away, or kept, at once.")
    target: About = "logit"
    operator: Literal["mask", "delete", "replace", "marginal"] = "mask"
    seed: Seed = 0


class WhatIfBody(Person):
    """Which past items to take out or to add."""

    remove: Annotated[list[AnyId], Field(max_length=100)] = []
    add: Annotated[list[AnyId], Field(max_length=100)] = []
    k: Length = 10
    explained: int = Field(default=3, ge=0, le=10, description="Places of both lists that come with reasons.")
    method: Method = "lrp"
    seed: Seed = 0
    language: Language = "en"


class SimilarBody(Body):
    """Like what."""

    item: AnyId
    k: Length = 10


class ParametersBody(Body):
    """On how many users' lists, and by which method."""

    method: Method = "lrp"
    users: int = Field(default=200, ge=2, le=1000)
    k: Length = 10
    most: int = Field(default=10, ge=0, le=100, description="Inputs that stand by themselves.")
    seed: Seed = 0
    language: Language = "en"


class OptOutBody(Body):
    """Whose objection to profiling, and whether it stands."""

    user: AnyId
    opted_out: bool = True


class Problem(BaseModel):
    """What went wrong: what, where and what to do, in one line."""

    error: str
    detail: str


class Named(BaseModel):
    """An item and what people call it."""

    item: str | int
    title: str


class ListedItem(Named):
    """One line of a list."""

    rank: int
    score: float


class ListAnswer(BaseModel):
    """One list."""

    user: str | int | None
    profiling: bool
    history: list[Named]
    items: list[ListedItem]
    text: str
    record: str


class RecommendAnswer(BaseModel):
    """A list for each user, in the order asked."""

    model: str
    lists: list[ListAnswer]


class UnitAnswer(BaseModel):
    """One unit and what it brought."""

    part: str
    unit: str | int
    title: str
    relevance: float


class ReasonAnswer(BaseModel):
    """A unit that was taken away and missed."""

    unit: str | int
    title: str
    drop: float


class ExplainedItem(ListedItem):
    """Why one item."""

    user: str | int | None
    target: str
    target_name: str
    target_value: float
    method: str
    settings: dict[str, Any]
    seed: int
    parts: list[UnitAnswer]
    ledger: dict[str, float]
    complete: bool
    verdict: str | None
    reasons: list[ReasonAnswer]
    text: str
    counterfactual: dict[str, Any] | None
    record: str
    seconds: float


class ExplainAnswer(BaseModel):
    """An explanation for each item, in the order asked."""

    model: str
    explanations: list[ExplainedItem]


class ReasonedItem(ListedItem):
    """One line of a list, with reasons where they were asked for."""

    reasons: list[ReasonAnswer]
    text: str


class WhatIfAnswer(BaseModel):
    """Both lists, and what differs."""

    user: str | int | None
    model: str
    verdict: str | None
    removed: list[Named]
    added: list[Named]
    before: list[ReasonedItem]
    after: list[ReasonedItem]
    left: list[Named]
    entered: list[Named]
    text: str
    record: str


class SimilarLine(Named):
    """One similar item."""

    rank: int
    similarity: float


class SimilarAnswer(Named):
    """Items like this one."""

    by: str
    items: list[SimilarLine]


class ParametersAnswer(BaseModel):
    """Shares of what recommendations rest on; together 1."""

    model: str
    fingerprint: str
    method: str
    users: int
    k: int
    rows: list[dict[str, Any]]
    text: str


class ModelAnswer(BaseModel):
    """What is served."""

    family: str
    fingerprint: str
    version: str
    settings: dict[str, Any]
    users: int
    items: int
    parts: dict[str, str]
    methods: list[str]
    verdicts: dict[str, str | None]
    languages: list[str]


class FoundItems(BaseModel):
    """Items that match."""

    matches: list[Named]


class NamedUser(BaseModel):
    """A user and what they are called; their id where they have no title."""

    user: str | int
    title: str


class FoundUsers(BaseModel):
    """Users that match."""

    matches: list[NamedUser]


class OptOutAnswer(BaseModel):
    """How the user is treated from the next call on."""

    user: str | int
    opted_out: bool


class State(BaseModel):
    """Whether all is well."""

    status: Literal["ok"]
