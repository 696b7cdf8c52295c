"""Print the lines that point `feast` and `mlflow` at the running services: eval "$(make -s env)"."""

import shlex
import sys

from pipelines.context import Context


def run(context: Context) -> None:
    """Print one ``export NAME='value'`` a setting, quoted for a shell."""
    for name, value in context.settings.exported().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
