"""Change single values of params.yaml; everything else, comments and layout, stays as a person wrote it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.core.errors import ConfigError
from pipelines.io.files import write_text
from pipelines.params import Params

Changes = Mapping[tuple[str, ...], Any]
"""Where a value stands, from the outside in -> the new one."""


def change(path: Path, changes: Changes) -> None:
    """Write the changed values, if the file is still one of hyperparameters with them.

    Raises:
        ConfigError: a value isn't there, or what came of it has a wrong value; the file stays as it was.
    """
    text = path.read_text(encoding="utf-8")
    try:
        changed = replaced(text, changes)
    except KeyError as error:
        raise ConfigError(f"{path} has no {error.args[0]}") from None
    Params.model_validate(yaml.safe_load(changed))
    write_text(path, changed)


def replaced(text: str, changes: Changes) -> str:
    """``text`` (YAML) with other values.

    Raises:
        KeyError: there is no such value; the key names it with dots.
    """
    places = _places(yaml.compose(text))
    for keys in changes:
        if keys not in places:
            raise KeyError(".".join(keys))
    for keys in sorted(changes, key=lambda keys: -places[keys][0]):  # from the end, so that earlier places stay
        start, end = places[keys]
        text = text[:start] + yaml.safe_dump(changes[keys]).partition("\n")[0] + text[end:]
    return text


def _places(node: yaml.Node | None, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], tuple[int, int]]:
    """Where each scalar stands -> (begin, end) in the text."""
    if node is None:  # an empty file
        return {}
    if not isinstance(node, yaml.MappingNode):
        return {above: (node.start_mark.index, node.end_mark.index)}
    return {keys: at for key, inner in node.value for keys, at in _places(inner, (*above, key.value)).items()}
