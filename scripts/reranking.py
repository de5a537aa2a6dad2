#!/usr/bin/env python3
"""Prints the tables of the study in docs/reranking.md: what the built-in comparator gains, where, and at what cost.

    make && scripts/reranking.py [strategies] [where] [probes] [tracks] [real] [precision]    # all without an argument

Draws the settings' towns for the built-in models (GEOLOCATED_TOWNS keeps them, else they are drawn anew) and takes every
third frame (GEOLOCATED_EVERY); the real sets are the shared imagery (GEOLOCATED_SHARED, else ../shared), with the encoder
that lies beside it. `precision` compares with the float32 variant of the comparator that GEOLOCATED_FP32 names. Intervals
resample flights.
"""
import collections
import csv
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("GEOLOCATED_SHARED", PROJECT.parent / "shared"))
TOOL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release/geolocate"
IMAGERY = SHARED / "imagery"
REAL = SHARED / "encoders/mobilenetv3_small_576/model.toml"
SEEDS = [int(seed) for seed in os.environ.get("GEOLOCATED_SEEDS", "1001,1002,1003").split(",")]
EVERY = int(os.environ.get("GEOLOCATED_EVERY", 3))
FP32 = os.environ.get("GEOLOCATED_FP32")
CROSS_SEEDS = [seed + 10 for seed in SEEDS]
WITHIN_M = 80
RESAMPLED = 1000
# Eight references, every one compared: nothing is held back.
OPEN = {"top": 8, "probes": 0, "gate_nats": 1e9, "second_order": "always", "max_comparisons": 200}
PARTS = ("strategies", "where", "probes", "tracks", "real", "precision")
# What the comparator was not trained for is asked about shortly.
ALL = ("pointwise_yes_no", "pointwise_score", "listwise", "round_robin")
ASKED = {"easy": ("pointwise_score",), "hard": ALL, "cross_view": ALL}
BUDGETS = {"easy": (), "hard": (8, 24, 48), "cross_view": ()}


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


class Towns:
    """Towns of the settings: their maps, what is flown over them, and indexes by the built-in encoders."""

    def __init__(self, folder):
        self.folder = folder

    def _made(self, name, *arguments):
        if not (self.folder / name).exists():
            tool(*arguments, "--out", self.folder / name)
        return self.folder / name

    def map(self, seed, setting="hard"):
        tiles = self._made(f"map{seed}", "world", "tiles", "--setting", setting, "--seed", seed)
        pictures = ("--images", tiles / "images", "--poses", tiles / "poses.csv")
        return self._made(f"map{seed}.shard", "build", *pictures, "--encoder", encoder_of(setting))

    def flown(self, setting, seed):
        kind = "street" if setting == "cross_view" else "fly"
        return self._made(f"{setting}{seed}", "world", kind, "--setting", setting, "--seed", seed)


def encoder_of(setting):
    return PROJECT / "quantized-models/mini/siglip-mini-street" if setting == "cross_view" else "mini"


def answers(folder, index, pictures, strategies, options, comparator="vlm-mini", extra=()):
    """A line for each query and strategy, as `evaluate --comparisons` writes them."""
    toml, lines = folder / "rerank.toml", folder / "comparisons.jsonl"
    toml.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    tool("evaluate", "--index", index, *pictures, "--comparator", comparator, "--rerank", ",".join(strategies),
         "--rerank-options", toml, "--comparisons", lines, *extra)
    with lines.open() as file:
        return [line for line in map(json.loads, file) if not line["outside"]]


def of_setting(towns, folder, setting, strategies, options, seeds=None):
    found = []
    for seed in seeds or (CROSS_SEEDS if setting == "cross_view" else SEEDS):
        flown = towns.flown(setting, seed)
        pictures = ("--images", flown / "images", "--poses", every(flown, folder), "--encoder", encoder_of(setting))
        for line in answers(folder, towns.map(seed, setting), pictures, strategies, options):
            line["flight"] = f"{seed} {line['flight'] if setting != 'cross_view' else line['query']}"
            found.append(line)
    return found


def every(flown, folder):
    """The poses of every so manieth frame."""
    with (flown / "poses.csv").open(newline="") as file:
        table = list(csv.DictReader(file))[::EVERY]
    write(folder / "poses.csv", table)
    return folder / "poses.csv"


def write(path, table):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)


def by_similarity(line):
    """The most similar reference."""
    return line["candidates"][0]["metres"] <= WITHIN_M


def by_weight(line):
    """The reference that weighs most by retrieval, once those around it were held against the frame, too."""
    return max(line["candidates"], key=lambda found: found["log_weight"])["metres"] <= WITHIN_M


def start_of(lines):
    """What reranking must beat: the better one of the two first candidates that retrieval has."""
    return max((by_weight, by_similarity), key=lambda of: sum(map(of, lines)))


def after(line, start):
    counts = line["stopped_by"] in ("finished", "settled", "budget", "deadline") and line["order"]
    return line["candidates"][line["order"][0]]["metres"] <= WITHIN_M if counts else start(line)


def reranked(lines):
    start = start_of(lines)
    return lambda line: after(line, start)


def fix_gain(line):
    """Of the published position."""
    def is_right(metres):
        return metres is not None and metres <= WITHIN_M

    return is_right(line.get("fix_m")) - is_right(line.get("retrieved_fix_m"))


def interval(lines, value, seed=1):
    """Mean of a value over queries, and its 95 % interval by resampling flights."""
    flights = collections.defaultdict(list)
    for line in lines:
        flights[line["flight"]].append(value(line))
    sums, drawn = [(sum(values), len(values)) for values in flights.values()], random.Random(seed)
    means = []
    for _ in range(RESAMPLED):
        some = [drawn.choice(sums) for _ in sums]
        means.append(sum(total for total, _ in some) / sum(count for _, count in some))
    means.sort()
    total, count = (sum(part) for part in zip(*sums))
    return total / count, means[int(0.025 * RESAMPLED)], means[int(0.975 * RESAMPLED)]


def shown(figures, signed=False):
    form = "{:+.3f}" if signed else "{:.3f}"
    return f"{form.format(figures[0])} ({form.format(figures[1])} to {form.format(figures[2])})"


def gain(lines, of=None, start=None):
    """Of all lines, or of some of them, whose `start` is that of all."""
    start = start or start_of(lines)
    mean, low, high = interval(lines, of or (lambda line: after(line, start) - start(line)))
    return shown((mean, low, high), True) + ("" if low > 0 or high < 0 else ", no gain")


def strategies(towns, folder):
    print("\n| setting | strategy | queries | Recall@1 by similarity | by retrieval's weights | after | gain (95 %) "
          "| gain of positions (95 %) | asked |" + "\n" + "|---" * 9 + "|")
    for setting in ("easy", "hard", "cross_view"):
        found = of_setting(towns, folder, setting, ASKED[setting], OPEN)
        for word in ASKED[setting]:
            row(setting, word, [line for line in found if line["strategy"] == word])
        for budget in BUDGETS[setting]:
            options = OPEN | {"max_comparisons": budget, "second_order": "unsure"}
            row(setting, f"adaptive, {budget}", of_setting(towns, folder, setting, ["adaptive"], options))
        if setting == "hard":
            options = OPEN | {"compare": "places"}
            row(setting, "pointwise_score, places", of_setting(towns, folder, setting, ["pointwise_score"], options))
        row(setting, "adaptive, as by default", of_setting(towns, folder, setting, ["adaptive"], {}))


def row(setting, name, lines):
    asked = sum(len(line["comparisons"]) + len(line["answers"]) for line in lines) / len(lines)
    shares = " | ".join(f"{interval(lines, of)[0]:.3f}" for of in (by_similarity, by_weight, reranked(lines)))
    print(f"| {setting} | {name} | {len(lines)} | {shares} | {gain(lines)} | {gain(lines, fix_gain)} | {asked:.1f} |",
          flush=True)


def margin(line):
    """Nats between the best place and the next by retrieval."""
    heaviest = {}
    for found in line["candidates"]:
        heaviest[found["place"]] = max(heaviest.get(found["place"], -math.inf), found["log_weight"])
    first, *others = sorted(heaviest.values(), reverse=True)
    return first - max(others, default=-math.inf)


def pairs(lines):
    """Comparisons of a right with a wrong candidate: whether it is answered right, and how far off the wrong one is."""
    for line in lines:
        for asked in line["comparisons"]:
            first, second = (line["candidates"][asked[end]]["metres"] for end in ("first", "second"))
            if (first <= WITHIN_M) != (second <= WITHIN_M):
                yield {"flight": line["flight"], "right": (asked["margin"] > 0) == (first <= WITHIN_M),
                       "wrong_m": max(first, second)}


def where(towns, folder):
    lines = of_setting(towns, folder, "hard", ["round_robin"], OPEN)
    start = start_of(lines)
    print("\n| nats between the first two places by retrieval | queries | Recall@1 before | gain (95 %) |\n|---|---|---|---|")
    for low, high in ((0, 0.25), (0.25, 0.5), (0.5, 1), (1, 2), (2, 4), (4, 8), (8, math.inf)):
        some = [line for line in lines if low <= margin(line) < high]
        if some:
            print(f"| {low} to {high} | {len(some)} | {interval(some, start)[0]:.3f} | {gain(some, start=start)} |")
    print("\n| season of the frame (the map's is summer) | queries | Recall@1 before | gain (95 %) |\n|---|---|---|---|")
    for season in sorted({line["columns"].get("season", "") for line in lines}):
        some = [line for line in lines if line["columns"].get("season", "") == season]
        print(f"| {season} | {len(some)} | {interval(some, start)[0]:.3f} | {gain(some, start=start)} |")
    print("\n| the wrong candidate is so far off, m | comparisons | right (95 %) |\n|---|---|---|")
    judged = list(pairs(lines))
    for low, high in ((80, 160), (160, 320), (320, 640), (640, math.inf), (80, math.inf)):
        some = [pair for pair in judged if low < pair["wrong_m"] <= high]
        print(f"| {low} to {high} | {len(some)} | {shown(interval(some, lambda pair: pair['right']))} |")
    same, both = [], collections.defaultdict(list)
    for line in lines:
        for asked in line["comparisons"]:
            first, second = asked["first"], asked["second"]
            sign = 1 if first < second else -1
            both[line["flight"], line["query"], min(first, second), max(first, second)].append(sign * asked["margin"])
    for (flight, *_), margins in both.items():
        if len(margins) == 2:
            same.append({"flight": flight, "same": (margins[0] > 0) == (margins[1] > 0)})
    print(f"\nThe same answer in both orders: {shown(interval(same, lambda pair: pair['same']))} of {len(same)} pairs.")
    print(f"Right of eight at most: {interval(lines, reachable)[0]:.3f}.")


def reachable(line):
    compared = sorted(line["candidates"], key=lambda found: -found["log_weight"])[: OPEN["top"]]
    return any(found["metres"] <= WITHIN_M for found in compared)


def auroc(values):
    right, wrong = ([value for value, is_right in values if is_right == word] for word in (True, False))
    if not right or not wrong:
        return math.nan
    ranked, below = sorted((value, is_right) for value, is_right in values), 0
    wins = 0
    for _, is_right in ranked:
        below += not is_right
        wins += below * is_right
    return wins / (len(right) * len(wrong))


def probes(towns, folder):
    print("\n| dissimilar references | queries | AUROC of the probe, leader right or wrong | passed, right leaders | passed, wrong |")
    print("|---|---|---|---|---|")
    seed = SEEDS[0]
    flown = towns.flown("hard", seed)
    pictures = ("--images", flown / "images", "--poses", every(flown, folder), "--encoder", "mini")
    for way in ("farthest", "random", "centroid", "far_in_window"):
        lines = answers(folder, towns.map(seed), pictures, ["adaptive"], OPEN | {"probes": 2, "max_comparisons": 2},
                        extra=("--dissimilar", way))
        asked = [line for line in lines if line.get("probe")]
        values = [(sum(line["probe"]["margins"]) / len(line["probe"]["margins"]), by_weight(line)) for line in asked]
        passed = {word: [line["probe"]["passed"] for line in asked if by_weight(line) == word] for word in (True, False)}
        shares = [f"{sum(found) / max(1, len(found)):.3f}" for found in passed.values()]
        print(f"| {way} | {len(asked)} | {auroc(values):.3f} | {shares[0]} | {shares[1]} |", flush=True)


def tracks(towns, folder):
    """Frames of a flight at other speeds: the same places, other times."""
    print("\n| m/s | answers | track within 80 m | median error, m | 95 %, m |\n|---|---|---|---|---|")
    seed = SEEDS[0]
    flown = towns.flown("hard", seed)
    with (flown / "poses.csv").open(newline="") as file:
        table = [row for row in csv.DictReader(file) if int(row["flight"]) % max(1, EVERY // 2) == 0]
    for speed in (2, 5, 15):
        paced(table, speed, folder / "paced.csv")
        for name, rerank in (("retrieved", ("--rerank", "off")), ("reranked", ("--comparator", "vlm-mini"))):
            tool("evaluate", "--index", towns.map(seed), "--images", flown / "images", "--poses", folder / "paced.csv",
                 "--encoder", "mini", "--sequence", *rerank, "--thresholds-m", WITHIN_M, "--json", folder / "report.json")
            track = json.loads((folder / "report.json").read_text())["sequence"]["track"]
            print(f"| {speed} | {name} | {track['within_m'][str(WITHIN_M)]:.3f} | {track['error_m']['p50']:.1f} "
                  f"| {track['error_m']['p95']:.0f} |", flush=True)


def paced(table, speed_m_s, path):
    rows, last, now_s = [], None, 0.0
    for row in table:
        here = row["flight"], float(row["lat"]), float(row["lon"])
        if last and last[0] == here[0]:
            north, east = (here[1] - last[1]) * 111195, (here[2] - last[2]) * 111195 * math.cos(math.radians(here[1]))
            now_s += max(0.2, math.hypot(north, east) / speed_m_s)
        else:
            now_s += 3600
        last = here
        seconds = int(now_s)
        stamp = f"2026-01-{1 + seconds // 86400:02}T{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{now_s % 60:06.3f}Z"
        rows.append(row | {"time": stamp})
    write(path, rows)


def real(_towns, folder):
    print("\n| set | metres | queries | Recall@1 by similarity | by retrieval's weights | after, all compared | gain (95 %) "
          "| after, by default | gain (95 %) | gain of positions (95 %) |\n" + "|---" * 10 + "|")
    global WITHIN_M
    sets = [("caliterra", "poses.csv", 25, "split.csv"), ("caliterra", "poses.csv", 25, "split_sparse.csv"),
            ("cross_caliterra_ortho", "queries.csv", 25, None), ("cross_brighton_beach_ortho", "queries.csv", 25, None),
            ("cross_berlin_dop_west", "queries.csv", 250, None)]
    for name, poses, metres, split in sets:
        WITHIN_M, images = metres, IMAGERY / name / ("images" if split else "")
        shard = folder / f"{name}{split}.shard"
        references = ("--poses", IMAGERY / name / ("poses.csv" if split else "tiles.csv"))
        chosen = ("--split", IMAGERY / name / split) if split else ()
        role = ("--role", "reference") if split else ()
        tool("build", "--images", images, *references, *chosen, *role, "--encoder", REAL, "--out", shard)
        pictures = ("--images", images, "--poses", IMAGERY / name / poses, *chosen, "--role", "query", "--encoder", REAL)
        cells = []
        for options in (OPEN, {}):
            lines = answers(folder, shard, pictures, ["adaptive"], options)
            for line in lines:
                line["flight"] = line["query"]
            cells.append(f"{interval(lines, reranked(lines))[0]:.3f} | {gain(lines)}")
        print(f"| {name}{', sparse' if split == 'split_sparse.csv' else ''} | {metres} | {len(lines)} "
              f"| {interval(lines, by_similarity)[0]:.3f} | {interval(lines, by_weight)[0]:.3f} | {' | '.join(cells)} "
              f"| {gain(lines, fix_gain)} |", flush=True)


def precision(towns, folder):
    """Signs of the margins of right against wrong candidates, by 8-bit and by float32 weights."""
    if not FP32:
        return
    seed = SEEDS[0]
    flown = towns.flown("hard", seed)
    pictures = ("--images", flown / "images", "--poses", every(flown, folder), "--encoder", "mini")
    found = []
    for comparator in ("vlm-mini", FP32):
        margins = {}
        for line in answers(folder, towns.map(seed), pictures, ["round_robin"], OPEN, comparator):
            for asked in line["comparisons"]:
                first, second = (line["candidates"][asked[end]]["metres"] for end in ("first", "second"))
                if (first <= WITHIN_M) != (second <= WITHIN_M):
                    margins[line["flight"], line["query"], asked["first"], asked["second"]] = asked["margin"]
        found.append(margins)
    eight, exact = found
    pairs = [{"flight": key[0], "same": (eight[key] > 0) == (exact[key] > 0)} for key in eight.keys() & exact.keys()]
    print(f"\nThe same answer by 8-bit and float32 weights: {shown(interval(pairs, lambda pair: pair['same']))} of "
          f"{len(pairs)} comparisons of a right with a wrong candidate.")


def main():
    parts = sys.argv[1:] or PARTS
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"expected parts of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        kept = pathlib.Path(os.environ.get("GEOLOCATED_TOWNS", folder / "towns"))
        kept.mkdir(parents=True, exist_ok=True)
        for part in parts:
            globals()[part](Towns(kept), folder)


main()
