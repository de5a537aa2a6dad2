"""The Markdown table of a run."""

import platform
from pathlib import Path

import numpy as np

from worker import KINDS

MIB = 1 << 20
HEAD = (
    "| | both ends ms p50 / p99 / mean | near p50 | far p50 | open ms | anonymous MiB | file-backed MiB | disk MiB "
    "| build CPU s |"
)
RECALL_HEAD = "| recall@{k} near / far | mean | " + " | ".join(KINDS) + " | settings near; far |"


BEGIN, END = "<!-- peers: begin -->\n", "<!-- peers: end -->\n"


def write(path, text):
    """Replaces what stands between the marks in a document; a file that is new or has no marks becomes the table."""
    before, mark, rest = path.read_text().partition(BEGIN) if path.exists() else ("", "", "")
    after = rest.partition(END)[2]
    path.write_text(f"{before}{mark}{text}{END}{after}" if mark else text)


def described(options):
    """What was measured on which CPU."""
    rows, dimensions = np.load(options.data / "base.npy", mmap_mode="r").shape
    queries, k = np.load(options.data / f"truth_near_{KINDS[0]}.npy", mmap_mode="r").shape
    return {"rows": rows, "dimensions": dimensions, "queries": queries, "k": k, "rounds": options.rounds, "cpu": cpu()}


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def markdown(report):
    data, results = report["data"], report["results"]
    lines = [
        f"{data['rows']:,} x {data['dimensions']}, {data['k']} nearest and {data['k']} farthest, one thread of "
        f"{data['cpu']}, {data['queries']} queries of each kind, medians of {data['rounds']} rounds over all rows of "
        f"this table; settings chosen on other queries for a mean recall of {report['recall']} at each end:",
        "",
        HEAD,
        "|" + "---|" * (HEAD.count("|") - 1),
        *map(row, results),
        "",
        RECALL_HEAD.format(k=data["k"]),
        "|" + "---|" * (RECALL_HEAD.count("|") - 1),
        *(recall_row(result, report["recall"]) for result in results),
    ]
    return "\n".join(lines) + "\n"


def row(result):
    ms = lambda end, q: f"{result['ms'][end][q]:.2f}" if end in result["ms"] else ""
    size = lambda name: f"{result[name] / MIB:,.1f}" if result[name] < 10 * MIB else f"{result[name] / MIB:,.0f}"
    cells = [
        result["title"],
        f"{ms('both', 'p50')} / {ms('both', 'p99')} / {ms('both', 'mean')}",
        ms("near", "p50"),
        ms("far", "p50"),
        f"{result['open_ms']:.2f}",
        size("anonymous_bytes"),
        size("file_backed_bytes"),
        size("disk_bytes"),
        f"{result['build_seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def recall_row(result, wanted):
    near, far = result["recall"]["near"], result["recall"]["far"]
    pair = lambda near, far: f"{near:.3f} / {far:.3f}"
    kinds = [pair(near["by_kind"][kind], far["by_kind"][kind]) for kind in KINDS]
    short = "" if result["reached"] else f" ({wanted} not reached)"
    settings = "; ".join(result["settings"][end] or "none" for end in ("near", "far"))
    return "| " + " | ".join([result["title"], pair(near["mean"], far["mean"]) + short, *kinds, settings]) + " |"
