"""How the update trains: its method, what it learns from, and when it must stop."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from tao_ops.config.base import Share, Strict


class Method(StrEnum):
    """How the update learns from responses; ``docs/update.md`` has the formulas."""

    RAFT = "raft"
    """Fine-tune on the best of n, weighted by its margin (reward-ranked fine-tuning, arXiv 2304.06767)."""
    DPO = "dpo"
    """Pairs of a better and a worse response (arXiv 2305.18290), with the likelihood of the better (2404.19733)."""
    KTO = "kto"
    """Responses that are good or bad, each by itself (arXiv 2402.01306)."""
    GRPO_OFFLINE = "grpo_offline"
    """Advantages within a query's stored responses (arXiv 2402.03300)."""
    GRPO = "grpo"
    """The same on responses that the model in training samples itself, scored as they come."""


class Start(StrEnum):
    """The weights that training begins at."""

    CHAMPION = "champion"
    """Turn by turn, each on the last one's."""
    BASE = "base"
    """The flywheel's ``model``, each turn anew, on the turns of the window."""


class Correction(StrEnum):
    """What is done about responses that were sampled under other prompts than the production prompt."""

    NONE = "none"
    """Nothing: the ratio of probabilities counts as 1 at each step."""
    CLIP = "clip"
    """The ratio to the starting model under the production prompt, clipped (arXiv 1707.06347)."""
    MASK = "mask"
    """A bad response that the model has moved away from already is left out (arXiv 2512.02556)."""


class Tune(StrEnum):
    """Which weights are trained."""

    LORA = "lora"
    """Adapters of low rank beside all linear layers (arXiv 2106.09685), merged at the end."""
    FULL = "full"
    """All of them."""


class Balance(StrEnum):
    """How the tasks of one model share its training rows."""

    NEED = "need"
    """By what each task still lacks: a task whose responses earn little gets more of the rows."""
    EQUAL = "equal"
    """As many rows of each."""
    NONE = "none"
    """As they come."""


class SamplerConfig(Strict):
    """How the model in training answers, for ``grpo``."""

    steps: int = Field(default=20, ge=1)
    """Updates; each samples anew."""
    queries: int = Field(default=4, ge=1)
    """Queries of one update."""
    samples: int = Field(default=8, ge=2)
    """Responses to each query."""
    temperature: float = Field(default=1.0, gt=0.0)
    learning_rate: float = Field(default=1e-4, gt=0)
    engine: Literal["auto", "transformers", "vllm", "server"] = "auto"
    """``auto``: vLLM beside the trainer on a GPU where TRL supports its version, else transformers."""
    server: str | None = Field(default=None, pattern=r"^https?://")
    """Address of ``trl vllm-serve``, for ``engine: server``."""
    gpu_memory: float = Field(default=0.3, gt=0.0, lt=1.0)
    """Share of the GPU's memory that vLLM takes beside the trainer."""

    @model_validator(mode="after")
    def _server(self) -> Self:
        if (self.engine == "server") != (self.server is not None):
            raise ValueError("'engine: server' needs 'server', its address, and nothing else does")
        return self


class LimitsConfig(Strict):
    """Where training stops, measured on the holdout; what was before it is kept. None: no limit."""

    kl: float | None = Field(default=4.0, gt=0)
    """Highest mean divergence from the champion, in nats per token, along the candidate's own answers."""
    entropy: float | None = Field(default=0.0005, ge=0)
    """Lowest mean entropy of the next token, in nats, along them."""
    length: float | None = Field(default=2.0, gt=1)
    """Longest mean answer, as a multiple of the longer of two: the starting model's on the holdout, what is trained
    on."""
    reward: float | None = Field(default=0.1, gt=0, le=1)
    """The mean reward may be this far below that of the model that training starts at."""


class WatchConfig(Strict):
    """What is measured as training goes."""

    checkpoints: int = Field(default=3, ge=1)
    """Times, evenly over the run and at its end, that a checkpoint is kept and measured on the holdout."""
    queries: int = Field(default=24, ge=0)
    """Queries of the holdout that it answers, the newest; 0: nothing is measured, and the last checkpoint is kept."""
    limits: LimitsConfig = LimitsConfig()


class UpdateConfig(Strict):
    """How the candidate is trained."""

    method: Method = Method.RAFT
    then: Literal["grpo"] | None = None
    """On-policy training after an offline method, in the same turn."""
    start: Start = Start.CHAMPION
    window: int = Field(default=1, ge=1)
    """Turns whose responses are trained on, this one among them."""
    min_reward: Share = 0.5
    """A response below this is not learnt as a good one."""
    margin: Share = 0.2
    """A worse response is at least this far below the better one of its pair (``dpo``), or below ``min_reward``
    (``kto``)."""
    weighted: bool = True
    """Whether ``raft`` weighs a best response by how far it is above its query's mean."""
    min_rows: int = Field(default=8, ge=1)
    """Fewer queries than this fail the stage."""
    pairs: int = Field(default=4, ge=1)
    """Most pairs of a query (``dpo``), or good and bad responses of each kind (``kto``)."""
    group: int = Field(default=8, ge=2)
    """Stored responses of a query that are compared (``grpo_offline``)."""
    beta: float = Field(default=0.1, ge=0)
    """How closely the model is held to where it starts: of ``dpo`` and ``kto``."""
    likelihood: float = Field(default=1.0, ge=0)
    """Weight, in ``dpo``, of the better responses' own likelihood: the mean over their tokens in the batch."""
    kl: float = Field(default=0.0, ge=0)
    """Weight, in ``grpo`` and ``grpo_offline``, of the divergence from where it starts."""
    correction: Correction = Correction.MASK
    clip: float = Field(default=0.2, gt=0, lt=1)
    """Ratios outside 1 ± this earn nothing (``correction: clip``)."""
    mask: float = Field(default=1.0, gt=0)
    """Nats per token that a bad response may have lost before it is left out (``correction: mask``)."""
    sampler: SamplerConfig = SamplerConfig()
    epochs: int = Field(default=3, ge=1)
    """Of the offline methods."""
    batch_size: int = Field(default=8, ge=1)
    """Rows of one step and one process: examples, pairs, or responses. A step of ``grpo`` and ``grpo_offline`` that has
    more, ``sampler.queries`` times ``sampler.samples`` or a whole ``group``, takes them in parts of this size."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of the offline methods. The default is for ``raft`` with ``tune: lora``; the other methods, and ``tune: full``,
    want a lower one."""
    tune: Tune = Tune.LORA
    lora_rank: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of training; the merged model is always kept in the champion's own."""
    gradient_checkpointing: bool = False
    """Less memory, for about a third more time."""
    balance: Balance = Balance.NEED
    watch: WatchConfig = WatchConfig()
    accelerate: str | None = None
    """A configuration of ``accelerate launch`` below ``include/``, where training takes more than one process."""

    @model_validator(mode="after")
    def _one_on_policy(self) -> Self:
        if self.then is not None and self.method is Method.GRPO:
            raise ValueError("'method: grpo' is on-policy already: 'then' goes with an offline method")
        return self

    @model_validator(mode="after")
    def _rate_of_the_sampler(self) -> Self:
        fields = type(self).model_fields
        if self.method is Method.GRPO and self.learning_rate != fields["learning_rate"].default:
            raise ValueError("'method: grpo' has a rate of its own: set 'sampler.learning_rate', not 'learning_rate'")
        if self.method is Method.GRPO and self.epochs != fields["epochs"].default:
            raise ValueError("'method: grpo' samples anew in each update: set 'sampler.steps', not 'epochs'")
        return self

    @model_validator(mode="after")
    def _both_kinds(self) -> Self:
        if self.method is Method.KTO and self.min_reward < self.margin:
            raise ValueError("'method: kto' has no bad responses where 'min_reward' is below 'margin'")
        if self.method is Method.KTO and self.batch_size < 2:
            raise ValueError("'method: kto' compares the rows of a step: 'batch_size' is at least 2")
        return self
