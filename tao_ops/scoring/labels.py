"""Responses whose worth is known: anchors that somebody labelled, users' feedback, and what a verifier decides.

Users judge the production response, which is no candidate: it is scored beside the query's candidates, without a vote,
and its row in ``rewards`` has an id of its own, by which a later turn finds it again.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops import exam
from tao_ops.config import Flywheel, ScorerConfig
from tao_ops.lake import Lake
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Scored
from tao_ops.rewards.calibration import Case, Source, read_anchors
from tao_ops.rewards.combine import decides, vetoed
from tao_ops.tables import PROMPTS, QUERIES, REWARDS, TURNS
from tao_ops.turn import Turn

MOST = 20_000
"""Labels of earlier turns that are fitted to, the newest ones."""
LOOK_BACK = 30
"""Turns that are looked at for labels and for a calibrator, whatever ``calibration.history`` says."""
_LOGGED = ":@"
"""In a response's id between its query's and the digest of a production response; no strategy is named so."""


@dataclass(frozen=True)
class Labelled:
    """A response beside the turn's own, with its label.

    Attributes:
        response_id: of a production response, which is kept in ``rewards``; empty for an anchor.
    """

    candidate: Candidate
    label: float
    source: Source
    response_id: str = ""

    def case(self, scored: Scored) -> Case:
        """What calibration learns from it."""
        return Case(self.candidate.query_id, scored.scores, self.label, self.source)


def anchors(flywheel: Flywheel, task: str) -> list[Labelled]:
    """The labelled responses of the task's file, each query's a pool of its own; none where it has no file.

    Raises:
        ConfigError: the file cannot be read, or an anchor is an item of a benchmark.
    """
    file = flywheel.tasks[task].calibration.anchors
    if file is None:
        return []
    path = flywheel.file(file)
    found = read_anchors(path)
    exam.refuse_exam(flywheel, task, {f"{path}: anchor {n}": a.messages for n, a in enumerate(found, 1)})
    labelled = []
    for number, anchor in enumerate(found, 1):
        prompt = Prompt(f"anchor {number}", task, anchor.messages)
        for response in anchor.responses:
            candidate = Candidate(
                prompt.query_id, prompt.text, response.text, "", prompt.context, anchor.reference, votes=True
            )
            # One that was given three times counts three times, as it does where responses are scored.
            labelled += [Labelled(candidate, float(response.correct), "anchor")] * response.count
    return labelled


def feedback(lake: Lake, turn: Turn, prompts: Mapping[str, Prompt]) -> list[Labelled]:
    """Production responses to these prompts that users of this turn have judged; of several verdicts the more frequent.

    Args:
        prompts: of one task, by query.
    """
    found = []
    for (query_id, text), verdict in _verdicts(lake, turn.flywheel, [turn.key]).get(turn.key, {}).items():
        if (prompt := prompts.get(query_id)) is not None:
            candidate = Candidate(query_id, prompt.text, text, "", prompt.context, votes=False)
            found.append(Labelled(candidate, verdict, "feedback", response_id(query_id, text)))
    return found


@dataclass(frozen=True)
class Known:
    """Labelled cases, and those among them that something vetoes: they are worth nothing, whatever is fitted."""

    labelled: Sequence[Case] = ()
    refused: Sequence[Case] = ()


def earlier(lake: Lake, flywheel: Flywheel, task: str, turns: Sequence[str]) -> Known:
    """Labelled cases of the turns before this one, by feedback and by verifiers that decide; the newest ones.

    Args:
        turns: of :func:`same_scorers`: a score by another rubric or rule is another score.
    """
    config = flywheel.tasks[task]
    if not config.calibration.history:
        return Known()
    turns = turns[-config.calibration.history :]
    verdicts = _verdicts(lake, flywheel.name, turns) if turns else {}
    if not any(verdicts.values()) and not any(map(decides, config.scorers)):
        return Known()
    labelled: list[Case] = []
    out: list[Case] = []
    for key in reversed(turns):
        for case, out_of in _cases(lake, flywheel.name, key, task, verdicts.get(key, {}), config.scorers):
            (out if out_of else labelled).append(case)
        if len(labelled) + len(out) >= MOST:
            break
    return Known(labelled[:MOST], out[:MOST])


def scorers_digest(flywheel: Flywheel, task: str) -> str:
    """Sixteen hex digits of everything that a task's scores are made by, files among them but for databases."""
    sha = hashlib.sha256()
    for config in flywheel.tasks[task].scorers:
        sha.update(config.model_dump_json().encode())
        for key in ("file", "rubric", "template_file"):
            if (file := getattr(config, key, None)) is not None:
                sha.update(flywheel.file(file).read_bytes())
    if (schema := flywheel.tasks[task].json_schema) is not None:
        sha.update(flywheel.file(schema).read_bytes())
    return sha.hexdigest()[:16]


def same_scorers(lake: Lake, flywheel: Flywheel, turn: Turn, task: str) -> list[str]:
    """The turns before this one that were scored by the task's scorers as they are now, oldest first."""
    where: dict[str, Any] = {"flywheel": turn.flywheel, "stage": "score"}
    have = lake.read(TURNS, columns=["turn"], **where).column("turn").unique().to_pylist()
    newest = sorted(key for key in have if key < turn.key)[-LOOK_BACK:]
    if not newest:
        return []
    digest = scorers_digest(flywheel, task)
    rows = lake.read(TURNS, columns=["turn", "metrics"], **where, turn=newest).to_pylist()
    return sorted({row["turn"] for row in rows if json.loads(row["metrics"]).get("scorers", {}).get(task) == digest})


def verified(configs: Sequence[ScorerConfig], query_id: str, scored: Mapping[str, float]) -> Case | None:
    """A case that a verifier which decides has labelled, without that verifier's own score; None where none has."""
    deciders = {one.name for one in configs if decides(one)}
    values = [scored[name] for name in deciders if name in scored]
    rest = {name: value for name, value in scored.items() if name not in deciders}
    return Case(query_id, rest, float(min(values) >= 0.5), "verified") if values and rest else None


def refused(configs: Sequence[ScorerConfig], scores: Mapping[str, float], flags: Sequence[str]) -> bool:
    """Whether something else than the verifiers that decide vetoes a response: their own verdict is its label."""
    return vetoed([one for one in configs if not decides(one)], scores, flags)


def query_ids(lake: Lake, task: str, where: Mapping[str, Any]) -> set[str]:
    """The queries of a task's prompts in the turn that ``where`` names."""
    return set(lake.read(PROMPTS, columns=["query_id"], task=task, **where).column("query_id").to_pylist())


def response_id(query_id: str, text: str) -> str:
    """Of a production response: the same text has the same one in every turn."""
    return f"{query_id}{_LOGGED}{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"


def is_logged(identity: str) -> bool:
    """Whether a row of ``rewards`` is a production response's."""
    return _LOGGED in identity


def _cases(
    lake: Lake,
    flywheel: str,
    key: str,
    task: str,
    verdicts: Mapping[tuple[str, str], float],
    configs: Sequence[ScorerConfig],
) -> list[tuple[Case, bool]]:
    """Cases of one turn, each with whether something vetoes it."""
    where: dict[str, Any] = {"flywheel": flywheel, "turn": key}
    mine = query_ids(lake, task, where)
    labels = {response_id(query_id, text): label for (query_id, text), label in verdicts.items()}
    rows = lake.read(REWARDS, columns=["response_id", "query_id", "scores", "flags"], **where).to_pylist()
    cases: list[tuple[Case, bool]] = []
    for row in sorted(rows, key=lambda row: str(row["response_id"])):
        scores = dict(row["scores"])
        if row["query_id"] not in mine or not scores:
            continue
        if (label := labels.get(row["response_id"])) is not None:
            cases.append((Case(row["query_id"], scores, label, "feedback"), vetoed(configs, scores, row["flags"])))
        elif not is_logged(row["response_id"]) and (case := verified(configs, row["query_id"], scores)) is not None:
            cases.append((case, refused(configs, case.scores, row["flags"])))
    return cases


def _verdicts(lake: Lake, flywheel: str, turns: Sequence[str]) -> dict[str, dict[tuple[str, str], float]]:
    """By turn, query and production response: 1 where most of its users said ``up``, 0 for ``down``; a tie is none."""
    columns = ["turn", "query_id", "response", "feedback"]
    rows = lake.read(QUERIES, columns=columns, flywheel=flywheel, turn=list(turns), feedback=["up", "down"]).to_pylist()
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in rows:
        if row["response"]:
            sums[row["turn"], row["query_id"], row["response"]] += 1 if row["feedback"] == "up" else -1
    found: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for (key, query_id, text), total in sorted(sums.items()):
        if total:
            found[key][query_id, text] = float(total > 0)
    return found
