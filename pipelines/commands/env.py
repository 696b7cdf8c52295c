"""Print the lines that point `feast` and `mlflow` at the running services: eval "$(make -s env)"."""

import shlex
import sys
from pathlib import Path

from pipelines.context import Context


def run(context: Context) -> None:
    """Print one ``export NAME='value'`` a setting, quoted for a shell, and put this environment's tools first."""
    for name, value in context.settings.exported().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.write(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n')
