"""``tao config``: flywheels' YAML files."""

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


@app.command("prompt-hash")
def prompt_hash_command(file: Annotated[Path, typer.Argument(help="A file with a system prompt.")]) -> None:
    """The hash of a system prompt, for the rules of a source (sources.tasks.system_prompt)."""
    from tao_ops.routing import prompt_hash

    with readable_errors():
        try:
            print(prompt_hash(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(
                f"the prompt cannot be read: {error.strerror}", where=file, mend="mend the path"
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"the prompt cannot be read: {error}", where=file, mend="save it as UTF-8") from None
