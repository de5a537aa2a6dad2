"""index-shards, asked through `geolocate bench search`."""

import json
import statistics
import subprocess

from worker import KINDS


class Ours:
    """A shard of one layout. Its settings are the defaults: both ends come from one call."""

    def __init__(self, layout, options):
        self.layout, self.options = layout, options
        self.title = f"index-shards, {layout}"
        self.key = f"ours_{layout.replace('=', '_')}"
        self.shard = options.work / f"{self.key}.shard"
        self.rounds = []

    def run(self, data, *arguments):
        queries = [f"--query-vectors={kind}={data / f'queries_{kind}.npy'}" for kind in KINDS]
        command = [self.options.geolocate, "bench", "search", *arguments, *queries, "--truth-dir", data, "--json", "-"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def prepare(self):
        self.shard.unlink(missing_ok=True)
        base = self.options.data / "base.npy"
        build = ["--vectors", base, "--layout", self.layout, "--threads", "1", "--keep", self.shard]
        self.built = self.run(self.options.data / "tuning", *build, "--rounds", "1", "--no-cold")

    def measure(self):
        self.rounds.append(self.run(self.options.data, "--index", self.shard, "--no-cold"))

    def summary(self):
        over = lambda value: statistics.median(value(round_) for round_ in self.rounds)
        ms = lambda end: {q: over(lambda round_: round_["ms"][end][q]) for q in ("p50", "p99", "mean")}
        first = self.rounds[0]
        recall = {}
        for end in ("near", "far"):
            by_kind = {kind["kind"]: kind["recall"][end] for kind in first["kinds"]}
            recall[end] = {"mean": first["recall"][end], "by_kind": by_kind}
        return {
            "key": self.key,
            "title": self.title,
            "settings": {"near": "defaults", "far": "defaults"},
            "reached": min(self.built["recall"].values()) >= self.options.recall,
            "ms": {end: ms(end) for end in ("both", "near") if end in first["ms"]},
            "recall": recall,
            "open_ms": over(lambda round_: round_["open_ms"]),
            "anonymous_bytes": over(lambda round_: round_["memory"]["anonymous_bytes"]),
            "file_backed_bytes": over(lambda round_: round_["memory"]["file_backed_bytes"]),
            "disk_bytes": first["file"]["bytes"],
            "build_seconds": self.built["build_seconds"],
        }
