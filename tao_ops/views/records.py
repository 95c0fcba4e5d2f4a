"""The records that the Flywheel page shows.

All times are UTC; shares, scores and rewards lie in [0, 1]; every sequence is in the order in which it is shown. What
is not known, since a stage has not run or a release of before did not keep it, is None or empty, never zero.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

RIGHT = 0.5
"""From this reward on a candidate counts as right: a reward is the probability that it is."""
MOST_A_PAGE = 200
"""Entries of one page of a list."""

Item = TypeVar("Item")


class Only(StrEnum):
    """Which prompts are listed."""

    ALL = "all"
    """All, those that were asked most often first."""
    DISAGREEMENT = "disagreement"
    """Some candidates are right and some are wrong; the widest apart first."""
    FAILURE = "failure"
    """No candidate is right; the worst first."""
    FLAGGED = "flagged"
    """A scorer left a flag on a candidate; the most flags first."""


class TurnStatus(StrEnum):
    """How far a turn's newest run has come, as the lake knows it."""

    DONE = "done"
    """All stages are recorded."""
    PARTIAL = "partial"
    """Some stages are recorded: the run is under way, or has ended early; Airflow knows which."""
    NOTHING_IN = "nothing in"
    """No stage is recorded, and rows are in quarantine: none was fit."""


class StageStatus(StrEnum):
    """What the lake holds of a stage."""

    DONE = "done"
    """Recorded by the turn's newest run, with all of its shards."""
    PARTIAL = "partial"
    """Recorded by the newest run for some of its shards."""
    EARLIER = "earlier run"
    """Recorded by a run before the newest alone: its results are not this run's."""
    MISSING = "not recorded"
    """Not recorded: it waits, is under way, or has failed."""


@dataclass(frozen=True)
class Record:
    """Base of all that is shown."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values and datetimes."""
        return asdict(self)


@dataclass(frozen=True)
class Estimate(Record):
    """A figure with its 95 % interval; the interval is None where it was not kept."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Page(Record, Generic[Item]):
    """One page of a list.

    Attributes:
        items: of this page.
        page: its number, from 1 on.
        size: entries of a whole page.
        total: entries of all pages.
    """

    items: tuple[Item, ...]
    page: int
    size: int
    total: int

    @property
    def pages(self) -> int:
        """How many pages there are: 1 where there is nothing."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """The number of the first entry, from 1 on; 0 where there is none."""
        return (self.page - 1) * self.size + 1 if self.items else 0

    @property
    def last(self) -> int:
        """The number of the last entry; 0 where there is none."""
        return self.first + len(self.items) - 1 if self.items else 0


# ---------------------------------------------------------------------------------------------------- overview


@dataclass(frozen=True)
class Champion(Record):
    """Who answers the users.

    Attributes:
        version: 0 is the base model.
        model_version: digest of its content; None for the base model and where it is not kept any more.
        turn: the turn that made it.
        since: when it became the champion; None for a base model that always was.
        by: who made it the champion, and ``why``.
        age_days: days since then.
    """

    version: int
    model_version: str | None
    turn: str | None
    since: datetime | None
    by: str | None
    why: str | None
    age_days: float | None


@dataclass(frozen=True)
class Release(Record):
    """A version of the registry, as the record of champions tells it.

    Attributes:
        turn: the turn that made it, and ``run_id`` the run.
        decision: the gate's.
        at: when it was registered.
        approval: ``pending``, ``canary``, ``approved``, ``rejected``; None where nobody was asked.
        is_champion: whether it is the champion; ``was_champion``: whether it ever was, so that a rollback may go there.
        expired: whether its weights were deleted.
    """

    version: int
    turn: str | None
    run_id: str | None
    decision: str | None
    at: datetime | None
    approval: str | None
    is_champion: bool
    was_champion: bool
    expired: bool


@dataclass(frozen=True)
class Event(Record):
    """One line of the registry's history; ``before`` and ``after`` are the champions."""

    kind: str
    at: datetime
    who: str
    why: str
    before: int
    after: int
    version: int | None


@dataclass(frozen=True)
class TurnLine(Record):
    """A turn in a list.

    Attributes:
        run_id: of its newest run; None where only quarantine is left of it.
        stages: how many of its stages that run has recorded, of ``of_stages``.
        finished_at: when the last of them ended.
        decision: the gate's, or, where the champion had moved meanwhile, the one against the new champion.
        reason: the first of the verdict's; None where the decision is another by now.
        version: that was registered.
        approval: ``auto``, ``pending`` or ``dry run``, as the gate left it.
    """

    turn: str
    run_id: str | None
    status: TurnStatus
    stages: int
    of_stages: int
    finished_at: datetime | None
    decision: str | None
    reason: str | None
    version: int | None
    approval: str | None


@dataclass(frozen=True)
class BenchmarkPoint(Record):
    """A candidate on a benchmark in one turn.

    Attributes:
        score: the candidate's; ``champion`` and ``control`` beside it on the same items.
        delta: candidate minus champion.
        p_value: two-sided, of no difference; not corrected for several benchmarks.
        promoted: whether the gate said promote; ``became_champion``: whether the registry followed.
        version: that the candidate was registered as.
    """

    turn: str
    n: int
    score: Estimate
    champion: Estimate | None
    control: Estimate | None
    delta: Estimate | None
    p_value: float | None
    promoted: bool
    became_champion: bool
    version: int | None


@dataclass(frozen=True)
class BenchmarkSeries(Record):
    """A benchmark over turns, oldest first; the primary one comes first."""

    name: str
    metric: str
    primary: bool
    points: tuple[BenchmarkPoint, ...]


@dataclass(frozen=True)
class RewardPoint(Record):
    """A turn's mean reward over ``responses`` rewarded responses of all tasks."""

    turn: str
    mean: float
    responses: int


@dataclass(frozen=True)
class CalibrationPoint(Record):
    """How far a task's rewards could be trusted in a turn, on what labels there were.

    Of several shards these are means weighted by labels. Shards share most labels, so the mean interval is, if
    anything, too wide.

    Attributes:
        labels: labelled responses.
        ece: expected calibration error; ``ece_by_chance`` is what a perfect calibrator shows on as many labels.
        brier: mean squared error.
    """

    turn: str
    labels: int
    ece: Estimate | None
    ece_by_chance: float | None
    brier: Estimate | None


@dataclass(frozen=True)
class CalibrationSeries(Record):
    """The calibration of a task's rewards over turns, oldest first."""

    task: str
    points: tuple[CalibrationPoint, ...]


@dataclass(frozen=True)
class VolumePoint(Record):
    """What came into a turn.

    Attributes:
        rows: logged rows that were read.
        queries: of them taken.
        prompts: that came of these.
        quarantined: rows by reason, of both stages; None where neither has told.
    """

    turn: str
    rows: int | None
    queries: int | None
    prompts: int | None
    quarantined: Mapping[str, int] | None


@dataclass(frozen=True)
class CostPoint(Record):
    """What a turn took: sampled and trained tokens, and minutes of work, of all shards added up."""

    turn: str
    tokens: int
    minutes: float


@dataclass(frozen=True)
class Overview(Record):
    """One flywheel at a glance.

    Attributes:
        turns: of the lake; the series show the last ``shown`` of them, oldest first.
        verdicts: the last turns, newest first.
        champion_missing: why the registry could not be asked; None where it was.
    """

    flywheel: str
    champion: Champion | None
    champion_missing: str | None
    turns: int
    shown: int
    verdicts: tuple[TurnLine, ...]
    benchmarks: tuple[BenchmarkSeries, ...]
    rewards: tuple[RewardPoint, ...]
    calibration: tuple[CalibrationSeries, ...]
    volume: tuple[VolumePoint, ...]
    cost: tuple[CostPoint, ...]


# -------------------------------------------------------------------------------------------------------- turn


@dataclass(frozen=True)
class FunnelStep(Record):
    """How many of a thing a turn had: ``logged rows``, ``queries``, … ``releases``; None where it is not known yet."""

    noun: str
    count: int | None


@dataclass(frozen=True)
class StageLine(Record):
    """What a stage took, its shards added up.

    Attributes:
        shards: that are recorded, of ``of_shards``.
        run_id: of the run that recorded it.
        started_at: when its first shard began; ``finished_at`` when its last ended.
        seconds: of work, all shards added up.
    """

    stage: str
    status: StageStatus
    shards: int
    of_shards: int | None
    run_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    rows_in: int | None
    rows_out: int | None
    tokens: int | None


@dataclass(frozen=True)
class QuarantineLine(Record):
    """Rows of a turn in quarantine, by the stage that put them there and its reason; most first."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True)
class StrategyYield(Record):
    """What a strategy found for what it cost.

    Attributes:
        passed: share of its samples whose reward is at least the flywheel's ``update.min_reward``: it is counted, no
            estimate, and samples of one prompt are alike.
        tokens_a_pass: tokens for each sample that passed; None where none did.
    """

    task: str
    strategy: str
    samples: int
    tokens: int
    passed: float | None
    tokens_a_pass: float | None


@dataclass(frozen=True)
class RewardHistogram(Record):
    """A task's rewards: ``counts[i]`` lie from ``edges[i]`` to ``edges[i + 1]``.

    Attributes:
        n: rewarded responses; ``without`` so many have no reward.
    """

    task: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    n: int
    without: int
    mean: float | None


@dataclass(frozen=True)
class ReliabilityBin(Record):
    """Labelled responses of like probability: ``predicted`` is its mean, ``observed`` the share that is right."""

    predicted: float
    observed: Estimate
    n: int


@dataclass(frozen=True)
class Reliability(Record):
    """How far a task's rewards can be trusted, by one calibrator of some of its shards.

    Attributes:
        shards: whose rewards it made.
        calibrated: whether there is a calibrator; else scores were combined by rule, and ``reason`` tells why.
        n: labelled responses; ``labels`` by their source.
    """

    task: str
    shards: tuple[int, ...]
    calibrated: bool
    reason: str
    n: int
    labels: Mapping[str, int]
    base_rate: float | None
    auroc: Estimate | None
    brier: Estimate | None
    ece: Estimate | None
    ece_by_chance: float | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Curve(Record):
    """A figure of the training over its updates.

    Attributes:
        name: ``<method>/<figure>``, or ``holdout/<figure>`` over all methods.
        total: points that there are; where that is more than are here, every so many-th is.
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    total: int


@dataclass(frozen=True)
class Finding(Record):
    """What one benchmark, or one slice of it, says to the gate, in figures and in words."""

    benchmark: str
    slice: str
    n: int
    delta: Estimate
    p_value: float | None
    corrected_p: float | None
    level: float | None
    decision: str
    sentence: str


@dataclass(frozen=True)
class Verdict(Record):
    """The gate's verdict.

    Attributes:
        reasons: sentences.
        test: which of the month's tests of the champion it was, at ``level``.
        approval: ``auto``, ``pending`` where a person is asked, or ``dry run``.
    """

    decision: str
    reasons: tuple[str, ...]
    test: int | None
    level: float | None
    approval: str | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class SliceLine(Record):
    """Champion and candidate on a slice ``column=value`` of a benchmark."""

    slice: str
    n: int
    champion: float | None
    candidate: float | None
    delta: Estimate | None
    p_value: float | None


@dataclass(frozen=True)
class Comparison(Record):
    """Champion, control and candidate on the same items of a benchmark.

    Attributes:
        delta: candidate minus champion.
        p_value: two-sided, of no difference; not corrected for several benchmarks.
        changed: items whose score differs between champion and candidate; None where the scores are not kept.
    """

    benchmark: str
    metric: str
    primary: bool
    n: int
    champion: Estimate | None
    control: Estimate | None
    candidate: Estimate | None
    delta: Estimate | None
    p_value: float | None
    changed: int | None
    slices: tuple[SliceLine, ...]


@dataclass(frozen=True)
class TurnView(Record):
    """One turn.

    Attributes:
        run_id: of its newest run; all but ``stages`` and the quarantine is of this run.
        version: that was registered.
        approval: where its approval stands by now: ``pending``, ``canary``, ``approved``, ``rejected``; None where
            nobody was asked, or the registry could not be.
        curves_missing: why there are no curves, where ``update`` has run; None where there are.
    """

    flywheel: str
    turn: str
    run_id: str | None
    status: TurnStatus
    started_at: datetime | None
    finished_at: datetime | None
    funnel: tuple[FunnelStep, ...]
    stages: tuple[StageLine, ...]
    quarantine: tuple[QuarantineLine, ...]
    strategies: tuple[StrategyYield, ...]
    rewards: tuple[RewardHistogram, ...]
    reliability: tuple[Reliability, ...]
    curves: tuple[Curve, ...]
    curves_missing: str | None
    verdict: Verdict | None
    comparisons: tuple[Comparison, ...]
    version: int | None
    approval: str | None


# ----------------------------------------------------------------------------------------------------- prompts


@dataclass(frozen=True)
class Choices(Record):
    """What the list of a turn's prompts can be narrowed to."""

    tasks: tuple[str, ...]
    strategies: tuple[str, ...]


@dataclass(frozen=True)
class PromptLine(Record):
    """A prompt in a list; with a strategy chosen, all figures are of its candidates alone.

    Attributes:
        text: the beginning of the last user message.
        split: ``train`` or ``holdout``; a holdout's prompt is explored, and never trained on.
        count: how often it was asked.
        candidates: responses; ``rewarded`` of them have a reward, ``right`` one of at least one half.
        answers: different answers among them.
        flagged: candidates with a flag.
    """

    query_id: str
    task: str
    split: str
    text: str
    count: int
    candidates: int
    rewarded: int
    right: int
    answers: int
    flagged: int
    lowest: float | None
    mean: float | None
    best: float | None


@dataclass(frozen=True)
class Candidate(Record):
    """A response to a prompt, and what its scorers say.

    Attributes:
        text: the whole response; ``answer`` what was read out of it.
        scores: by scorer; ``undecided``: by scorer why it has none.
        reward: None where no scorer could decide.
    """

    response_id: str
    strategy: str
    strategy_version: str
    sample: int
    round: int
    temperature: float | None
    text: str
    answer: str | None
    reward: float | None
    scores: Mapping[str, float]
    undecided: Mapping[str, str]
    flags: tuple[str, ...]
    finish_reason: str | None
    tokens: int | None
    model_version: str | None
    calibrator_version: str | None


@dataclass(frozen=True)
class Message(Record):
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class PromptView(Record):
    """A prompt with its candidates, the best first; ``scorers`` are the columns of their scores."""

    turn: str
    query_id: str
    task: str
    split: str
    cluster: str
    count: int
    messages: tuple[Message, ...]
    scorers: tuple[str, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class ItemAnswer(Record):
    """One model's answer to a benchmark item; ``reward`` by the scorers of the turn, where it has one."""

    model_version: str
    score: float | None
    output: str | None
    tokens: int | None
    flags: tuple[str, ...]
    reward: float | None


@dataclass(frozen=True)
class ChangedItem(Record):
    """A benchmark item whose score differs between champion and candidate; the worst change first."""

    item_id: str
    change: float
    champion: ItemAnswer
    candidate: ItemAnswer


# ----------------------------------------------------------------------------------------------------- lineage


@dataclass(frozen=True)
class BaseLine(Record):
    """A version that another was trained from; ``lost`` tells why no more is known of it."""

    version: int | None
    model_version: str | None
    turn: str | None
    method: str | None
    rows: int | None
    lost: str | None


@dataclass(frozen=True)
class SourceRows(Record):
    """Rows of a turn that a version was made of, with the digest that they are known again by."""

    turn: str
    table: str
    rows: int
    digest: str
    table_version: int


@dataclass(frozen=True)
class Fact(Record):
    """One thing that a version was made with: its digest or version, by what it is."""

    name: str
    value: str


@dataclass(frozen=True)
class TrainedRow(Record):
    """A row that a version was trained on.

    Attributes:
        query_id: None where an erasure or an earlier release left none.
        strategy: that found the response; None for one that the training sampled itself.
        role: what the row was for in the training.
        text: the beginning of the prompt; ``response`` of the response.
    """

    turn: str
    query_id: str | None
    response_id: str | None
    strategy: str | None
    role: str | None
    reward: float | None
    copies: int | None
    text: str | None
    response: str | None


@dataclass(frozen=True)
class Backward(Record):
    """From a version back to the very rows that it was trained on.

    Attributes:
        rows_trained: what it was trained on; ``rows_left`` what still lies there; ``rows_intact``: whether that file
            is the one that the manifest names.
        why_not_replayable: None where nothing known is in the way of running its turn again.
        erased_at: when rows of it were erased.
    """

    flywheel: str
    version: int
    model_version: str
    turn: str
    run_id: str
    method: str
    seed: int
    rows_trained: int
    rows_left: int | None
    rows_intact: bool
    why_not_replayable: str | None
    erased_at: str | None
    bases: tuple[BaseLine, ...]
    sources: tuple[SourceRows, ...]
    facts: tuple[Fact, ...]
    events: tuple[Event, ...]
    rows: Page[TrainedRow]


@dataclass(frozen=True)
class ForwardTurn(Record):
    """What a turn made of a query.

    Attributes:
        logged: how often it came.
        request_ids: some of them.
        task: None where it is no prompt of its own.
        refused: reasons that kept it away, each with its count.
        responses: candidates; ``best`` is the highest reward.
    """

    turn: str
    logged: int
    request_ids: tuple[str, ...]
    task: str | None
    split: str | None
    cluster: str | None
    count: int | None
    refused: Mapping[str, int]
    responses: int
    best: float | None


@dataclass(frozen=True)
class ReachedVersion(Record):
    """A model that a query reached.

    Attributes:
        version: None where the candidate was never registered.
        rows: of the query that it was trained on; 0 where only a model that it was trained from was.
    """

    version: int | None
    model_version: str
    run_id: str
    rows: int


@dataclass(frozen=True)
class Forward(Record):
    """From a row of a log forward to all that was made of it.

    Attributes:
        named: what was looked for, a query's id or a request's.
        erased: when the query was erased.
    """

    flywheel: str
    named: str
    query_id: str
    split: str | None
    erased: tuple[str, ...]
    turns: tuple[ForwardTurn, ...]
    versions: tuple[ReachedVersion, ...]
