"""The exception tree.

RecoMartError              one readable line on the command line, exit code 1
├── ConfigError            a setting, parameter or source mapping is missing or wrong
├── InputError             a file, row or API answer can't be used
│   └── DataQualityError   the data set as a whole fails its expectations
├── ServiceError           Postgres, Redis, MLflow or the catalogue API doesn't answer as it must; exit code 75
├── ModelError             a bundle or model version can't be used
└── StageError             a stage of the pipeline failed
"""

from typing import Final

MAY_PASS: Final = 75
"""Exit code of a command that may work on another try, because a server didn't answer (EX_TEMPFAIL of sysexits.h)."""
FAILURE: Final = "RECOMART_FAILURE"
"""Environment variable: the file in which whoever started a command wants to read why it failed."""


class RecoMartError(Exception):
    """Base of every error that RecoMart raises on purpose; its text says what to do."""


class ConfigError(RecoMartError):
    """A setting, parameter or source mapping is missing or wrong."""


class InputError(RecoMartError):
    """A file, row or API answer can't be used."""


class DataQualityError(InputError):
    """The data set as a whole fails its expectations."""


class ServiceError(RecoMartError):
    """Postgres, Redis, MLflow or the catalogue API doesn't answer as it must."""


class ModelError(RecoMartError):
    """A bundle or model version can't be used."""


class StageError(RecoMartError):
    """A stage of the pipeline failed.

    ``stage`` is its name, ``reason`` what it said last; ``may_pass`` tells whether trying again can help.
    """

    def __init__(self, stage: str, reason: str, may_pass: bool = False) -> None:
        super().__init__(stage, reason, may_pass)
        self.stage, self.reason, self.may_pass = stage, reason, may_pass

    def __str__(self) -> str:
        return f"{self.stage} failed: {self.reason}"
