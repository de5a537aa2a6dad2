"""A child process with one peer.

    worker.py build PEER DATA WORK   builds it and prints the CPU seconds as JSON
    worker.py serve PEER DATA WORK   opens it and answers requests, one JSON object a line on standard input and output

One peer a process: libraries bring runtimes that do not go together, and the memory of the process is then the peer's;
what is held before the peer is opened (Python, the library, queries) is subtracted.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from recipes import PEERS

KINDS = ["revisit", "new_track", "shifted", "foreign"]


class Questions:
    """The queries of a folder, kind after kind, and the truth about them."""

    def __init__(self, folder):
        load = lambda name: [np.load(Path(folder) / f"{name}_{kind}.npy") for kind in KINDS]
        parts = load("queries")
        self.queries = np.concatenate(parts)
        self.kind = np.repeat(KINDS, [len(part) for part in parts])
        self.truth = {end: np.concatenate(load(f"truth_{end}")) for end in ("near", "far")}
        self.k = self.truth["near"].shape[1]

    def asked(self, end):
        return self.queries if end == "near" else -self.queries

    def recall(self, end, found):
        hits = [len(np.intersect1d(rows, truth)) / self.k for rows, truth in zip(found, self.truth[end])]
        by_kind = {kind: float(np.mean([h for h, k in zip(hits, self.kind) if k == kind])) for kind in KINDS}
        return {"mean": float(np.mean(hits)), "by_kind": by_kind}


def memory_bytes(process_id):
    """Anonymous and file-backed memory of a process."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split(":")[1] for line in lines if line.startswith("Rss")}
    return [int(values[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile")]


def main():
    verb, key, data, work = sys.argv[1:]
    peer = next(peer for peer in PEERS if peer.key == key)
    if verb == "build":
        seconds = peer.build(np.load(Path(data) / "base.npy", mmap_mode="r"), work)
        print(json.dumps({"seconds": seconds}), flush=True)
    else:
        serve(peer, data, work)


def serve(peer, data, work):
    sets = {"tuning": Questions(Path(data) / "tuning"), "reported": Questions(data)}
    if peer.library:
        importlib.import_module(peer.library)
    before = memory_bytes("self") if peer.library else [0, 0]
    start = time.perf_counter()
    peer.open(work)
    open_ms = (time.perf_counter() - start) * 1e3
    used = lambda: [now - then for now, then in zip(memory_bytes(peer.process_id()), before)]
    print(json.dumps({"open_ms": open_ms, "memory_bytes": used()}), flush=True)
    for line in sys.stdin:
        print(json.dumps({**answer(peer, sets, json.loads(line)), "memory_bytes": used()}), flush=True)


def answer(peer, sets, request):
    questions, end, step = sets[request["set"]], request["end"], request.get("step", 1)
    peer.set(request["outer"], request["depth"])
    asked = questions.asked(end)
    if request["do"] == "recall":
        return {"recall": questions.recall(end, peer.search(asked, questions.k))}
    found, times_ms = peer.timed(np.ascontiguousarray(asked[::step]), questions.k)
    return {"ms": times_ms, **({"recall": questions.recall(end, found)} if step == 1 else {})}


if __name__ == "__main__":
    main()
