"""The shop's own rules: a YAML file of what to hide, to boost and to pin.

    hide:
      - {items: [P0007, P0008]}
      - {categories: [swimwear], from: 2026-10-01, until: 2027-03-01}
    boost:
      - {categories: [gifts], factor: 1.5}      # the odds of these items, beside any other, times 1.5
      - {max_price: 20, new_days: 14, add: 0.3} # cheap and first seen within 14 days: so much more score
    pin:
      - {item: P0001, position: 1}
      - {item: P0042, position: 2, categories: [toys]}  # on lists that are limited to toys

An item is meant by a rule if all that the rule says of items holds. ``from`` and ``until`` are moments, UTC where they
name no zone. Values are read as text first, so that an item 007 stays one.
"""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from yaml.nodes import MappingNode, Node, SequenceNode

from pipelines.core.errors import ConfigError

Moment = Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]
Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Timed(BaseModel):
    """A rule that may be in force for a time only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = None

    def in_force(self, at: float) -> bool:
        """Whether it is, ``at`` a moment in epoch seconds."""
        return (self.since is None or self.since.timestamp() <= at) and (
            self.until is None or at < self.until.timestamp()
        )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and self.until <= self.since:
            raise ValueError("until is not after from")
        return self


class Selection(Timed):
    """A rule about the items of which all that is said here holds."""

    items: tuple[Text, ...] = ()
    categories: tuple[Text, ...] = ()
    min_price: Number | None = None
    max_price: Number | None = None
    new_days: Number | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.items or self.categories or self.is_priced or self.new_days):
            raise ValueError("say which items: by items, categories, min_price, max_price or new_days")
        return self

    @property
    def is_priced(self) -> bool:
        """Whether it speaks of prices."""
        return self.min_price is not None or self.max_price is not None


class Hide(Selection):
    """Never show these items."""


class Boost(Selection):
    """Move these items up, or down."""

    factor: Number | None = Field(default=None, gt=0)
    add: Number | None = None

    @property
    def amount(self) -> float:
        """What it adds to a score. Scores are logarithms of odds, so a factor of the odds is a sum."""
        return math.log(self.factor) if self.factor is not None else float(self.add or 0.0)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.factor is None) == (self.add is None):
            raise ValueError("say either factor or add")
        return self


class Pin(Timed):
    """Show an item at a position, from 1; where categories are named, on lists that are limited to them."""

    item: Text
    position: int = Field(ge=1, le=100)
    categories: tuple[Text, ...] = ()


def _some(value: Any) -> Any:
    return () if value == "" else value  # a heading with nothing below it


class Rules(BaseModel):
    """All of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hide: Annotated[tuple[Hide, ...], BeforeValidator(_some)] = ()
    boost: Annotated[tuple[Boost, ...], BeforeValidator(_some)] = ()
    pin: Annotated[tuple[Pin, ...], BeforeValidator(_some)] = ()


NONE: Final = Rules()


def load(path: Path) -> Rules:
    """Read the file; an empty one has no rules.

    Raises:
        ConfigError: it can't be read or a rule is wrong; the text names the file, the line and the field.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the rules in {path} can't be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: this is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: this is not YAML: {error}") from None
    if root is None:
        return NONE
    if (twice := _repeated(root)) is not None:
        raise ConfigError(f"{path}:{_line(twice)}: {twice.value} is there twice")
    try:
        return Rules.model_validate(yaml.BaseLoader("").construct_document(root))
    except ValidationError as error:
        first = error.errors()[0]
        node, field = _at(root, first["loc"])
        raise ConfigError(f"{path}:{_line(node)}: {field or 'rules'}: {first['msg']}") from None


def _at(root: Node, loc: tuple[int | str, ...]) -> tuple[Node, str]:
    """(the deepest node on the way to ``loc``, the way in the form ``boost.0.factor``)."""
    node = root
    for step in loc:
        below: dict[Any, Node] = {}
        if isinstance(node, MappingNode):
            below = {key.value: value for key, value in node.value}
        elif isinstance(node, SequenceNode):
            below = dict(enumerate(node.value))
        node = below.get(step, node)
    return node, ".".join(map(str, loc))


def _repeated(node: Node) -> Node | None:
    """A key that its mapping has twice: the first of its rules would silently go."""
    children = node.value if isinstance(node, SequenceNode) else []
    if isinstance(node, MappingNode):
        known: set[Any] = set()
        for key, _ in node.value:
            if key.value in known:
                return key
            known.add(key.value)
        children = [value for _, value in node.value]
    return next((found for child in children if (found := _repeated(child)) is not None), None)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
