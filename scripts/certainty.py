#!/usr/bin/env python3
"""Prints the tables of docs/accuracy.md about places, certainty, the track, hints and doubtful labels.

    make && scripts/certainty.py [places] [certainty] [track] [calibrated_track] [hints] [labels]   # all without an argument

Draws towns of our own for the built-in encoder (GEOLOCATED_TOWNS keeps them, else they are drawn anew); the real sets are
the shared imagery (GEOLOCATED_SHARED, else ../shared), with the encoder that lies beside it.
"""
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
# As --setting hard, but more flights, and half of them leave the map: a promise about frames from outside takes flights.
HARD = ("--size-m", 2080, "--unlike", "much", "--oblique", 0, "--flights", 120, "--frames", 25, "--leaving", 0.5)
PARTS = ("places", "certainty", "track", "calibrated_track", "hints", "labels")


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, table):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)


class Towns:
    """Towns of our own: their maps, flights over them, and indexes by the built-in encoder."""

    def __init__(self, folder):
        self.folder = folder

    def _made(self, name, *arguments):
        if not (self.folder / name).exists():
            tool(*arguments, "--out", self.folder / name)
        return self.folder / name

    def map(self, seed):
        tiles = self._made(f"map{seed}", "world", "tiles", "--setting", "hard", "--seed", seed)
        pictures = ("--images", tiles / "images", "--poses", tiles / "poses.csv")
        return self._made(f"map{seed}.shard", "build", *pictures, "--encoder", "mini")

    def setting(self, name, seed):
        return self._made(f"{name}{seed}", "world", "fly", "--setting", name, "--seed", seed)

    def flights(self, seed):
        return self._made(f"flights{seed}", "world", "fly", "--seed", seed, *HARD)

    def queries(self, seed):
        flights = self.flights(seed)
        pictures = ("--images", flights / "images", "--poses", flights / "poses.csv", "--role", "query")
        return self._made(f"flights{seed}.shard", "build", *pictures, "--encoder", "mini")


def evaluate(folder, *arguments):
    tool("evaluate", *arguments, "--json", folder / "report.json")
    return json.loads((folder / "report.json").read_text())


def flown(flights):
    return ("--encoder", "mini", "--images", flights / "images", "--poses", flights / "poses.csv")


def real_sets(folder):
    """Name, metres, arguments of `evaluate` for each real set."""
    for name, split, metres in (("caliterra", "split.csv", 25), ("caliterra", "split_sparse.csv", 25)):
        pictures = ("--images", IMAGERY / name / "images", "--poses", IMAGERY / name / "poses.csv",
                    "--split", IMAGERY / name / split)
        shard = folder / f"{name}{split}.shard"
        tool("build", *pictures, "--role", "reference", "--encoder", REAL, "--out", shard)
        yield (name if split == "split.csv" else f"{name}, sparse", metres,
               ("--index", shard, *pictures, "--role", "query", "--encoder", REAL))
    for name, metres, roles in (("cross_caliterra_ortho", 25, "query"), ("cross_brighton_beach_ortho", 25, "query"),
                                ("cross_berlin_dop_west", 250, "query,outside")):
        pictures, shard = ("--images", IMAGERY / name), folder / f"{name}.shard"
        tool("build", *pictures, "--poses", IMAGERY / name / "tiles.csv", "--encoder", REAL, "--out", shard)
        yield (name, metres, ("--index", shard, *pictures, "--poses", IMAGERY / name / "queries.csv",
                              "--role", roles, "--encoder", REAL))


def places(towns, folder):
    print("\n| set | metres | each alone, `sharpness` 24 | together, 24 | 36 | 48 | 72 |\n|---|---|---|---|---|---|---|")
    sets = list(real_sets(folder))
    for seed in (1001, 1002):
        flights = towns.setting("hard", seed)
        sets.append((f"hard, {seed}", 80, ("--index", towns.map(seed), *flown(flights))))
    for name, metres, arguments in sets:
        cells = []
        for overlap, sharpness in (("false", 24), ("true", 24), ("true", 36), ("true", 48), ("true", 72)):
            found = evaluate(folder, *arguments, "--rerank", "off", "--thresholds-m", metres, "--overlap", overlap,
                             "--sharpness", sharpness)
            outside = f", {found['outside_fixes']} of {found['outside']}" if found["outside"] else ""
            cells.append(f"{found['within_m'][str(metres)]:.3f}, {found['error_m'].get('p50', math.nan):.1f} m{outside}")
        print(f"| {name} | {metres} | " + " | ".join(cells) + " |")


def certainty_row(title, folder, index, fit, test, risk, extra=()):
    calibration = folder / "calibration.toml"
    try:
        tool("calibrate", "--index", index, *fit, "--risk", risk, "--out", calibration, *extra)
    except RuntimeError as refused:
        print(f"| {title} | {risk} | refused: {str(refused).split('expected')[-1].split(':')[0].strip()} ||||||||")
        return
    found = evaluate(folder, "--index", index, *test, "--calibration", calibration, "--rerank", "off", *extra)
    abstention, intervals = found["abstention"], found["radius_coverage_intervals"]
    area, right = abstention["auroc"], abstention["auroc_right"]
    curve = {name: max((at["coverage"] for at in points if at["outside"] <= 0.05), default=0.0)
             for name, points in abstention["risk_coverage"].items()}
    radius = " | ".join(f"{found[f'radius_{level}_coverage']:.3f} ({intervals[level][0]:.2f}–{intervals[level][1]:.2f})"
                        for level in ("68", "95"))
    print(f"| {title} | {risk} | {abstention['inside_fixes']:.3f} | {abstention.get('outside_fixes', math.nan):.3f} "
          f"| {abstention['right_share']:.3f} | {radius} "
          f"| {found['radius_68_m']['p50']:.0f} / {found['radius_95_m']['p50']:.0f} m "
          f"| {area['mapped']:.3f} / {area['confidence']:.3f} / {area['cosine']:.3f} "
          f"| {right['confidence']:.3f} / {right['cosine']:.3f} "
          f"| {curve['mapped']:.2f} / {curve['confidence']:.2f} / {curve['cosine']:.2f} "
          f"| {abstention['calibration_error']:.3f} |")


def certainty(towns, folder):
    print("\n| fitted, tested on | risk | mapped frames with a fix | outside frames with a fix | of the fixes right (50 m) "
          "| radius 68 % holds | radius 95 % holds | median radii | AUROC mapped against outside: mapped / confidence / "
          "cosine | AUROC right against all others: confidence / cosine | mapped frames with a fix where 5 of 100 "
          "outside frames have one: mapped / confidence / cosine | calibration error |")
    print("|---" * 12 + "|")
    index = f"{towns.map(1001)},{towns.map(1002)}"
    for fit, test in ((1001, 1002), (1002, 1001)):
        for risk in (0.05, 0.1):
            certainty_row(f"{fit}, {test}", folder, index, flown(towns.flights(fit)), flown(towns.flights(test)), risk)
    name, shard = "cross_berlin_dop_west", folder / "berlin.shard"
    tool("build", "--images", IMAGERY / name, "--poses", IMAGERY / name / "tiles.csv", "--encoder", REAL, "--out", shard)
    queries = rows(IMAGERY / name / "queries.csv")
    sides = []
    for odd in (0, 1):
        poses = folder / f"berlin{odd}.csv"
        write(poses, queries[odd::2])
        sides.append(("--encoder", REAL, "--images", IMAGERY / name, "--poses", poses))
    for risk in (0.05, 0.1, 0.2):
        certainty_row("Berlin, every other frame", folder, shard, sides[0], sides[1], risk)


def track(towns, folder):
    print("\n| flights | what is published | positions | median error, m | 95 % | within 80 m, of all frames "
          "| from the eleventh frame on | holds the truth (`radius_95_m`, median) | ms a frame, median / 95 % |")
    print("|---" * 9 + "|")
    for name in ("hard", "easy"):
        for seed in (1001, 1002):
            flights = towns.setting(name, seed)
            found = evaluate(folder, "--index", towns.map(seed), *flown(flights), "--role", "query,outside", "--sequence",
                             "--thresholds-m", "80")["sequence"]
            for title, way in (("single fixes", "single"), ("track", "track")):
                own, late = found[way], found["after_ten"][way]
                last = ("–", "–")
                if way == "track":
                    last = (f"{found['radius_95_coverage']:.3f} ({found['radius_95_m']['p50']:.0f} m)",
                            f"{found['ms']['p50']:.2f} / {found['ms']['p95']:.2f}")
                print(f"| {name} {seed}: {found['flights']} flights, {found['frames']} frames | {title} "
                      f"| {own['positions']} | {own['error_m']['p50']:.1f} | {own['error_m']['p95']:.0f} "
                      f"| {own['within_m']['80']:.3f} | {late['within_m']['80']:.3f} | {last[0]} | {last[1]} |")


def calibrated_track(towns, folder):
    """Tracks over one town with a calibration that was fitted over the other one."""
    print("\n| seed | with | single fixes: median error, m | positions of the track | median error, m | 95 % | within 80 m, of "
          "all frames | from the eleventh frame on | holds the truth (`radius_95_m`, median) | positions outside (within 80 m) |")
    print("|---" * 10 + "|")
    index, calibration = f"{towns.map(1001)},{towns.map(1002)}", folder / "calibration.toml"
    for fit, test in ((1002, 1001), (1001, 1002)):
        for hints in ((), ("--hints", "attitude")):
            tool("calibrate", "--index", index, *flown(towns.flights(fit)), "--risk", 0.1, "--out", calibration, *hints)
            for with_it in ((), ("--calibration", calibration)):
                found = evaluate(folder, "--index", index, *flown(towns.setting("hard", test)), "--role", "query,outside",
                                 "--sequence", "--rerank", "off", "--thresholds-m", "80", *hints, *with_it)["sequence"]
                own, late = found["track"], found["after_ten"]["track"]
                names = (["attitude"] if hints else []) + (["calibration"] if with_it else [])
                print(f"| {test} | {', '.join(names) or '–'} | {found['single']['error_m']['p50']:.1f} | {own['positions']} "
                      f"| {own['error_m']['p50']:.1f} | {own['error_m']['p95']:.0f} | {own['within_m']['80']:.3f} "
                      f"| {late['within_m']['80']:.3f} "
                      f"| {found['radius_95_coverage']:.3f} ({found['radius_95_m']['p50']:.0f} m) "
                      f"| {found['outside_positions']} of {found['outside']} ({found['outside_within_m']['80']:.2f}) |", flush=True)


def hints(towns, folder):
    flights = towns.setting("hard", 1001)
    drawn, table = random.Random(7), rows(flights / "poses.csv")
    for row in table:  # a prior of 200 m that holds the truth in 95 of 100
        east, north = (drawn.gauss(0, 200 / 2.4477) for _ in range(2))
        latitude = float(row["lat"])
        row["prior_lat"] = f"{latitude + north / 111195:.7f}"
        row["prior_lon"] = f"{float(row['lon']) + east / 111195 / math.cos(math.radians(latitude)):.7f}"
        row["prior_radius_m"] = "200"
    write(folder / "prior.csv", table)
    print("\n| option | Recall@1 | @5 | fix within 80 m | median error, m | fixes | outside with a fix |\n" + "|---" * 7 + "|")
    for option in ((), ("--hints", "heading"), ("--hints", "altitude"), ("--hints", "heading,altitude"),
                   ("--hints", "prior"), ("--hints", "attitude"), ("--centre",)):
        found = evaluate(folder, "--index", towns.map(1001), "--encoder", "mini", "--images", flights / "images",
                         "--poses", folder / "prior.csv", "--rerank", "off", "--thresholds-m", 80, *option)
        print(f"| {' '.join(option) or '–'} | {found['recall']['1']['80']:.3f} | {found['recall']['5']['80']:.3f} "
              f"| {found['within_m']['80']:.3f} | {found['error_m']['p50']:.1f} | {found['fixes']} "
              f"| {found['outside_fixes']} of {found['outside']} |")


def labels(towns, folder):
    index = f"{towns.map(1001)},{towns.map(1002)}"
    tool("calibrate", "--index", index, *flown(towns.flights(1001)), "--risk", 0.1, "--out", folder / "calibration.toml")
    tool("bench", "labels", "--index", index, "--queries", towns.queries(1002), "--calibration",
         folder / "calibration.toml", "--json", folder / "labels.json")
    print("\n| wrong | suspects | precision | recall | fixes | median error, m | radius 68 % holds | radius 95 % holds |")
    print("|---" * 8 + "|")
    for at in json.loads((folder / "labels.json").read_text())["shares"]:
        found, fixes = at["found"][2], at["fixes"]
        print(f"| {at['share'] * 100:.0f} % | {found['suspects']} | {found['precision']:.3f} | {found['recall']:.3f} "
              f"| {fixes['fixes']} | {fixes['error_m']['p50']:.1f} | {fixes['radius_68_coverage']:.3f} "
              f"| {fixes['radius_95_coverage']:.3f} |")


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
