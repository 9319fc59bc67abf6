"""Reads `node.toml` and the environment into Settings, and says in plain lines what is wrong with them.

A line names where the value comes from, the key, the value (never of a secret) and what is allowed. No value is judged
here: that is `shared/settings.py`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from shared.errors import ConfigurationError
from shared.settings import Settings

PREFIX: Final = "WARMSTANDBY_"
SEPARATOR: Final = "__"
CONFIG_VARIABLE: Final = "WARMSTANDBY_CONFIG"
DEFAULT_CONFIG: Final = Path("/etc/warmstandby/node.toml")

_CORRECT_FILE: Final = "Correct the file and start the service again."

_Location = tuple[int | str, ...]


def load_settings(config: Path | None = None) -> Settings:
    """Return the settings of this node from `config`, else `WARMSTANDBY_CONFIG`, else /etc/warmstandby/node.toml.

    `WARMSTANDBY_SECTION__KEY` overrides a value, `WARMSTANDBY_PEERS__0__KEY` one in a list. The default file may be
    absent when the environment holds everything. Raises ConfigurationError, one line of detail for each fault.
    """
    path = _find_file(config)
    written = _read_toml(path) if path is not None else {}
    try:
        return Settings.model_validate(_lay_over(written, _read_environment()))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise ConfigurationError(
            "\n".join(_describe(fault, path) for fault in faults if not _follows(fault, faults))
        ) from None


def _find_file(config: Path | None) -> Path | None:
    if config is None and os.environ.get(CONFIG_VARIABLE):
        config = Path(os.environ[CONFIG_VARIABLE])
    if config is not None:
        return config
    if DEFAULT_CONFIG.exists():
        return DEFAULT_CONFIG
    if any(name.startswith(PREFIX) and SEPARATOR in name for name in os.environ):
        return None
    raise ConfigurationError(
        f"no configuration: {DEFAULT_CONFIG} does not exist",
        hint=f"Name the file with --config or {CONFIG_VARIABLE}, or give every value as {PREFIX}SECTION{SEPARATOR}KEY.",
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read: {error.strerror}",
            hint=f"Name a file that this user may read with --config or {CONFIG_VARIABLE}.",
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text", hint=_CORRECT_FILE) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}", hint=_CORRECT_FILE) from None


class _NodeToml(Settings, BaseSettings):  # type: ignore[misc]  # both are pydantic models; only their config types differ
    """The settings as pydantic-settings wants them, to find their values in the environment."""


def _read_environment() -> dict[str, Any]:
    for name in os.environ:
        section = name.removeprefix(PREFIX).partition(SEPARATOR)[0].lower()
        if name.startswith(PREFIX) and SEPARATOR in name and section not in Settings.model_fields:
            raise ConfigurationError(f"environment {name}: unknown section; allowed are {_names(Settings)}")
    try:
        return EnvSettingsSource(_NodeToml, env_prefix=PREFIX, env_nested_delimiter=SEPARATOR)()
    except SettingsError as error:
        raise ConfigurationError(f"environment: {error}; lists are written as JSON") from None


def _lay_over(lower: Any, upper: Any) -> Any:
    """Return what the file holds with the environment laid over it, also inside lists."""
    if isinstance(lower, Mapping) and isinstance(upper, Mapping):
        return {**lower, **{key: _lay_over(lower.get(key), value) for key, value in upper.items()}}
    if isinstance(upper, Mapping) and upper and all(key.isdigit() for key in upper):
        rows: list[Any] = list(lower) if isinstance(lower, list) else []
        for key in sorted(upper, key=int):
            if int(key) < len(rows):
                rows[int(key)] = _lay_over(rows[int(key)], upper[key])
            else:
                rows.append(upper[key])
        return rows
    return upper


def _follows(fault: ErrorDetails, faults: Sequence[ErrorDetails]) -> bool:
    """Say whether a list is called too short only because a row of it is wrong."""
    location = fault["loc"]
    within = (other["loc"] for other in faults if len(other["loc"]) > len(location))
    return fault["type"] == "too_short" and any(inner[: len(location)] == location for inner in within)


def _describe(fault: ErrorDetails, path: Path | None) -> str:
    location = fault["loc"]
    model, annotation = _owner(location)
    allowed = fault["msg"].removeprefix("Value error, ")
    shown = ""
    match fault["type"]:
        case "missing":
            allowed = "is missing"
        case "too_short":
            allowed = "needs at least one"
        case "extra_forbidden":
            what = "section" if len(location) == 1 else "key"
            allowed = f"unknown {what}; allowed are {_names(model)}"
        case _ if not _is_secret(annotation) and isinstance(fault["input"], str | int | float | bool):
            shown = f" = {_as_toml(fault['input'])}"
    return f"{_origin(location, path)}: {_key(location)}{shown}: {allowed}".replace(": : ", ": ")


def _owner(location: _Location) -> tuple[type[BaseModel], Any]:
    """Return the model that holds the key at `location` and the key's annotation."""
    model: type[BaseModel] = Settings
    annotation: Any = Settings
    for part in location:
        if isinstance(part, int):
            annotation = next(iter(get_args(annotation)), None)
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
            annotation = model.model_fields[part].annotation if part in model.model_fields else None
    return model, annotation


def _is_secret(annotation: Any) -> bool:
    if get_origin(annotation) is UnionType:
        return any(_is_secret(part) for part in get_args(annotation))
    return annotation is SecretStr


def _names(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _origin(location: _Location, path: Path | None) -> str:
    variable = PREFIX + SEPARATOR.join(str(part) for part in location).upper()
    if variable in {name.upper() for name in os.environ}:
        return f"environment {variable}"
    return str(path) if path is not None else "environment"


def _key(location: _Location) -> str:
    """Return `[agent] listen`, `[[peers]] 2: key` (counted from 1), `[agent]`, or nothing for the whole."""
    match location:
        case (str(section), int(row), *rest):
            return f"[[{section}]] {row + 1}" + _dotted(rest, ": ")
        case (section, *rest):
            return f"[{section}]" + _dotted(rest, " ")
        case _:
            return ""


def _dotted(rest: Sequence[int | str], lead: str) -> str:
    return lead + ".".join(map(str, rest)) if rest else ""


def _as_toml(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def secrets_of(settings: Settings) -> Iterable[str]:
    """Return every secret that the settings hold, for the log's redaction."""
    yield settings.node.key.get_secret_value()
    yield from (peer.key.get_secret_value() for peer in settings.peers)
    yield settings.postgres.dsn.get_secret_value()
    yield settings.postgres.apply_dsn.get_secret_value()
    if settings.fencing.probe_dsn is not None:
        yield settings.fencing.probe_dsn.get_secret_value()
