"""What contradicts the records of published feature views and services, and what to do about it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pipelines.core.features.meanings import ROWS, changed
from pipelines.core.features.published import Declared, Meanings, Published, Record, ServiceRecord, View

README: Final = "see README.md, “Feature views and their versions”"


def contradictions(published: Published, declared: Declared, meanings: Meanings | None = None) -> list[str]:
    """What must not be as it is, a line each that says what to do; without ``meanings`` of what is declared only."""
    taken = {*published.views, *published.services, *declared.views, *declared.services}
    found = [
        *_of_names(published.views, declared.views, taken),
        *_of_names(published.services, declared.services, taken),
    ]
    for name, view in declared.views.items():
        if (record := published.views.get(name)) and not record.retired:
            changes = of_view(record.view, view)
            if meanings is not None:
                changes += _of_meaning(record, meanings.get(name, {}))
            found += _explained(name, changes, taken)
    for name, features in declared.services.items():
        if (service := published.services.get(name)) and not service.retired:
            found += _explained(name, _of_features(service.features, features), taken)
    return found


def next_version(name: str, taken: Iterable[str]) -> str:
    """``user_activity_v1`` -> the first ``user_activity_v…`` after all that are taken."""
    base, _, number = name.rpartition("_v")
    if not number.isdigit():
        return f"{name}_v2"
    numbers = [int(found[1]) for n in taken if (found := re.fullmatch(rf"{re.escape(base)}_v(\d+)", n))]
    return f"{base}_v{max([int(number), *numbers]) + 1}"


def _of_names(
    records: Mapping[str, Record] | Mapping[str, ServiceRecord], declared: Iterable[str], taken: Iterable[str]
) -> list[str]:
    found = []
    for name in declared:
        if name not in records:
            found.append(f"{name} isn't recorded yet: `python -m pipelines views --publish`, then commit; {README}")
        elif date := records[name].retired:
            found.append(
                f"{name} was retired on {date} and can't come back: declare {next_version(name, taken)} instead"
            )
    for name in sorted({n for n, record in records.items() if not record.retired}.difference(declared)):
        found.append(
            f"{name} is published, but feature_repo/definitions.py doesn't declare it: put it back, or retire it "
            f"(`python -m pipelines views --retire {name}`); {README}"
        )
    return found


def _explained(name: str, changes: Sequence[str], taken: Iterable[str]) -> list[str]:
    if not changes:
        return []
    instead = f"leave it as it was and declare {next_version(name, taken)} instead; {README}"
    return [f"{name} is published and never changes, but {'; '.join(changes)}: {instead}"]


def of_view(recorded: View, declared: View) -> list[str]:
    """How a view's declaration differs from what it was, in words."""
    found = _of_features(tuple(recorded.features), tuple(declared.features))
    for feature, dtype in recorded.features.items():
        if (now := declared.features.get(feature, dtype)) != dtype:
            found.append(f"{feature} was {dtype} and is {now}")
    if recorded.keys != declared.keys:
        found.append(f"its keys were {', '.join(recorded.keys)} and are {', '.join(declared.keys)}")
    if recorded.ttl_s != declared.ttl_s:
        found.append(f"its time to live was {recorded.ttl_s} s and is {declared.ttl_s} s")
    if recorded.table != declared.table:
        found.append(f"its table was {recorded.table} and is {declared.table}")
    return found


def _of_features(recorded: Sequence[str], declared: Sequence[str]) -> list[str]:
    gone, new = [n for n in recorded if n not in declared], [n for n in declared if n not in recorded]
    found = [f"{', '.join(names)} {_is(names)} {how}" for names, how in ((gone, "gone"), (new, "new")) if names]
    if not found and tuple(recorded) != tuple(declared):
        found.append("its features are in another order")
    return found


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _of_meaning(record: Record, now: Mapping[str, str]) -> list[str]:
    if not now:
        return ["nothing computes it"]
    names = changed(record.meaning, now)
    if names == [ROWS]:
        return ["the same events give it rows of other entities or moments"]
    return [f"the same events give other values of {', '.join(names)}"] if names else []
