"""The exception tree.

RecoMartError              one readable line on the command line, exit code 1
├── ConfigError            a setting, parameter or source mapping is missing or wrong
├── InputError             a file, row or API answer can't be used
│   └── DataQualityError   the data set as a whole fails its expectations
├── ServiceError           Postgres, Redis, MLflow or the catalogue API doesn't answer as it must
└── ModelError             a bundle or model version can't be used
"""


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
