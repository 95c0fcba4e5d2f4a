"""How a flywheel's YAML is read; every error names the file and the key, or the change that was asked for."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tao_ops.config import overrides
from tao_ops.config.flywheel import Flywheel, named_files
from tao_ops.config.overrides import Override
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings

_VARIABLE = re.compile(r"\$\{(\w+)\}")

Where = Callable[[Sequence[str]], str]
"""How an error's message names the place of a key."""


def load_flywheel(name: str, settings: Settings | None = None, changes: Iterable[str] = ()) -> Flywheel:
    """Read ``include/flywheels/<name>.yaml`` and check that every file it names is there.

    Args:
        changes: ``KEY.PATH=VALUE``, of this one reading: what ``--set`` gives.

    Raises:
        ConfigError: the file is missing, is not YAML, has a wrong key or value, or names a missing file; or a change
            has.
    """
    settings = settings or Settings.from_env()
    path = settings.include / "flywheels" / f"{name}.yaml"
    try:
        if not path.is_file():
            raise _no_file(path, name, settings)
        raw = yaml.load(path.read_text(encoding="utf-8"), overrides.Once)
    except OSError as error:
        mend = "let the account that runs this read it"
        raise ConfigError(f"cannot be read: {error.strerror}", where=path, mend=mend) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise ConfigError(f"not a YAML file: {error}", where=path, mend="mend that place; save it as UTF-8") from None
    if not isinstance(raw, dict):
        raise ConfigError("a flywheel is a mapping of keys", where=path, mend="see include/flywheels/tickets.yaml")
    flywheel = _checked(raw, path, settings, lambda key: f"{path}: {'.'.join(key) or '(whole file)'}")
    asked: list[Override] = overrides.parse(changes)
    if not asked:
        return flywheel
    # The file is right by itself: what is wrong now was asked for.
    return _checked(overrides.apply(raw, asked), path, settings, lambda key: overrides.blamed(asked, key))


def flywheel_names(settings: Settings | None = None) -> list[str]:
    """The names of all YAML files in ``include/flywheels/``."""
    folder = (settings or Settings.from_env()).include / "flywheels"
    return sorted(path.stem for path in folder.glob("*.yaml"))


def expand(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace ``${NAME}``; ``${TAO_HOME}`` always has a value.

    Raises:
        ConfigError: a variable is not set.
    """
    values = {**(os.environ if environment is None else environment), "TAO_HOME": str(Settings.from_env().home)}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ConfigError(f"{match[0]} is not set", where=text, mend=f"export {match[1]}")
        return values[match[1]]

    return _VARIABLE.sub(value, text)


def _no_file(path: Path, name: str, settings: Settings) -> ConfigError:
    if os.path.lexists(path):
        mend = "put the file there, or remove it"
        return ConfigError("not a file but a folder, or a link that leads nowhere", where=path, mend=mend)
    known = ", ".join(flywheel_names(settings)) or "none"
    return ConfigError(f"there is no flywheel {name!r}", where=path, mend=f"known flywheels: {known}")


def _checked(raw: Mapping[str, Any], path: Path, settings: Settings, where: Where) -> Flywheel:
    try:
        flywheel = Flywheel.model_validate(raw)
    except ValidationError as error:
        raise _readable(error, where) from None
    if flywheel.name != path.stem:
        raise ConfigError(f"name is {flywheel.name!r}", where=path, mend=f"name it {path.stem!r}, as the file")
    _check_files(flywheel.bind(settings.include), where)
    return flywheel


def _readable(error: ValidationError, where: Where) -> ConfigError:
    first: dict[str, Any] = dict(error.errors()[0])
    place = where([str(part) for part in first["loc"]])
    # A list whose element is wrong counts as too short besides.
    places = [each["loc"] for each in error.errors()]
    count = sum(not any(other[: len(one)] == one != other for other in places) for one in places)
    more = f" (and {count - 1} more)" if count > 1 else ""
    match first["type"]:
        case "extra_forbidden":
            return ConfigError(f"unknown key{more}", where=place, mend="remove it, or mend its spelling")
        case "missing":
            return ConfigError(f"missing key{more}", where=place, mend="add it")
        case "secret":  # what was given is not told: it may be one
            return ConfigError(f"{first['msg']}{more}", where=place, mend="put the secret into a variable")
        case _:
            message = str(first["msg"]).removeprefix("Value error, ")
            given = first["input"]
            mend = "mend it there" if isinstance(given, (dict, list)) else f"it is now {given!r}"[:120]
            return ConfigError(f"{message}{more}", where=place, mend=mend)


def _check_files(flywheel: Flywheel, where: Where) -> None:
    named: dict[str, str] = {}
    if flywheel.generate.adapter is not None:
        named["generate.adapter"] = f"{flywheel.generate.adapter}/adapter_config.json"
    if flywheel.update.accelerate is not None:
        named["update.accelerate"] = flywheel.update.accelerate
    for name, task in flywheel.tasks.items():
        named |= {f"tasks.{name}.{key}": file for key, file in named_files(task).items()}
        # A variable may be set for the process alone that reads the benchmark.
        paths = {i: b.path for i, b in enumerate(task.benchmarks) if b.path and not _VARIABLE.search(b.path)}
        for i, benchmark in paths.items():
            if not os.path.exists(flywheel.file(benchmark)):  # of a folder that may not be searched, too
                raise _missing(flywheel.file(benchmark), where(f"tasks.{name}.benchmarks.{i}.path".split(".")))
    for key, relative in named.items():
        if not os.path.isfile(flywheel.file(relative)):
            raise _missing(flywheel.file(relative), where(key.split(".")))


def _missing(file: Path, place: str) -> ConfigError:
    return ConfigError("a file is missing", where=place, mend=f"make {file} or mend the path")
