"""``tao config``: flywheels' YAML files."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tao_ops.cli_errors import readable_errors
from tao_ops.config import flywheel_names, load_flywheel
from tao_ops.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Flywheels' YAML files.")


@app.command("check")
def check_command(name: Annotated[str | None, typer.Argument(help="One flywheel; default: all.")] = None) -> None:
    """Read a flywheel's YAML and every file that it names; say what is wrong, or that nothing is."""
    from tao_ops import expectations
    from tao_ops.config import BenchmarkFormat
    from tao_ops.exploration.checks import check_exploration
    from tao_ops.maintenance import check_retention
    from tao_ops.models import check_model_folder
    from tao_ops.scoring import marks
    from tao_ops.scoring.checks import check_scoring

    with readable_errors():
        for one in [name] if name else flywheel_names():
            flywheel = load_flywheel(one)
            check_retention(flywheel, datetime.now(UTC))
            if flywheel.model != "embedded":
                check_model_folder(Path(flywheel.model).expanduser())
            check_exploration(flywheel)
            check_scoring(flywheel)
            for task in flywheel.tasks.values():
                expectations.load_suite(flywheel.file(task.expectations))
                for benchmark in task.benchmarks:
                    if benchmark.format is not BenchmarkFormat.HOLDOUT:
                        marks.check(benchmark, marks.asked(benchmark, flywheel.file), flywheel.file)
            print(f"{one}: all right (digest {flywheel.digest[:12]})")


@app.command("upgrade")
def upgrade_command(
    name: Annotated[str | None, typer.Argument(help="One flywheel; default: all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
) -> None:
    """Write what a release has renamed into a flywheel's YAML, comments and order as they are; then check its keys."""
    from tao_ops.config.upgrading import upgraded
    from tao_ops.files import replaced
    from tao_ops.settings import Settings

    with readable_errors():
        for one in [name] if name else flywheel_names():
            path = Settings.from_env().include / "flywheels" / f"{one}.yaml"
            if not path.is_file():
                load_flywheel(one)  # says which there are
            text, changes = upgraded(_text(path, "YAML"), path)
            for change in changes:
                print(f"{path}, {change}")
            if changes and not dry_run:
                with replaced(path.resolve()) as fresh:  # a link stays one
                    fresh.write_text(text, encoding="utf-8")
                    shutil.copymode(path, fresh)
            if not (changes and dry_run):
                load_flywheel(one)
                print(f"{one}: its keys are those of this release")


@app.command("prompt-hash")
def prompt_hash_command(file: Annotated[Path, typer.Argument(help="A file with a system prompt.")]) -> None:
    """The hash of a system prompt, for the rules of a source (sources.tasks.system_prompt)."""
    from tao_ops.routing import prompt_hash

    with readable_errors():
        print(prompt_hash(_text(file, "prompt")))


def _text(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the {what} cannot be read: {error.strerror}", where=file, mend="mend the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"the {what} cannot be read: {error}", where=file, mend="save it as UTF-8") from None
