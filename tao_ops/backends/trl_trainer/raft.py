"""``raft``: the best response of each query, weighted by how far it is above the others."""

from typing import Any

from tao_ops.backends.trl_trainer.arguments import adapter, job_arguments, updates
from tao_ops.backends.trl_trainer.job import Best, Job


def trainer(job: Job, model: Any, tokenizer: Any) -> Any:
    """TRL's ``SFTTrainer`` on the best responses.

    Reward-ranked fine-tuning (Dong et al., RAFT, arXiv 2304.06767): the loss is the mean negative log-likelihood of
    the responses' tokens, Σᵢ wᵢ Σₜ -log π(yᵢₜ | xᵢ, yᵢ,₍ₜ₎) / Σᵢ |yᵢ|; the prompt's tokens don't count.
    """
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    class Weighted(DataCollatorForLanguageModeling):  # type: ignore[misc]
        """Passes each example's weight on."""

        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch: dict[str, Any] = super().torch_call(examples)
            batch["weight"] = torch.tensor([example["weight"] for example in examples], dtype=torch.float32)
            return batch

    class WeightedTrainer(SFTTrainer):  # type: ignore[misc]
        """Counts each example by its weight."""

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            if "weight" not in self._signature_columns:
                self._signature_columns.append("weight")

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None):  # type: ignore[no-untyped-def]
            weight = inputs.pop("weight")
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            tokens = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
            loss = -(outputs.log_probs.sum(dim=1) * weight.to(outputs.log_probs.dtype)).sum()
            loss = loss / torch.as_tensor(tokens).clamp(min=1)
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes
            valid = self.accelerator.gather_for_metrics(outputs.label_mask.sum()).sum()
            entropy = self.accelerator.gather_for_metrics(outputs.entropy.detach().sum()).sum()
            self._metrics["train"]["entropy"].append((entropy / valid.clamp(min=1)).item())
            seen = self.accelerator.gather_for_metrics(inputs["attention_mask"].sum()).sum().item()
            self._total_train_tokens += seen
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
            return (loss, outputs) if return_outputs else loss

    examples = [one for one in job.examples if isinstance(one, Best)]
    rows = [
        {
            "prompt": list(one.messages),
            "completion": [{"role": "assistant", "content": one.response}],
            "weight": one.weight,
        }
        for one in examples
    ]
    config, size = job.config, job.config.batch_size
    told = job_arguments(job, steps=updates(len(rows), size, config.epochs), batch_size=size)
    weighted = any(one.weight != 1.0 for one in examples)
    return (WeightedTrainer if weighted else SFTTrainer)(
        model=model,
        args=SFTConfig(**told, max_length=None, completion_only_loss=True),
        train_dataset=Dataset.from_list(rows),
        data_collator=Weighted(pad_token_id=tokenizer.pad_token_id) if weighted else None,
        processing_class=tokenizer,
        peft_config=adapter(job),
    )
