"""What a turn costs, as formulas; every constant with where it is from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

HERE = "measured here"
GB, HOUR, DAY = 1e9, 3600.0, 86_400.0
ROOM = 0.7
"""Share of a limit that a plan takes: one stage in twenty is 1.36 times as slow as its mean, in the simulator."""


@dataclass(frozen=True)
class Constant:
    """A number, and where it is from."""

    value: float
    unit: str
    source: str


LINE = Constant(31.536 / 5e6, "s a line", f"{HERE}: `ingest`, 5,000,000 lines of 850 bytes, two cores")
REDACTION = Constant(9086.0, "messages/s a core", f"{HERE}: `ingest`, redaction")
IDENTITY = Constant(24.0, "bytes an identity", "`tao_ops/identities.py`; twice that while runs are sorted")
NEAR = Constant(13_447.0, "messages/s a core", f"{HERE}: `ingest`, near duplicates")
HELD = Constant(7_950.0, "bytes a query", f"{HERE}: peaks of `validate` at 315 and 10,003 queries, `trials/real_logs`")
SIGNATURE = Constant(612.0, "bytes a text, for ever", "`tao_ops/dedup.py`: 512 of signature, 100 of bands at 0.9")
SCORE = Constant(3969.0, "responses/s a core", f"{HERE}: `score`, the example's scorers")
COMMIT = Constant(0.016, "s a commit", f"{HERE}: `scale` after 60 turns, on a busy machine")
PATIENCE = Constant(
    0.05 * (2**8 - 1) / 2, "s of waiting", "`tao_ops/lake.py`: the mean of all waits between a commit's eight attempts"
)
LEASE = Constant(0.049, "s a lease", f"{HERE}: `scale` after 60 turns, on a busy machine")
AIRFLOW = Constant(20.0, "s a turn", "the goal of `orchestration`: all of a turn with one shard that is no stage's")
MAPPED = Constant(
    0.35, "s a mapped task", "seen once here, on two cores, and not kept: a hundred that do nothing took 25 to 38 s"
)
PEAK = Constant(989e12, "FLOP/s a GPU", "NVIDIA H100 SXM datasheet: BF16, dense")
UTILISATION = Constant(
    0.30, "of the peak", "assumed; 0.38 to 0.43 in pretraining (The Llama 3 Herd of Models, arXiv 2407.21783, table 4)"
)
FLOPS = Constant(
    4.0,
    "FLOP a parameter and token",
    "6 for all weights (Kaplan et al., arXiv 2001.08361, section 2.1: 2 forward, 4 backward); LoRA leaves out the "
    "frozen weights' gradients, 2 of them",
)
LIFE = Constant(
    16_384 * 54 * 24 / 419,
    "GPU hours between failures",
    "419 unexpected interruptions of 16,384 H100 in 54 days (arXiv 2407.21783, section 3.3.4)",
)
READING = Constant(2.0 * GB, "bytes/s", "assumed: weights from a network disk into one engine")
START = Constant(60.0, "s", "assumed: an engine's start besides its weights (imports, graphs)")
TOKEN = Constant(1.6, "bytes a token of text", "assumed: four characters a token, zstd to 0.4")
TOLD = Constant(8.0, "bytes a sampled token", "`responses`: its id and its log-probability, four bytes each")

CONSTANTS: Mapping[str, Constant] = {
    name.lower(): value for name, value in list(globals().items()) if isinstance(value, Constant)
}


@dataclass(frozen=True)
class Model:
    """A model on H100 GPUs.

    Attributes:
        replica: GPUs of one engine; ``training``: those of the least training.
        prefill, decode: tokens a second of one engine, read and written.
    """

    name: str
    parameters: float
    replica: int
    training: int
    prefill: float
    decode: float

    @property
    def load_s(self) -> float:
        """Seconds until an engine answers."""
        return START.value + 2 * self.parameters / READING.value


def rates(short: float, long: float, even: float) -> tuple[float, float]:
    """Tokens a second that are read and written, from three throughputs of output tokens.

    They are those of 128 tokens in and 128 out, of 2,048 in and 128 out, and of 1,000 in and 1,000 out. The first two
    tell what reading costs; writing is then taken from the third, whose longer contexts make it slower than the first
    has it: for short answers the figure is on the safe side.
    """
    reading = (128 / long - 128 / short) / (2048 - 128)
    writing = (1000 / even - 1000 * reading) / 1000
    return 1 / reading, 1 / writing


PUBLISHED = (
    "TensorRT-LLM, docs/source/performance/perf-overview.md (v1.0): H100 SXM, FP8; Llama 3.1 8B on one GPU, "
    "Llama 3.3 70B on two"
)
MODELS = (
    Model("8B", 8.03e9, 1, 1, *rates(28_312, 3_450, 15_220)),
    Model("70B", 70.6e9, 2, 8, *rates(6_378, 762, 4_205)),
)


@dataclass(frozen=True)
class Workload:
    """A day's traffic, a turn a day.

    Attributes:
        prompt, conversation, answer: tokens of the production prompt, of what the user wrote, and of an answer.
        samples, strategies: responses of a query, and in how many ways it is asked.
        budget: queries that ``generate.budget`` leaves enough for, at most; the update learns from these alone.
        lateness: turns that ``ingest`` looks back.
    """

    queries: float
    prompt: int = 300
    conversation: int = 300
    answer: int = 150
    samples: int = 8
    strategies: int = 3
    budget: float = float("inf")
    epochs: int = 3
    items: int = 1000
    lateness: int = 2

    @property
    def asked(self) -> int:
        """Tokens that an engine reads for one question."""
        return self.prompt + self.conversation

    @property
    def sampled(self) -> float:
        """Queries that responses are sampled for."""
        return min(self.queries, self.budget)


@dataclass(frozen=True)
class Cluster:
    """What there is to run on."""

    gpus: int
    memory: float = 64 * GB
    """Of a worker that has no GPU."""


@dataclass(frozen=True)
class Limit:
    """Something that there is only so much of; ``share`` is what the turn takes of it."""

    name: str
    share: float
    then: str


def engines(model: Model, cluster: Cluster) -> int:
    """Engines side by side, and so shards: one wave, each loaded once."""
    return min(512, cluster.gpus // model.replica)


def ingest_s(load: Workload) -> float:
    """One process: a line's parsing and hashes, and the redaction of its message."""
    return load.queries * (LINE.value + 1 / REDACTION.value)


def validate_s(load: Workload) -> float:
    """One process: signatures and clusters."""
    return load.queries / NEAR.value


def generate_gpu_s(load: Workload, model: Model) -> float:
    """GPU seconds: each strategy's question is read once, each sample written; the engines' loading comes on top."""
    reading = load.strategies * load.asked / model.prefill
    writing = load.samples * load.answer / model.decode
    return load.sampled * (reading + writing) * model.replica


def score_s(load: Workload) -> float:
    """Core seconds."""
    return load.sampled * load.samples / SCORE.value


def update_gpu_s(load: Workload, model: Model) -> float:
    """GPU seconds of ``raft`` with LoRA: one response of each query, every epoch."""
    tokens = load.sampled * (load.asked + load.answer) * load.epochs
    return FLOPS.value * model.parameters * tokens / (PEAK.value * UTILISATION.value)


def evaluate_gpu_s(load: Workload, model: Model) -> float:
    """GPU seconds: champion and candidate, one answer to each item."""
    return 2 * load.items * (load.asked / model.prefill + load.answer / model.decode) * model.replica


def register_s(model: Model) -> float:
    """Reading the weights to make sure of them, and writing them."""
    return 2 * 2 * model.parameters / READING.value


def orchestration_s(shards: int) -> float:
    """Airflow's: of the example's tasks, and of the further shards' two each."""
    return AIRFLOW.value + 2 * (shards - 1) * MAPPED.value


def trained_on(model: Model, cluster: Cluster) -> int:
    """GPUs of the update: one machine of eight at most, as it is one job."""
    return min(cluster.gpus, max(8, model.training))


def stage_seconds(load: Workload, model: Model, cluster: Cluster) -> dict[str, float]:
    """Wall seconds of each stage, without failures and stragglers."""
    shards = engines(model, cluster)
    return {
        "ingest": ingest_s(load),
        "validate": validate_s(load),
        "generate": model.load_s + generate_gpu_s(load, model) / (shards * model.replica),
        "score": score_s(load) / shards,
        "update": model.load_s + update_gpu_s(load, model) / trained_on(model, cluster),
        "evaluate": 2 * model.load_s + evaluate_gpu_s(load, model) / model.replica,
        "register": register_s(model),
        "orchestration": orchestration_s(shards),
    }


def gpu_hours(load: Workload, model: Model, cluster: Cluster) -> float:
    """All GPU hours of a turn, loading included."""
    shards = engines(model, cluster)
    loading = model.load_s * (shards * model.replica + trained_on(model, cluster) + 2 * model.replica)
    return (generate_gpu_s(load, model) + update_gpu_s(load, model) + evaluate_gpu_s(load, model) + loading) / HOUR


def lake_bytes(load: Workload) -> float:
    """Bytes that a turn adds to the lake: queries, and responses with each token's id and log-probability."""
    texts = (load.conversation + load.answer) * TOKEN.value
    responses = load.samples * load.answer * (TOKEN.value + TOLD.value)
    return load.queries * 2 * texts + load.sampled * responses


def front_door(load: Workload, cluster: Cluster, days: int = 90) -> list[Limit]:
    """What every query of the day takes, sampled or not, the most pressing first."""
    sample = "log a sample of the calls, or split the traffic into flywheels"
    memory = cluster.memory
    found = [
        Limit("`ingest`, an hour", ingest_s(load) / HOUR, f"redact where the logs are written; {sample}"),
        Limit(
            "`ingest`, identities in memory",
            2 * IDENTITY.value * load.queries * (1 + load.lateness) / memory,
            f"a shorter `ingest.lateness`; {sample}",
        ),
        Limit("`validate`, an hour", validate_s(load) / HOUR, sample),
        Limit("`validate`, queries in memory", HELD.value * load.queries / memory, f"more memory; {sample}"),
        Limit(
            f"`validate`, clusters after {days} days",
            SIGNATURE.value * load.queries * days / memory,
            f"more memory; {sample}: each different text is kept, for ever",
        ),
    ]
    return sorted(found, key=lambda limit: -limit.share)


def models(load: Workload, model: Model, cluster: Cluster) -> list[Limit]:
    """What the sampled queries take, the most pressing first."""
    seconds, shards = stage_seconds(load, model, cluster), engines(model, cluster)
    found = [
        Limit("`generate`, six hours", seconds["generate"] / (6 * HOUR), "`generate.budget`; more engines"),
        Limit("`update`, six hours", seconds["update"] / (6 * HOUR), "`generate.budget`; fewer epochs; more GPUs"),
        Limit("a turn, a day", sum(seconds.values()) / DAY, "`generate.budget`; a turn of two days"),
        Limit("shards that commit at once", shards * COMMIT.value / PATIENCE.value, "fewer, larger shards"),
        Limit("Airflow's mapped tasks", shards / 1024, "fewer, larger shards; `core.max_map_length`"),
        Limit("PostgreSQL, leases a minute", (9 + 2 * shards) * LEASE.value / 60, "nothing: it is idle"),
    ]
    return sorted(found, key=lambda limit: -limit.share)


def limits(load: Workload, model: Model, cluster: Cluster) -> list[Limit]:
    """All that there is only so much of, the most pressing first."""
    return sorted([*front_door(load, cluster), *models(load, model, cluster)], key=lambda limit: -limit.share)


def fitted(load: Workload, model: Model, cluster: Cluster) -> Workload:
    """The most of a day that stays within :data:`ROOM` of every limit: a sample in the logs, a budget for responses."""
    taken = _most(load.queries, lambda queries: front_door(replace(load, queries=queries), cluster))
    few = replace(load, queries=taken)
    return replace(few, budget=_most(taken, lambda budget: models(replace(few, budget=budget), model, cluster)))


def _most(most: float, found: Callable[[float], list[Limit]]) -> float:
    """The largest value up to ``most`` that stays within :data:`ROOM` of every limit."""
    if found(most)[0].share <= ROOM:
        return most
    few, many = 0.0, most
    for _ in range(60):
        middle = (few + many) / 2
        few, many = (middle, many) if found(middle)[0].share <= ROOM else (few, middle)
    return few


Stages = Sequence[tuple[str, Callable[[Workload, Model], float]]]
GPU_STAGES: Stages = (("generate", generate_gpu_s), ("update", update_gpu_s), ("evaluate", evaluate_gpu_s))
