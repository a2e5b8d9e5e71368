"""What is sent to a server besides works themselves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from daskflow.errors import WorkInvalid


def _whole(given: Any) -> Any:
    """A number without a fraction, which JSON may write with one: 4.0."""
    return int(given) if type(given) is float and given.is_integer() else given


# It stands last among the notes of a type: what stands before it is told in the schema.
WHOLE = BeforeValidator(_whole)
"""Takes numbers without a fraction however they are written."""
PIPELINE = "^[A-Za-z0-9 _-]{1,128}$"
"""What names a bucket."""
Pipeline = Annotated[str, Field(pattern=PIPELINE)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
"""Of the content of an object."""
Id = Annotated[str, Field(min_length=1, max_length=256)]
Texts = Annotated[list[str], Field(min_length=1, max_length=1000)]
# The document tells limits as floating-point numbers, in decimals: 2**63 is another number there.
Number = Annotated[int, Field(ge=-9 * 10**18, le=9 * 10**18), WHOLE]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=100_000)]
Ids = Annotated[list[Id], Field(max_length=100_000)]
Lease = Annotated[float, Field(gt=0, le=31 * 86400, allow_inf_nan=False)]
Attempt = Annotated[int, Field(ge=0, lt=2**31), WHOLE]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class HeldWork(_Shape):
    """A work that is held."""

    id: Id
    attempt: Attempt
    """The attempt by which it is held."""


class Beat(HeldWork):
    """A sign of life of who holds a work."""

    lease: Lease
    """So long it is held from now on [s]."""


class Chosen(_Shape):
    """Works by their ids."""

    ids: Ids


class Locking(Chosen):
    """Works that are to be locked or unlocked."""

    locked: bool = True


class SomeTexts(_Shape):
    """One of several texts."""

    several: Texts = Field(alias="$in")


class SomeNumbers(_Shape):
    """One of several numbers."""

    several: Numbers = Field(alias="$in")


class Filter(_Shape):
    """Which works an agent takes; what is left out may be anything."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    pipeline: Annotated[str, Field(min_length=1)] | Texts | SomeTexts
    """Names of buckets."""
    site: str | None = None
    user: str | None = None
    priority: Annotated[int, Field(ge=1, le=5), WHOLE] | None = None
    event: Number | Numbers | SomeNumbers | None = None
    """Works that are about one of these."""
    tags: str | Texts | SomeTexts | None = None
    """Works that have one of these."""
    parent: str | Texts | SomeTexts | None = Field(default=None, alias="config.parent")
    """Works that one of these runs of pipelines deposited."""


class Looked(_Shape):
    """Which works are looked at."""

    query: dict[str, Any] = {}
    """By fields of works: `{"event": 42, "results.dm": {"$gt": 300}}`."""


class Look(Looked):
    """Which works are looked at, and what is shown of them."""

    projection: dict[str, Any] = {}
    """Fields that are shown, `{"results.dm": 1}`, or left out, `{"log": 0}`."""
    sort: Annotated[
        list[Annotated[list[str | int], Field(min_length=2, max_length=2)]] | dict[str, Literal[1, -1]],
        Field(max_length=100),
    ] = []
    """Fields, with 1 for the smallest first and -1 for the largest; else those deposited last come first."""
    skip: Annotated[int, Field(ge=0, lt=2**31), WHOLE] = 0
    limit: Annotated[int, Field(ge=-1, lt=2**31), WHOLE] = 100
    """How many at most; -1: all."""

    @property
    def order(self) -> tuple[tuple[str, int], ...]:
        """The fields and their directions.

        Raises
        ------
        WorkInvalid
            A part of `sort` is no field with a direction.
        """
        pairs = self.sort.items() if isinstance(self.sort, dict) else self.sort
        found = []
        for name, way in pairs:
            if not isinstance(name, str) or way not in (1, -1):
                raise WorkInvalid('`sort` has fields, each with 1 or -1: [["creation", -1]].')
            found.append((name, int(way)))
        return tuple(found)


class Audit(_Shape):
    """What is put in order."""

    stale: float | None = Field(default=None, ge=0, le=1e9, allow_inf_nan=False)
    """Works that wait for longer [s] fail for good; null: none do."""


class Version(BaseModel):
    """What serves."""

    server: str
    """Version of daskflow."""
    api: int
    """Version of the routes."""
