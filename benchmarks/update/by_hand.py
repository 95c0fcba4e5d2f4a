"""The peer: TRL's own trainers as its documentation has them, told the same. It knows nothing of this project.

``python -P by_hand.py told.json``; what it reads and writes is the same as for our side.
"""

import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any


def main(path: Path) -> None:
    """Train, and write each step's time, tokens and loss."""
    told = json.loads(path.read_text(encoding="utf-8"))
    import datasets  # noqa: F401
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    make = {"raft": _sft, "dpo": _dpo, "grpo": _grpo}[told["method"]]
    classes = _classes(told["method"])
    began = time.monotonic()
    set_seed(told["seed"])
    low = told["precision"] == "bf16" and told["tune"] == "lora"
    model = AutoModelForCausalLM.from_pretrained(told["model"], dtype=torch.bfloat16 if low else torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(told["model"])
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    given = {"model": model, "processing_class": tokenizer, "peft_config": lora if told["tune"] == "lora" else None}
    trainer = make(told, classes, tokenizer, given)
    logs: list[tuple[float, float, float]] = []
    trainer.add_callback(_timed(logs))
    trainer.train()
    trainer.save_model(told["folder"])
    written = {"logs": logs, "seconds": time.monotonic() - began, "peak_mib": _peak_mib()}
    Path(told["result"]).write_text(json.dumps(written), encoding="utf-8")


def _classes(method: str) -> tuple[Any, Any]:
    """The trainer and its arguments."""
    import trl

    name = {"raft": "SFT", "dpo": "DPO", "grpo": "GRPO"}[method]
    return getattr(trl, f"{name}Trainer"), getattr(trl, f"{name}Config")


def _arguments(told: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {
        "output_dir": told["folder"],
        "max_steps": told["steps"],
        "per_device_train_batch_size": told["batch_size"],
        "learning_rate": told["learning_rate"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "seed": told["seed"],
        "data_seed": told["seed"],
        "bf16": told["precision"] == "bf16",
        "gradient_checkpointing": told["gradient_checkpointing"],
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _sft(told: dict[str, Any], classes: tuple[Any, Any], tokenizer: Any, given: dict[str, Any]) -> Any:
    """Weights of nearly one, as the other side has them, are none here."""
    from datasets import Dataset

    rows = [{"prompt": row["messages"], "completion": _answer(row["right"])} for row in told["rows"]]
    arguments = {**_arguments(told), "max_length": None, "completion_only_loss": True, **told["more"]}
    if arguments.get("packing"):
        # One sequence a step, with room for as many of the longest rows as a step has.
        arguments |= {"per_device_train_batch_size": 1, "max_length": told["batch_size"] * _longest(rows, tokenizer)}
    trainer, config = classes
    return trainer(args=config(**arguments), train_dataset=Dataset.from_list(rows), **given)


def _dpo(told: dict[str, Any], classes: tuple[Any, Any], tokenizer: Any, given: dict[str, Any]) -> Any:
    from datasets import Dataset

    rows = [
        {"prompt": row["messages"], "chosen": _answer(row["right"]), "rejected": _answer(row["wrong"])}
        for row in told["rows"]
    ]
    trainer, config = classes
    arguments = config(
        **_arguments(told),
        max_length=None,
        beta=0.1,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, 1.0],
        precompute_ref_log_probs=True,
    )
    return trainer(args=arguments, train_dataset=Dataset.from_list(rows), **given)


def _grpo(told: dict[str, Any], classes: tuple[Any, Any], tokenizer: Any, given: dict[str, Any]) -> Any:
    from datasets import Dataset

    def reward(completions: Any, values: Any, **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        said = [sum(value in text for value in one) / len(one) for one, text in zip(values, texts, strict=True)]
        letters = [sum(map(str.isalpha, text)) / (1 + len(text)) for text in texts]
        return [(one + other) / 2 for one, other in zip(said, letters, strict=True)]

    trainer, config = classes
    beside = {"use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": 0.3}
    size = told["batch_size"] * told["samples"]
    arguments = config(
        **{**_arguments(told), "per_device_train_batch_size": size},
        **(beside if told["engine"] == "vllm" else {}),
        num_generations=told["samples"],
        max_completion_length=told["max_tokens"],
        temperature=1.0,
        beta=0.0,
        epsilon=0.2,
    )
    rows = [{"prompt": row["messages"], "values": row["values"]} for row in told["rows"]]
    return trainer(args=arguments, reward_funcs=[reward], train_dataset=Dataset.from_list(rows), **given)


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _longest(rows: list[dict[str, Any]], tokenizer: Any) -> int:
    texts = [tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in rows]
    return max(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"]))


def _timed(logs: list[tuple[float, float, float]]) -> Any:
    from transformers import TrainerCallback

    class Timed(TrainerCallback):  # type: ignore[misc]
        """When each step was logged."""

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            told = kwargs.get("logs") or {}
            if "loss" in told:
                logs.append((time.monotonic(), float(told["num_tokens"]), float(told["loss"])))

    return Timed()


def _peak_mib() -> float:
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated() / 2**20)
    return float(math.ceil(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
