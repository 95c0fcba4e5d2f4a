"""``grpo_offline`` and ``grpo``: advantages within a query's responses, stored or sampled by the model in training."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.backends.trl_trainer import ends
from tao_ops.backends.trl_trainer.arguments import adapter, job_arguments, processes
from tao_ops.backends.trl_trainer.encoding import left_padded, prompt_ids
from tao_ops.backends.trl_trainer.job import Group, Job, Question, Rewarder
from tao_ops.config import Correction, SamplerConfig
from tao_ops.errors import DataError, EngineError
from tao_ops.records import Message

NOTHING = "every reward was the same within its query, nothing to learn"
_TAUGHT = "responses_with_advantage"
_ADVANTAGE = 0.01
"""Equal rewards differ by rounding, which TRL's division by std + 1e-4 makes larger."""


def offline(job: Job, model: Any, tokenizer: Any) -> Any:
    """TRL's ``GRPOTrainer``, handed the stored responses by its ``rollout_func``.

    Shao et al., arXiv 2402.03300: Aᵢ = (rᵢ - mean r) / std r within a query's responses, and the loss
    -Σᵢ Σₜ min(ρᵢₜ Aᵢ, clip(ρᵢₜ, 1 ± ε) Aᵢ) / Σᵢ |yᵢ| (the sum over a batch's tokens is of DAPO, arXiv 2503.14476).

    The responses were sampled under other prompts than the production prompt, so the true ratio π(y|production) /
    π₀(y|explored) would be next to nothing for the very responses that are to be learnt; it is not used. ρ is by
    ``update.correction``: 1 at each step (``none``); against the starting model under the production prompt
    (``clip``); or 1, where responses with Aᵢ < 0 are left out once the model has moved away from them by more than
    ``update.mask`` nats a token, from that starting model (``mask``; DeepSeek-V3.2, arXiv 2512.02556).
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    class Offline(_repeatable(GRPOTrainer)):  # type: ignore[misc]
        """Ratios against the model that training began at."""

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            batch = super()._generate_and_score_completions(inputs)
            if job.config.correction is Correction.CLIP:
                batch["old_per_token_logps"] = batch["sampling_per_token_logps"]
            return batch

    groups = [one for one in job.examples if isinstance(one, Group)]
    stored = _Stored(groups, tokenizer)
    config = job.config
    size = len(groups[0].responses)
    together = _together(config.batch_size // size, len(groups))
    # An epoch leaves out, of the queries in its own order, those that don't fill a step.
    steps = config.epochs * max(1, len(groups) // (together * processes()))
    told = _arguments(job, steps=steps, responses=size * together)
    if config.correction is not Correction.NONE:
        stored.measure(model, batch_size=told["per_device_train_batch_size"])
    return Offline(
        model=model,
        reward_funcs=[_stored_reward],
        args=GRPOConfig(
            **told,
            num_generations=size,
            max_completion_length=max(map(len, stored.ids.values())),
            beta=config.kl,
            epsilon=config.clip,
            off_policy_mask_threshold=config.mask if config.correction is Correction.MASK else None,
        ),
        train_dataset=Dataset.from_list([{"prompt": list(group.messages)} for group in groups]),
        processing_class=tokenizer,
        peft_config=adapter(job),
        rollout_func=stored,
    )


def on_policy(job: Job, model: Any, tokenizer: Any, rewarder: Rewarder) -> Any:
    """TRL's ``GRPOTrainer`` on what the model in training answers, rewarded by the flywheel's own scorers."""
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    questions = [one for one in job.examples if isinstance(one, Question)]
    config, sampler = job.config, job.config.sampler
    asked = {one.query_id: one for one in questions}

    def reward(completions: Sequence[Sequence[Message]], query_id: Sequence[str], **_: Any) -> list[float | None]:
        return rewarder([asked[one] for one in query_id], [completion[0]["content"] for completion in completions])

    told = _arguments(
        job,
        steps=sampler.steps,
        responses=sampler.samples * _together(sampler.queries // processes(), len(questions)),
        learning_rate=sampler.learning_rate,
    )
    answer = max(one.max_tokens for one in questions)
    longest = answer + max(len(prompt_ids(one.messages, tokenizer)) for one in questions)
    return _repeatable(GRPOTrainer)(
        model=model,
        reward_funcs=[reward],
        args=GRPOConfig(
            **told,
            **_engine(sampler, cuda=torch.cuda.is_available(), longest=longest),
            num_generations=sampler.samples,
            max_completion_length=answer,
            temperature=sampler.temperature,
            beta=config.kl,
            epsilon=config.clip,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": list(one.messages), "query_id": one.query_id} for one in questions]
        ),
        processing_class=tokenizer,
        peft_config=adapter(job),
    )


def _arguments(job: Job, *, steps: int, responses: int, learning_rate: float | None = None) -> dict[str, Any]:
    """The trainer's arguments for steps of so many responses, of which ``update.batch_size`` at most pass at once.

    A step's responses are sampled together and their advantages are of whole groups. Its parts add up to the loss of
    the whole: each is divided by the tokens of all.
    """
    size = next(n for n in range(min(responses, job.config.batch_size), 0, -1) if responses % n == 0)
    told = job_arguments(job, steps=steps, batch_size=size, learning_rate=learning_rate)
    return told | {"gradient_accumulation_steps": responses // size}


def _together(wanted: int, queries: int) -> int:
    """Queries of one step and one process: a step with fewer than these would never be filled.

    Raises:
        EngineError: there are fewer queries than processes.
    """
    if queries < processes():
        raise EngineError(
            f"{processes()} processes cannot share {queries} queries",
            where="update.accelerate",
            mend="train with fewer processes, or more queries",
        )
    return max(1, min(wanted, queries // processes()))


def _repeatable(base: Any) -> Any:
    """A ``GRPOTrainer`` whose order of queries depends on seed and epoch alone, and which counts advantages.

    TRL's sampler draws each epoch's order after the last one's: a run that goes on in a later epoch would see the
    first epoch's again.
    """
    from trl.trainer.utils import RepeatSampler

    class EpochSampler(RepeatSampler):  # type: ignore[misc]
        """Ordered anew in each epoch."""

        def __init__(self, trainer: Any, **told: Any) -> None:
            super().__init__(**told)
            self._trainer = trainer

        def __iter__(self) -> Any:
            self.generator.manual_seed(self.seed + int(self._trainer.state.epoch or 0))
            return super().__iter__()

    class Repeatable(base):  # type: ignore[misc]
        """The same queries at the same step, whether the run was killed or not."""

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            told = super()._get_train_sampler(dataset)
            return EpochSampler(
                self,
                data_source=told.data_source,
                mini_repeat_count=told.mini_repeat_count,
                batch_size=told.batch_size,
                repeat_count=told.repeat_count,
                seed=told.seed,
            )

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            batch = super()._generate_and_score_completions(inputs)
            advantages = self.accelerator.gather(batch["advantages"])
            self._metrics["train"][_TAUGHT].append(float((advantages.abs() > _ADVANTAGE).sum()))
            return batch

    return Repeatable


def see_that_something_was_learnt(trainer: Any) -> None:
    """Raise where no response of the whole run was better or worse than the others to its query.

    Raises:
        DataError: all advantages were 0.
    """
    if not any(entry.get(_TAUGHT) for entry in trainer.state.log_history):
        raise DataError(
            NOTHING,
            where="update",
            mend="see that the scorers tell responses apart; a higher temperature makes them differ more",
        )


def _engine(sampler: SamplerConfig, *, cuda: bool, longest: int) -> dict[str, Any]:
    """TRL's settings of what samples; ``longest`` is the most tokens of a prompt and its answer."""
    if sampler.engine == "server":
        return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": sampler.server}
    beside = {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": sampler.gpu_memory,
        # Else vLLM makes room for the model's whole context.
        "vllm_max_model_length": longest,
    }
    if sampler.engine == "vllm":
        if not cuda:
            raise EngineError(
                "TRL runs vLLM beside the trainer on a GPU only",
                where="update.sampler.engine",
                mend="set it to transformers, or to auto",
            )
        return beside
    return beside if sampler.engine == "auto" and cuda and _vllm_fits() else {}


def _vllm_fits() -> bool:
    import warnings

    from trl.import_utils import is_vllm_available

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        # It warns of a version that it does not know.
        return bool(is_vllm_available()) and not said


def _stored_reward(completions: Sequence[Any], reward: Sequence[float], **_: Any) -> list[float]:
    return list(reward)


def _key(messages: Sequence[Mapping[str, object]]) -> str:
    return json.dumps([[one["role"], one["content"]] for one in messages])


class _Stored:
    """Stored responses as a rollout of TRL: prompts come repeated, once for each response of the group."""

    def __init__(self, groups: Sequence[Group], tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._groups = {_key(group.messages): group for group in groups}
        self._prompts = {key: prompt_ids(group.messages, tokenizer) for key, group in self._groups.items()}
        texts = {response for group in groups for response in group.responses}
        end = ends.of_turns(tokenizer)
        self.ids = {text: [*tokenizer.encode(text, add_special_tokens=False), end] for text in texts}
        self._logprobs: dict[tuple[str, str], list[float]] = {}

    def measure(self, model: Any, *, batch_size: int) -> None:
        """Log-probabilities of each response's tokens under the production prompt and ``model``."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = model.to(device).eval()
        wanted = sorted({(key, text) for key, group in self._groups.items() for text in group.responses})
        wanted.sort(key=lambda one: len(self._prompts[one[0]]) + len(self.ids[one[1]]))
        for start in range(0, len(wanted), batch_size):
            some = wanted[start : start + batch_size]
            whole = [self._prompts[key] + self.ids[text] for key, text in some]
            kept = max(len(self.ids[text]) for _, text in some)
            ids, mask = left_padded(whole, self._tokenizer.pad_token_id, device)
            with torch.no_grad():
                logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=kept + 1).logits[:, :-1]
            # Row by row: over the whole vocabulary, in fp32, they take much memory.
            for (key, text), row, own in zip(some, logits, ids[:, -kept:], strict=True):
                n = len(self.ids[text])
                every = row[-n:].float()
                chosen = every.gather(1, own[-n:, None]).squeeze(1) - every.logsumexp(-1)
                self._logprobs[key, text] = chosen.tolist()
        model.train()

    def __call__(self, prompts: Sequence[Sequence[Mapping[str, str]]], trainer: Any) -> dict[str, list[Any]]:
        """The rollout of a batch: the n-th repetition of a prompt gets its n-th response."""
        seen: dict[str, int] = {}
        told: dict[str, list[Any]] = {"prompt_ids": [], "completion_ids": [], "logprobs": [], "reward": []}
        for prompt in prompts:
            key = _key(prompt)
            group, turn = self._groups[key], seen.get(key, 0)
            seen[key] = turn + 1
            text = group.responses[turn % len(group.responses)]
            ids = self.ids[text]
            told["prompt_ids"].append(self._prompts[key])
            told["completion_ids"].append(ids)
            told["logprobs"].append(self._logprobs.get((key, text), [0.0] * len(ids)))
            told["reward"].append(group.rewards[turn % len(group.rewards)])
        return told
