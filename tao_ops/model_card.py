"""The model card: ``README.md`` in the model's folder, written from the facts of its turn alone.

Its head is YAML as the model cards of Hugging Face have it, figures as ``model-index`` among it. It is no part of the
model's digest.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tao_ops.config import Flywheel
from tao_ops.errors import RegistryError
from tao_ops.figures import interval, points
from tao_ops.files import replaced
from tao_ops.markdown import bullets, escaped, table
from tao_ops.registry import BASE, Registry
from tao_ops.submissions import CARD

_EMBEDDED = ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
"""Name and licence of the embedded model."""
_UNKNOWN = "as the base model's"


@dataclass(frozen=True)
class Base:
    """The model that training began at.

    Attributes:
        name: of the base model, below all versions.
        licence: its identifier; None where no card tells it.
    """

    name: str
    licence: str | None


def base_of(registry: Registry, flywheel: Flywheel, base: Mapping[str, Any]) -> Base:
    """Name and licence of a candidate's base, from the card in its folder where it has one."""
    if base["version"] != BASE:
        try:
            told = front_matter(Path(registry.ref(flywheel.name, base["version"]).path))
        except RegistryError:  # deleted by now: the card says what is known
            told = {}
        return Base(
            _text(told.get("base_model")) or _name(flywheel)[0], _text(told.get("license")) or _name(flywheel)[1]
        )
    name, licence = _name(flywheel)
    return Base(name, licence)


def front_matter(folder: Path) -> dict[str, Any]:
    """The YAML head of the card in ``folder``; empty where there is none that can be read.

    >>> front_matter(Path("/nowhere"))
    {}
    """
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
        head = text.split("---", 2)[1] if text.startswith("---") else ""
        found = yaml.safe_load(head)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def write(
    folder: Path, candidate: Mapping[str, Any], report: Mapping[str, Any], verdict: Mapping[str, Any], base: Base
) -> Path:
    """Write the card into the model's folder."""
    path = folder / CARD
    with replaced(path) as fresh:
        fresh.write_text(render(candidate, report, verdict, base), encoding="utf-8")
    return path


def render(candidate: Mapping[str, Any], report: Mapping[str, Any], verdict: Mapping[str, Any], base: Base) -> str:
    """The card as text.

    Args:
        candidate: the candidate's manifest.
        report: ``report.json``.
        verdict: ``verdict.json``, as of now.
    """
    head = yaml.safe_dump(_head(report, base), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {report['flywheel']}, turn {report['turn']}",
        _about(candidate, report, base),
        _evaluation(report, verdict),
        _verdict(verdict),
        _training(candidate),
        _made_with(candidate),
        f"## Licence\n\n{escaped(base.licence or _UNKNOWN[0].upper() + _UNKNOWN[1:])}.",
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def _head(report: Mapping[str, Any], base: Base) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": line["name"], "type": line["name"], "revision": line["version"]},
            "metrics": [{"type": line["metric"], "value": line["candidate"]}],
        }
        for line in report["benchmarks"]
        if isinstance(line.get("candidate"), (int, float)) and math.isfinite(line["candidate"])
    ]
    licence = {"license": base.licence} if base.licence else {"license": "other", "license_name": _UNKNOWN}
    return {
        **licence,
        "base_model": base.name,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tao-flywheel"],
        "model-index": [{"name": report["flywheel"], "results": results}],
    }


def _about(candidate: Mapping[str, Any], report: Mapping[str, Any], base: Base) -> str:
    began = candidate["base"]["version"]
    name = escaped(base.name)
    start = f"version {began} of {report['flywheel']}, tuned from {name}" if began else name
    return (
        f"Tuned from {start} (`{candidate['base']['model_version']}`) on {candidate.get('rows', 0):,} responses to "
        f"logged queries, chosen by reward and not by labels. Model `{candidate['model_version']}`, "
        f"{candidate['architecture']}, {candidate['parameters']:,} parameters, {candidate['dtype']}; run "
        f"`{report['run_id']}`."
    )


def _evaluation(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    rows = [
        (
            line["name"] + (" (primary)" if line.get("primary") else ""),
            line["metric"],
            f"{line['n']:,}",
            *(_score(line, arm) for arm in ("champion", "control", "candidate")),
            points(line.get("delta"), line.get("ci_low"), line.get("ci_high")),
            _number(line.get("p_value"), "{:.2g}"),
        )
        for line in report["benchmarks"]
    ]
    titles = ("benchmark", "metric", "items", "champion", "control", "candidate", "difference, points", "p")
    against = report["champion"]["version"]
    judged, moved = _champion(against), verdict.get("champion", {}).get("version", against)
    note = (
        f"\n\nThe table is against an earlier champion, {judged}; the verdict is against {_champion(moved)}."
        if moved != against
        else ""
    )
    return (
        f"## Evaluation\n\nIn percent with 95 % intervals, on items that were never trained on; the champion is "
        f"{judged}, the control is the champion with worked examples in its prompt.{note}\n\n{table(titles, rows)}"
    )


def _champion(version: int) -> str:
    return f"version {version}" if version else "the base model"


def _verdict(verdict: Mapping[str, Any]) -> str:
    return f"## Verdict of the gate\n\n**{verdict['decision']}**\n\n{bullets(verdict['reasons'])}"


def _training(candidate: Mapping[str, Any]) -> str:
    lineage = candidate.get("lineage") or {}
    told = {
        "method": candidate.get("method"),
        "rows": candidate.get("rows"),
        "turns": ", ".join(lineage.get("turns", [])) or None,
        "seed": candidate.get("seed"),
        "config": lineage.get("config_digest"),
        "code": lineage.get("code_version"),
    }
    figures = {f"{name} of training": value for name, value in _plain(candidate.get("metrics")).items()}
    how = {name: value for name, value in (candidate.get("hyperparameters") or {}).items() if value is not None}
    rows = [(name, _cell(value)) for name, value in {**told, **how, **figures}.items() if value is not None]
    return f"## Training\n\n{table(('', ''), rows)}"


def _made_with(candidate: Mapping[str, Any]) -> str:
    lineage = candidate.get("lineage") or {}
    packages = lineage.get("packages") or {}
    told = ", ".join(f"{name} {version}" for name, version in packages.items()) or "not recorded"
    return f"## Made with\n\n{told}.\n\nAll that went into it: `manifest.json` beside this card."


def _score(line: Mapping[str, Any], arm: str) -> str:
    return f"{_number(line.get(arm), '{:.1f}', 100)}{interval(line.get(f'{arm}_low'), line.get(f'{arm}_high'))}"


def _number(value: float | None, form: str, times: float = 1) -> str:
    return "–" if value is None else form.format(times * value)


def _plain(metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """The figures among them; curves and tables are in MLflow."""
    return {name: v for name, v in (metrics or {}).items() if isinstance(v, (int, float)) and math.isfinite(v)}


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _name(flywheel: Flywheel) -> tuple[str, str | None]:
    if flywheel.model == "embedded":
        return _EMBEDDED
    folder = Path(flywheel.model).expanduser()
    told = front_matter(folder)
    return folder.name, _text(told.get("license"))
