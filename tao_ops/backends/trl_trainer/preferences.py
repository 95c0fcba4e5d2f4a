"""``dpo`` and ``kto``: from pairs, and from good and bad responses."""

from random import Random
from typing import Any

from tao_ops.backends.trl_trainer.arguments import adapter, job_arguments, processes, updates
from tao_ops.backends.trl_trainer.job import Job, Judged, Preference


def dpo(job: Job, model: Any, tokenizer: Any) -> Any:
    """TRL's ``DPOTrainer`` on pairs.

    Rafailov et al., arXiv 2305.18290, eq. 7: -log σ(β [log π(y⁺)/π₀(y⁺) - log π(y⁻)/π₀(y⁻)]); with it, weighted by
    ``update.likelihood``, the better responses' negative log-likelihood, the mean over all their tokens in the batch
    (Pang et al., arXiv 2404.19733, eq. 1, take each response's own mean), without which both of a pair may become
    less likely.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    pairs = [one for one in job.examples if isinstance(one, Preference)]
    rows = [
        {"prompt": list(one.messages), "chosen": _answer(one.chosen), "rejected": _answer(one.rejected)}
        for one in pairs
    ]
    config, size = job.config, job.config.batch_size
    losses, weights = ["sigmoid"], [1.0]
    if config.likelihood:
        losses, weights = ["sigmoid", "sft"], [1.0, config.likelihood]
    told = job_arguments(job, steps=updates(len(rows), size, config.epochs), batch_size=size)
    return DPOTrainer(
        model=model,
        args=DPOConfig(
            **told,
            max_length=None,
            beta=config.beta,
            loss_type=losses,
            loss_weights=weights,
            precompute_ref_log_probs=_precomputed(),
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter(job),
    )


def kto(job: Job, model: Any, tokenizer: Any) -> Any:
    """TRL's ``KTOTrainer`` on good and bad responses.

    Ethayarajh et al., arXiv 2402.01306, eq. 8: λ⁺ [1 - σ(β (r - z₀))] of a good one and λ⁻ [1 - σ(β (z₀ - r))] of a
    bad one, r = log π(y)/π₀(y) and z₀ the divergence estimated over the batch; λ⁺ and λ⁻ make up for how many there
    are of each (n⁺λ⁺ = n⁻λ⁻).
    """
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    examples = [one for one in job.examples if isinstance(one, Judged)]
    # TRL estimates z₀ from each prompt with the response of the row before it, and keeps the rows' order: as they
    # come, by query, that would be another response to the same prompt.
    Random(job.seed).shuffle(examples)
    rows = [{"prompt": list(one.messages), "completion": _answer(one.response), "label": one.good} for one in examples]
    good = sum(one.good for one in examples)
    bad = len(examples) - good
    config, size = job.config, job.config.batch_size
    told = job_arguments(job, steps=updates(len(rows), size, config.epochs), batch_size=size)
    return KTOTrainer(
        model=model,
        args=KTOConfig(
            **told,
            max_length=None,
            beta=config.beta,
            desirable_weight=max(1.0, bad / max(1, good)),
            undesirable_weight=max(1.0, good / max(1, bad)),
            precompute_ref_log_probs=_precomputed(),
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter(job),
    )


def _precomputed() -> bool:
    """Whether π₀ is asked before training, not at each step.

    TRL hands what the first of several processes computed to the others in a file whose name each makes up anew.
    """
    return processes() == 1


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
