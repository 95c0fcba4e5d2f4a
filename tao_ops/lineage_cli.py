"""``tao lineage``: what made a version, and what was made of a query."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from tao_ops.cli_errors import readable_errors
from tao_ops.errors import ConfigError

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]
Version = Annotated[int | None, typer.Argument(help="A version of the registry.")]
OfQuery = Annotated[str | None, typer.Option("--of-query", help="A query_id: what was made of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print all of it as JSON instead of a tree.")]


def lineage_command(name: Name, version: Version = None, of_query: OfQuery = None, as_json: AsJson = False) -> None:
    """What made a version: rows, prompts, scorers, configuration, code, seeds, machine; or what was made of a query."""
    from tao_ops.database import database
    from tao_ops.lake import Lake
    from tao_ops.lineage import of_query as queries
    from tao_ops.lineage import of_version as versions
    from tao_ops.lineage.versions import Manifests
    from tao_ops.settings import Settings

    with readable_errors():
        if (version is None) == (of_query is None):
            raise ConfigError("give a version or --of-query, and not both", where="tao lineage")
        settings = Settings.from_env()
        with database(settings) as url:
            manifests = Manifests(name, url, settings)
            if of_query is not None:
                found = queries.lineage(Lake(settings.lake), manifests, of_query)
            else:
                assert version is not None
                found = versions.lineage(manifests, version)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    Console().print(_of_version(found) if of_query is None else _of_query(found))


def _of_version(found: Mapping[str, Any]) -> Tree:
    told = found["lineage"]
    tree = Tree(
        f"[bold]{found['flywheel']} version {found['version']}[/] ({found['model_version']}): turn {found['turn']}, "
        f"run {escape(found['run_id'])}, {found['method']}, seed {found['seed']}"
    )
    if found["why_not_replayable"]:
        tree.add(f"[yellow]cannot be replayed: {escape(found['why_not_replayable'])}")
    _bases(tree, found["bases"])
    _trained(tree, found["training_rows"])
    _rows(tree, told)
    for title, lines in (("prompts", _prompts(told)), ("scorers", _scorers(told)), ("made with", _made_with(told))):
        _branch(tree, title, lines)
    return tree


def _bases(tree: Tree, bases: Sequence[Mapping[str, Any]]) -> None:
    branch = tree.add("trained from")
    for one in bases:
        line = f"version {one['version']} ({one['model_version']})"
        if "lost" in one:
            line += f": [red]{escape(one['lost'])}"
        elif "turn" in one:
            erased = ", [yellow]rows erased since[/]" if one["erased"] else ""
            line += f": turn {one['turn']}, {one['method']}, {one['rows']} rows{erased}"
        else:
            line += ": the base model"
        branch.add(line)


def _trained(tree: Tree, rows: Mapping[str, Any]) -> None:
    if rows["left"] is None:
        tree.add(f"training rows: {rows['rows']}, [red]whose file is lost[/] ({escape(rows['path'])})")
        return
    left = "" if rows["left"] == rows["rows"] else f", {rows['left']} of them left"
    state = "" if rows["intact"] else ", [red]and the file is another now[/]"
    branch = tree.add(f"training rows: {rows['rows']}{left}, SHA-256 {str(rows['sha256'])[:16]}…{state}")
    branch.add("queries: " + ", ".join(f"{count} of {turn}" for turn, count in rows["queries"].items()))
    branch.add("found by: " + ", ".join(f"{name} {count}" for name, count in rows["strategies"].items()))


def _rows(tree: Tree, told: Mapping[str, Any]) -> None:
    for turn, tables in told.get("rows", {}).items():
        branch = tree.add(f"rows of turn {turn}")
        place = branch
        for name in ("rewards", "responses", "prompts", "queries"):
            one = tables[name]
            place = place.add(
                f"{name}: {one['rows']} rows, digest {one['digest'][:16]}…, table version {one['version']}"
            )
            if name == "rewards":
                for line in told["calibrators"][turn]:
                    place.add(f"calibrator {line['calibrator_version']}: {line['rows']}")
            if name == "responses":
                for line in told["strategies"][turn]:
                    place.add(f"{line['strategy']} ({line['strategy_version']}): {line['rows']}")
    if "rows" not in told:
        versions = ", ".join(f"{name} {at}" for name, at in told.get("tables", {}).items())
        tree.add(f"rows of turns {', '.join(told.get('turns', []))}: table versions {versions}; no digests were kept")


def _prompts(told: Mapping[str, Any]) -> list[str]:
    return [f"{task}: {digest}" for task, digest in told.get("prompts", {}).items()]


def _scorers(told: Mapping[str, Any]) -> list[str]:
    lines = []
    for task, one in told.get("scorers", {}).items():
        names = ", ".join(config["name"] for config in one["config"])
        lines.append(f"{task} ({one['digest']}): {names}")
    return lines


def _made_with(told: Mapping[str, Any]) -> list[str]:
    lines = [f"configuration {str(told.get('config_digest'))[:16]}…, code {told.get('code_version')}"]
    known = ", ".join(f"{name} {version}" for name, version in told.get("packages", {}).items())
    lock = f" (lock {told['packages_digest']})" if "packages_digest" in told else ""
    lines.append(f"Python {told.get('python')}; {known}{lock}")
    if "engine" in told:
        engine = told["engine"]
        server = "" if engine["server"] is None else f"; responses of {engine['server']['model']}"
        settings = ", ".join(f"{name} {value}" for name, value in engine["settings"].items())
        lines.append(f"engine {engine['name']} ({settings}){server}")
    if "seeds" in told:
        lines.append("seeds: " + ", ".join(f"{name} {value}" for name, value in told["seeds"].items()))
    if "hardware" in told:
        machine = told["hardware"]
        gpus = f", {len(machine['gpus'])} × {machine['gpus'][0]}" if machine["gpus"] else ", no GPU"
        lines.append(f"{machine['cpu']}, {machine['cores']} cores{gpus}")
    if "recipe" in told:
        files = told["recipe"]["files"]
        kept = sum(one["copied"] for one in files.values())
        lines.append(f"recipe: {kept} files beside it, {len(files) - kept} by digest alone")
    return lines


def _branch(tree: Tree, title: str, lines: Sequence[str]) -> None:
    if lines:
        branch = tree.add(title)
        for line in lines:
            branch.add(escape(line))


def _of_query(found: Mapping[str, Any]) -> Tree:
    split = f", split {found['split']}" if found["split"] else ""
    tree = Tree(f"[bold]query {escape(found['query_id'])}[/] of {found['flywheel']}{split}")
    for at in found["erased"]:
        tree.add(f"[yellow]erased at {at}")
    for turn, one in found["turns"].items():
        branch = tree.add(f"turn {turn}: logged {len(one['queries'])} times")
        prompt = one["prompt"]
        if prompt is not None:
            branch.add(
                f"prompt of {prompt['task']}: {prompt['split']}, count {prompt['count']}, cluster {prompt['cluster']}"
            )
        elif one["refused"]:
            branch.add("refused: " + ", ".join(f"{count} {reason}" for reason, count in one["refused"].items()))
        elif one["queries"]:
            branch.add("no prompt of its own: it was merged into a near one, or validate has not run")
        _responses(branch, one["responses"])
    if not found["trained"]:
        tree.add("no model was trained on it")
    for model in found["trained"]:
        version = f"version {model['version']}" if model["version"] else "no version"
        ids = ", ".join(sorted({str(row["response_id"]) for row in model["responses"]}))
        tree.add(f"trained on: {version} ({model['model_version']}), {model['rows']} rows: {escape(ids)}")
    for model in found["descendants"]:
        version = f"version {model['version']}" if model["version"] else "no version"
        tree.add(f"trained from such a model: {version} ({model['model_version']})")
    return tree


def _responses(branch: Tree, responses: Sequence[Mapping[str, Any]]) -> None:
    if not responses:
        return
    place = branch.add(f"{len(responses)} responses")
    for row in responses:
        reward = "no reward" if row["reward"] is None else f"reward {row['reward']:.3f}"
        place.add(escape(f"{row['response_id']} ({row['strategy_version']}) by {row['model_version']}: {reward}"))
