"""The file of experiments: read, checked, and read again when it changes."""

import logging
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipelines.core.errors import ConfigError
from pipelines.core.evaluation.experiment import Arm, Experiment, Plan, Shadow
from pipelines.io import files

log = logging.getLogger(__name__)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Model = Annotated[Name, BeforeValidator(lambda given: str(given) if type(given) is int else given)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Arm(_Frozen):
    name: Name
    model: Model
    weight: Share


class _Experiment(_Frozen):
    name: Name
    salt: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    arms: Annotated[list[_Arm], Field(min_length=2)]
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({arm.name for arm in self.arms}) < len(self.arms):
            raise ValueError("two arms have the same name")
        if (total := sum(arm.weight for arm in self.arms)) > 1 + 1e-9:
            raise ValueError(f"the arms' weights add up to {total:g}: they are shares of the users, 1 at most")
        if self.start and self.end and self.start >= self.end:
            raise ValueError("it ends before it starts")
        return self

    def experiment(self) -> Experiment:
        """Its salt is its name unless it has one."""
        start, end = (at.timestamp() if at else None for at in (self.start, self.end))
        arms = tuple(Arm(arm.name, arm.model, arm.weight) for arm in self.arms)
        return Experiment(self.name, self.salt or self.name, arms, start, end)


class _Shadow(_Frozen):
    model: Model
    share: Share = 1.0


class _File(_Frozen):
    experiments: list[_Experiment] = []
    shadow: _Shadow | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({one.name for one in self.experiments}) < len(self.experiments):
            raise ValueError("two experiments have the same name")
        return self


def load(path: Path) -> Plan:
    """The plan that a file holds; an empty file plans nothing.

    Raises:
        ConfigError: it can't be read or means nothing; the text names the file and the field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = _File.model_validate({} if content is None else content)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: it can't be read: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first(error, content)}") from None
    shadow = Shadow(given.shadow.model, given.shadow.share) if given.shadow else None
    return Plan(tuple(one.experiment() for one in given.experiments), shadow)


def _first(error: ValidationError, content: Any) -> str:
    """``experiments[0] (spring).arms[1] (new).weight: Input should be …, it is 2``."""
    first = error.errors()[0]
    where = ""
    for part in first["loc"]:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):  # what is missing, or isn't of this form
            content = None
        named = (
            f" ({content['name']})" if isinstance(part, int) and isinstance(content, dict) and "name" in content else ""
        )
        where += f"[{part}]{named}" if isinstance(part, int) else f".{part}"
    message = first["msg"].removeprefix("Value error, ")
    given = f", it is {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    return f"{where.lstrip('.') or 'the file'}: {message}{given}"


class PlanFile:
    """A plan that follows its file. A change that can't be read leaves the plan as it was; ``error`` says why."""

    def __init__(self, path: Path | None) -> None:
        """Read it; without a path nothing is planned.

        Raises:
            ConfigError: it can't be read or means nothing.
        """
        self._path = path
        self._read = files.stamp(self._path)
        self.plan = load(path) if path else Plan()
        self.error: str | None = None

    def models(self) -> tuple[str, ...]:
        """Every alias and version that the plan names now."""
        self._follow()
        return self.plan.models

    def _follow(self) -> None:
        stamp = files.stamp(self._path)
        if self._path is None or stamp == self._read:
            return
        self._read = stamp
        try:
            self.plan, self.error = load(self._path), None
            log.info("%s: %d experiments", self._path, len(self.plan.experiments))
        except ConfigError as error:
            self.error = str(error)
            log.warning("the experiments stay as they were: %s", error)
