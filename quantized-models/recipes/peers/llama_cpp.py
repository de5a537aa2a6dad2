#!/usr/bin/env python3
"""The decoder of SmolVLM-256M's shape under llama.cpp, for the table in the recipes' README. Random weights.

    pip install xllamacpp==2026.10.11549 gguf==0.19.0 numpy
    llama_cpp.py --weights q8_0 --pieces 85,72,72,18

Numbers of tokens are those of prefix, first, second and suffix, as `comparator.py bench` prints them. Tokens of text
stand for those of pictures: a decoder does the same with either. The vision tower is not measured.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, INNER, LAYERS, HEADS, KV_HEADS, HEAD_SIZE, VOCABULARY = 576, 1536, 30, 9, 3, 64, 49280
WEIGHTS = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0}


def write(path: Path, weights: gguf.GGMLQuantizationType) -> None:
    """A GGUF file of the shape."""
    file, drawn = gguf.GGUFWriter(path, "llama"), np.random.default_rng(0)
    file.add_context_length(8192)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(KV_HEADS)
    file.add_rope_dimension_count(HEAD_SIZE)
    file.add_rope_freq_base(100000.0)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(VOCABULARY)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("smollm")
    file.add_token_list([f"t{at}" for at in range(VOCABULARY)])
    file.add_token_types([1] * VOCABULARY)
    file.add_token_merges(["t 0"])
    file.add_bos_token_id(1)
    file.add_eos_token_id(0)
    file.add_add_bos_token(False)

    def linear(name: str, outputs: int, inputs: int) -> None:
        array = drawn.standard_normal((outputs, inputs), dtype=np.float32) * np.float32(inputs**-0.5)
        file.add_tensor(f"{name}.weight", gguf.quants.quantize(array, weights), raw_dtype=weights)

    def norm(name: str) -> None:
        file.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    linear("token_embd", VOCABULARY, WIDTH)
    norm("output_norm")
    for layer in range(LAYERS):
        base = f"blk.{layer}"
        norm(f"{base}.attn_norm")
        norm(f"{base}.ffn_norm")
        linear(f"{base}.attn_q", HEADS * HEAD_SIZE, WIDTH)
        linear(f"{base}.attn_k", KV_HEADS * HEAD_SIZE, WIDTH)
        linear(f"{base}.attn_v", KV_HEADS * HEAD_SIZE, WIDTH)
        linear(f"{base}.attn_output", WIDTH, HEADS * HEAD_SIZE)
        linear(f"{base}.ffn_gate", INNER, WIDTH)
        linear(f"{base}.ffn_up", INNER, WIDTH)
        linear(f"{base}.ffn_down", WIDTH, INNER)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def serve(path: Path) -> xllamacpp.Server:
    """The model on one thread, with no cache but that of its one prompt."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_parallel = 1024, 512, 512, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    return xllamacpp.Server(params)


def run(server: xllamacpp.Server, tokens: np.ndarray) -> tuple[float, int]:
    """CPU milliseconds of a prompt and its first token, and how many tokens of it were not in the cache."""
    start = time.process_time()
    prompt = {"prompt": tokens.tolist(), "n_predict": 1, "cache_prompt": True, "temperature": 0}
    found = server.handle_completions(prompt)
    spent = (time.process_time() - start) * 1e3
    found = json.loads(found) if isinstance(found, str | bytes) else found
    return spent, found["timings"]["prompt_n"]


def main() -> None:
    """Prints medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", choices=WEIGHTS, default="q8_0")
    parser.add_argument("--pieces", default="85,72,72,18")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    lengths = [int(length) for length in arguments.pieces.split(",")]
    cuts = np.cumsum(lengths).tolist()
    steps = {
        "whole": (0, cuts[3]),
        "prefix": (0, cuts[0]),
        "a+b+suffix": (cuts[0], cuts[3]),
        "b+suffix": (cuts[1], cuts[3]),
        "suffix": (cuts[2], cuts[3]),
    }
    spent: dict[str, list[float]] = {step: [] for step in steps}
    drawn = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.gguf"
        write(path, WEIGHTS[arguments.weights])
        server = serve(path)
        for at in range(arguments.rounds + 1):
            for step, (first, end) in steps.items():
                # Other tokens each time, so that nothing but what was just run is in the cache.
                tokens = drawn.integers(10, VOCABULARY, end)
                if first:
                    run(server, tokens[:first])
                milliseconds, count = run(server, tokens)
                if count != end - first:
                    raise SystemExit(f"{step}: expected {end - first} tokens to be run, found {count}")
                if at:
                    spent[step].append(milliseconds)
    print(xllamacpp.get_system_info())
    print(f"{arguments.weights}: " + ", ".join(f"{step} {np.median(found):.1f}" for step, found in spent.items()))


if __name__ == "__main__":
    main()
