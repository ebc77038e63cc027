"""Pre-trains the tiny Qwen2 on the text and tasks of `make.corpus`, from scratch or from an earlier model.

In: a seed and a number of steps. Out: a model folder that transformers, LLaMA-Factory and vLLM read as any Qwen2.5-Instruct (bf16 weights, tokenizer,
chat template), with its loss curve as `loss.csv` and `loss.png`. The files replace those of the same name when all are written.

    PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.pretrain --out models/tiny-qwen2
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from make.corpus import Sample, make_sample, passage
from make.vocabulary import build_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORED = -100
REPETITIONS = 300  # steps of the first lesson
EASY = 0.15  # share of the later steps that have short texts only


@dataclass(frozen=True)
class Settings:
    """The settings of a pre-training. The defaults are those of the first of three calls that made the embedded model; its README lists all three."""

    steps: int = 5500
    seed: int = 42
    tokens: int = 4096  # a batch's tokens, padding included: more is steadier and slower
    rate: float = 3e-3  # peak learning rate
    warmup: int = 100
    longest: int = 50  # characters of a text that isn't a paragraph
    paragraphs: float = 0.04  # share of samples that are paragraphs
    reading: float = 0.4  # share of samples that are plain text, once the easy lessons are over
    start: Path | None = None  # an earlier model to go on from; the first lesson is left out
    compile: bool = False


def build_model(tokenizer: Any, seed: int) -> Any:
    """Returns a Qwen2 of 3.8 million parameters with random weights. The vocabulary is padded to a multiple of 64."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    start = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    ids = {"bos_token_id": start, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=256,
        intermediate_size=448,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        use_sliding_window=False,
        **ids,
    )
    model = Qwen2ForCausalLM(config)
    look_back(model)
    model.generation_config = GenerationConfig(**{**ids, "eos_token_id": [tokenizer.eos_token_id, start]})
    return model


def look_back(model: Any, strength: float = 4.0) -> None:
    """Sets two heads of the first layer to look at the previous token and at the one before it.

    Copying needs such a head, and a small model takes thousands of steps to find it by chance. With rotary positions two biases are enough: the key's is constant, the
    query's is turned back by one token or by two.
    """
    import torch

    attention = model.model.layers[0].self_attn
    turn = model.model.rotary_emb.inv_freq
    half = len(turn)
    with torch.no_grad():
        attention.k_proj.bias[:half] = strength
        for head in (0, 1):
            start = 2 * half * head
            attention.q_proj.bias[start : start + half] = strength * torch.cos((head + 1) * turn)
            attention.q_proj.bias[start + half : start + 2 * half] = -strength * torch.sin((head + 1) * turn)


def load_model(folder: Path) -> Any:
    """Returns a model that an earlier call wrote, in float32 for further training."""
    import torch
    from transformers import Qwen2ForCausalLM

    return Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)


def encode(tokenizer: Any, samples: list[Sample]) -> list[tuple[list[int], int]]:
    """Returns each sample's token ids, and the number of prompt tokens at their start, which aren't learned."""
    pairs = zip(
        tokenizer([sample.given for sample in samples])["input_ids"], tokenizer([sample.learned for sample in samples])["input_ids"], strict=True
    )
    return [(head + tail, len(head)) for head, tail in pairs]


def repetitions(tokenizer: Any, settings: Settings) -> Iterator[tuple[Any, Any]]:
    """Yields the first lesson's batches: rows of 6 to 40 random tokens that repeat. All but the first round is learned; copying is learned within 200 steps."""
    import torch

    rng = random.Random(settings.seed)
    for _ in range(0 if settings.start else min(REPETITIONS, settings.steps)):
        targets = torch.full((settings.tokens // 256, 128), IGNORED)
        rows = []
        for target in targets:
            length = rng.randint(6, 40)
            rows.append((rng.choices(range(len(tokenizer)), k=length) * 22)[:129])
            target[length:] = torch.tensor(rows[-1][length + 1 :])
        yield torch.tensor(rows)[:, :-1], targets


def lesson(rng: random.Random, progress: float, settings: Settings) -> Sample:
    """Returns a sample of the later lessons at `progress` (0 to 1): tasks on short texts first, then on longer ones and paragraphs, and plain text."""
    if progress >= EASY and rng.random() < settings.reading:
        return passage(rng, rng.randint(10, 120))
    if progress >= EASY and rng.random() < settings.paragraphs:
        return make_sample(rng, rng.randint(80, 200))
    return make_sample(rng, rng.randint(6, 40 if progress < EASY else settings.longest))


def tasks(tokenizer: Any, settings: Settings) -> Iterator[tuple[Any, Any]]:
    """Yields batches of about `settings.tokens` tokens, of samples of similar length, in random order within each 1,024 samples."""
    rng = random.Random(settings.seed)
    steps = settings.steps - (0 if settings.start else REPETITIONS)
    made = 0
    while made < steps:
        samples = [lesson(rng, made / steps, settings) for _ in range(1024)]
        encoded = sorted((pair for pair in encode(tokenizer, samples) if len(pair[0]) <= 1024), key=lambda pair: len(pair[0]))
        ready: list[list[tuple[list[int], int]]] = [[]]
        for pair in encoded:
            if ready[-1] and (len(ready[-1]) + 1) * len(pair[0]) > settings.tokens:
                ready.append([])
            ready[-1].append(pair)
        rng.shuffle(ready)
        yield from (collate(batch, tokenizer.pad_token_id) for batch in ready[: steps - made])
        made += len(ready)


def collate(batch: list[tuple[list[int], int]], pad: int) -> tuple[Any, Any]:
    """Returns input ids, padded on the right to a multiple of 8, and the target of every position (`IGNORED` where nothing is learned)."""
    import torch

    width = -(-max(len(ids) for ids, _ in batch) // 8) * 8
    inputs = torch.full((len(batch), width), pad)
    targets = torch.full((len(batch), width), IGNORED)
    for row, (ids, prompt) in enumerate(batch):
        inputs[row, : len(ids)] = torch.tensor(ids)
        targets[row, prompt - 1 : len(ids) - 1] = torch.tensor(ids[prompt:])
    return inputs, targets


def answer_loss(model: Any, inputs: Any, targets: Any) -> tuple[Any, Any]:
    """Returns the cross-entropy over the learned tokens, and the share of them that is predicted right.

    No attention mask is needed: the padding is on the right, and causal attention looks left.
    """
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state
        learned = targets != IGNORED
        logits = model.lm_head(hidden[learned])
    loss = torch.nn.functional.cross_entropy(logits.float(), targets[learned])
    return loss, (logits.argmax(-1) == targets[learned]).float().mean()


def build_optimizers(model: Any, settings: Settings) -> list[Any]:
    """Returns Muon for the layers' matrices, which learns copying in far fewer steps than AdamW, and AdamW for embeddings, norms and biases."""
    import torch

    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=settings.rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=settings.rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def schedule(step: int, settings: Settings) -> float:
    """Returns the learning rate's factor: linear warm-up, a constant part, and a linear fall to zero over the last 40 %."""
    return min((step + 1) / settings.warmup, 1.0, (settings.steps - step) / (0.4 * settings.steps))


def train(model: Any, tokenizer: Any, settings: Settings) -> list[tuple[int, float, float, float]]:
    """Trains the model in place. Returns (step, loss, share of right tokens, seconds so far) for each 25 steps, averaged."""
    import torch
    from tqdm import tqdm

    optimizers = build_optimizers(model, settings)
    if settings.compile:
        model.model.compile(dynamic=True)
    curve: list[tuple[int, float, float, float]] = []
    recent: list[tuple[float, float]] = []
    start = time.monotonic()
    lessons = itertools.chain(repetitions(tokenizer, settings), tasks(tokenizer, settings))
    bar = tqdm(lessons, total=settings.steps, unit="step")
    for step, (inputs, targets) in enumerate(bar):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * schedule(step, settings)
        loss, right = answer_loss(model, inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        recent.append((loss.item(), right.item()))
        if len(recent) == 25:
            averages = [math.fsum(column) / len(recent) for column in zip(*recent, strict=True)]
            curve.append((step + 1, round(averages[0], 4), round(averages[1], 4), round(time.monotonic() - start, 1)))
            bar.set_postfix(loss=averages[0], right=averages[1])
            recent.clear()
    return curve


def continued(before: Path, curve: list[tuple[int, float, float, float]]) -> list[tuple[int, float, float, float]]:
    """Returns the earlier model's curve followed by this one's, whose steps and seconds are counted on."""
    with before.open(encoding="utf-8") as file:
        earlier = [(int(step), float(loss), float(right), float(seconds)) for step, loss, right, seconds in list(csv.reader(file))[1:]]
    steps, _, _, seconds = earlier[-1]
    return earlier + [(step + steps, loss, right, round(spent + seconds, 1)) for step, loss, right, spent in curve]


def write_curve(curve: list[tuple[int, float, float, float]], folder: Path) -> None:
    """Writes the loss curve as `loss.csv` and `loss.png`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with (folder / "loss.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("step", "loss", "right_tokens", "seconds"))
        rows.writerows(curve)
    figure = Figure(figsize=(6, 3), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([row[0] for row in curve], [row[1] for row in curve], label="loss")
    axes.plot([row[0] for row in curve], [row[2] for row in curve], label="share of right tokens")
    axes.set(xlabel="step", ylim=(0, 7), title="tiny-qwen2, answers' tokens only")
    axes.legend()
    FigureCanvasAgg(figure).print_png(str(folder / "loss.png"))


def save(model: Any, tokenizer: Any, curve: list[tuple[int, float, float, float]], out: Path) -> None:
    """Writes everything to a temporary folder beside `out`, then moves it file by file into `out`."""
    import torch

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        folder = Path(name)
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if curve:
            write_curve(curve, folder)
        for file in sorted(folder.iterdir()):
            file.chmod(0o644)
            os.replace(file, out / file.name)


def main() -> None:
    """Pre-trains the tiny base model."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m make.pretrain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--steps", type=int, default=Settings.steps, help="0 writes the untrained model")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--tokens", type=int, default=Settings.tokens, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=Settings.rate, help="peak learning rate")
    parser.add_argument("--longest", type=int, default=Settings.longest, help="characters of a text")
    parser.add_argument("--paragraphs", type=float, default=Settings.paragraphs, help="share of texts that are longer")
    parser.add_argument("--reading", type=float, default=Settings.reading, help="share of samples that are plain text")
    parser.add_argument("--start", type=Path, help="go on from this model instead of random weights")
    parser.add_argument("--compile", action="store_true", help="compile the model first (needs a C++ compiler)")
    args = parser.parse_args()
    words = {key: value for key, value in vars(args).items() if key != "out"}
    settings = Settings(**words)
    tokenizer = build_tokenizer()
    model = load_model(settings.start) if settings.start else build_model(tokenizer, settings.seed)
    curve = train(model, tokenizer, settings) if settings.steps else []
    if settings.start and (settings.start / "loss.csv").is_file():  # an untrained model has none
        curve = continued(settings.start / "loss.csv", curve)
    save(model, tokenizer, curve, args.out)


if __name__ == "__main__":
    main()
