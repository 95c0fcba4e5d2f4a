"""What every training run of TRL here is told."""

from pathlib import Path
from typing import Any

from tao_ops.backends.trl_trainer.job import Job
from tao_ops.config import Tune


def run_arguments(epochs: int, batch_size: int, learning_rate: float, *, seed: int, scratch: Path) -> dict[str, Any]:
    """Seeded, without checkpoints, reports and bars of its own."""
    import torch

    return {
        "output_dir": str(scratch),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        # Each weight that is trained has a part in each loss: DDP need not look for those that have none.
        "ddp_find_unused_parameters": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "logging_steps": 1,
        # A loss that is no number is to be seen, and not left out of the mean.
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def job_arguments(job: Job, *, steps: int, batch_size: int, learning_rate: float | None = None) -> dict[str, Any]:
    """The same for a job of ``steps`` updates, with its checkpoints."""
    config = job.config
    rate = config.learning_rate if learning_rate is None else learning_rate
    told = run_arguments(config.epochs, batch_size, rate, seed=job.seed, scratch=job.scratch)
    return told | {
        "max_steps": steps,
        "bf16": config.precision == "bf16",
        "gradient_checkpointing": config.gradient_checkpointing,
        "save_strategy": "steps",
        "save_steps": checkpoint_every(steps, config.watch.checkpoints),
        # The best one and the last one.
        "save_total_limit": 2,
    }


def checkpoint_every(steps: int, times: int) -> int:
    """Updates between two checkpoints, so that there are about ``times`` of them; the last update always has one."""
    return max(1, -(-steps // times))


def adapter(job: Job) -> Any:
    """The low-rank adapter that is trained; None where all weights are."""
    from peft import LoraConfig

    if job.config.tune is Tune.FULL:
        return None
    return LoraConfig(
        r=job.config.lora_rank,
        lora_alpha=job.config.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def processes() -> int:
    """Processes of this training run, as ``accelerate launch`` tells it."""
    import os

    return int(os.environ.get("WORLD_SIZE", "1"))


def updates(rows: int, batch_size: int, epochs: int) -> int:
    """Updates in ``epochs`` over ``rows``, of ``batch_size`` rows in each process."""
    return epochs * max(1, -(-rows // (batch_size * processes())))
