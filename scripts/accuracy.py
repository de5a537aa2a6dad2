#!/usr/bin/env python3
"""Prints the table of docs/accuracy.md: builds a shard of every real set, evaluates it, baselines beside it.

    make && scripts/accuracy.py [onnxruntime|tract]    # shared imagery: GEOLOCATED_SHARED, else ../shared
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("GEOLOCATED_SHARED", PROJECT.parent / "shared"))
TOOL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release/geolocate"
IMAGERY = SHARED / "imagery"
MODELS = SHARED / "encoders/mobilenetv3_small_576"

RUNTIME = ("--runtime", sys.argv[1]) if len(sys.argv) > 1 else ()

# set, split, metres
FLIGHTS = [
    ("caliterra", "split.csv", 25),
    ("caliterra", "split_sparse.csv", 25),
    ("brighton_beach", "split_lines.csv", 25),
    ("mirafiori", "split_lines.csv", 10),
]
# set, roles, metres: references are map tiles
CROSS = [
    ("cross_caliterra_ortho", "query", 25),
    ("cross_brighton_beach_ortho", "query", 25),
    ("cross_berlin_dop_west", "query,outside", 250),
]


def tool(*arguments):
    subprocess.run([TOOL, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def evaluate(title, model, references, queries, metres, folder):
    shard, report = folder / "a.shard", folder / "a.json"
    tool("build", *references, "--encoder", MODELS / model, *RUNTIME, "--out", shard)
    tool("evaluate", "--index", shard, *queries, "--encoder", MODELS / model, *RUNTIME, "--rerank", "off",
         "--overlap", "false",
         "--thresholds-m", metres, "--baseline", "colour,pixel,random", "--json", report)
    found, key = json.loads(report.read_text()), str(metres)
    recall, (low, high) = found["recall"], found["intervals"]["recall"]["1"][key]
    trivial = " / ".join(f"{found['baselines'][name]['recall']['1'][key]:.2f}" for name in ("colour", "pixel", "random"))
    outside = f"{found['outside_fixes']} of {found['outside']}" if found["outside"] else "–"
    print(f"| {title} | {found['queries']} | {metres} | {recall['1'][key]:.3f} ({low:.2f}–{high:.2f}) "
          f"| {recall['5'][key]:.3f} | {found['within_m'][key]:.3f} | {found['error_m']['p50']:.0f} "
          f"| {found['fixes']} / {found['ambiguous']} | {outside} | {trivial} |")


def main():
    for model in ("model_w8.toml", "model.toml"):
        print(f"\n`{model}`\n\n| set | queries | metres | Recall@1 (95 %) | Recall@5 | fix within | median error, m "
              "| fixes / ambiguous | outside frames with a fix | Recall@1 of colour / pixel / random |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name, split, metres in FLIGHTS:
                rows = ("--images", IMAGERY / name / "images", "--poses", IMAGERY / name / "poses.csv",
                        "--split", IMAGERY / name / split)
                title = name if split == "split.csv" else f"{name}, {split[6:-4]}"
                evaluate(title, model, (*rows, "--role", "reference"), (*rows, "--role", "query"), metres, folder)
            for name, roles, metres in CROSS:
                images = ("--images", IMAGERY / name)
                references = (*images, "--poses", IMAGERY / name / "tiles.csv")
                queries = (*images, "--poses", IMAGERY / name / "queries.csv", "--role", roles)
                evaluate(name, model, references, queries, metres, folder)


main()
