#!/usr/bin/env python3
"""Measures index-shards and its peers on the same vectors, in one run, one thread each, and writes a table.

    peers.py --data DIR --work DIR --geolocate BIN --out TABLE.md [--json FILE]

DIR of --data is what `geolocate bench vectors` writes. Indexes and the settings that were found are kept in --work; the
measurement is always made anew: round after round, each of which asks every peer all queries.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

import table
import tuning
from ours import Ours
from recipes import PEERS

HERE = Path(__file__).parent
LAYOUTS = ["flat", "lists"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def worker_command(verb, peer, data, work):
    return [sys.executable, HERE / "worker.py", verb, peer.key, data, work]


class Worker:
    """A process that has one peer open."""

    def __init__(self, peer, data, work):
        pipe = subprocess.PIPE
        command = worker_command("serve", peer, data, work)
        self.child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=ONE_THREAD)
        self.opened = self.answer()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended with status {self.child.wait()}")
        return json.loads(line)

    def ask(self, request):
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()


def kept(path, make):
    """What a JSON file says; made and written where it is missing."""
    if not path.exists():
        value = make()
        path.write_text(json.dumps(value) + "\n")
    return json.loads(path.read_text())


def prepare(peer, options):
    """Builds the peer and finds its settings, unless that was done before."""
    work = options.work

    def build():
        say(f"{peer.title}: building")
        command = worker_command("build", peer, options.data, work)
        built = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=ONE_THREAD)
        return json.loads(built.stdout.splitlines()[-1])

    def tune():
        say(f"{peer.title}: tuning")
        with Worker(peer, options.data, work) as worker:
            return {end: tuning.tune(worker, peer, end, options.recall) for end in ("near", "far")}

    built = kept(work / f"{peer.key}.build.json", build)
    tuned = kept(work / f"{peer.key}.tuned-{options.recall}.json", tune)
    say(f"{peer.title}: {tuned}")
    return built, tuned


def measure(peer, tuned, options):
    """One round: opens the peer, warms it up on the tuning queries, asks it the others at both ends."""
    with Worker(peer, options.data, options.work) as worker:
        round_ = {"open_ms": worker.opened["open_ms"]}
        for end, setting in tuned.items():
            at = (end, setting["outer"], setting["depth"])
            tuning.ask(worker, "time", *at, step=2)
            round_[end] = tuning.ask(worker, "time", *at, of="reported")
        round_["memory_bytes"] = round_["far"]["memory_bytes"]
        round_["both"] = {"ms": [near + far for near, far in zip(round_["near"]["ms"], round_["far"]["ms"])]}
    return round_


def summary(peer, built, tuned, rounds, options):
    """The medians over all rounds."""
    over = lambda value: statistics.median(value(round_) for round_ in rounds)
    ms = lambda end, q: over(lambda round_: float(np.quantile(round_[end]["ms"], q)))
    mean = lambda end: over(lambda round_: statistics.mean(round_[end]["ms"]))
    return {
        "key": peer.key,
        "title": peer.title,
        "settings": {end: peer.setting(tuned[end]["outer"], tuned[end]["depth"]) for end in tuned},
        "reached": all(tuned[end]["recall"] >= options.recall for end in tuned),
        "ms": {end: {"p50": ms(end, 0.5), "p99": ms(end, 0.99), "mean": mean(end)} for end in ("both", "near", "far")},
        "recall": {end: rounds[0][end]["recall"] for end in ("near", "far")},
        "open_ms": over(lambda round_: round_["open_ms"]),
        "anonymous_bytes": over(lambda round_: round_["memory_bytes"][0]),
        "file_backed_bytes": over(lambda round_: round_["memory_bytes"][1]),
        "disk_bytes": peer.size_bytes(options.work),
        "build_seconds": built["seconds"],
    }


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder written by `geolocate bench vectors`")
    parser.add_argument("--work", type=Path, required=True, help="folder for indexes; they are made once")
    parser.add_argument("--geolocate", type=Path, help="the tool; without it only peers are measured")
    parser.add_argument("--out", type=Path, required=True, help="Markdown: new, or with marks to write between")
    parser.add_argument("--json", type=Path, help="JSON to write")
    parser.add_argument("--recall", type=float, default=0.98, help="mean to reach at each end on the tuning queries")
    parser.add_argument("--rounds", type=int, default=3, help="0: build and find settings only")
    parser.add_argument("--cpu", type=int, help="run everything on this CPU")
    parser.add_argument("--peers", help="only these, by key, with commas between")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    wanted = options.peers.split(",") if options.peers else [peer.key for peer in PEERS]
    peers = [(peer, *prepare(peer, options)) for peer in PEERS if peer.key in wanted]
    ours = [Ours(layout, options) for layout in LAYOUTS] if options.geolocate else []
    for layout in ours:
        say(f"{layout.title}: building")
        layout.prepare()
    if options.rounds == 0:
        return
    rounds = {peer.key: [] for peer, _, _ in peers}
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for layout in ours:
            layout.measure()
        for peer, _, tuned in peers:
            rounds[peer.key].append(measure(peer, tuned, options))
    results = [layout.summary() for layout in ours]
    results += [summary(peer, built, tuned, rounds[peer.key], options) for peer, built, tuned in peers]
    report = {"schema": 1, "data": table.described(options), "recall": options.recall, "results": results}
    table.write(options.out, table.markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
