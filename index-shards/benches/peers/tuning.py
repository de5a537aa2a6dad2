"""Finds each peer's fastest settings that reach the wanted recall, on queries that no figure is reported for."""

TIMED_STEP = 6  # every sixth query is timed while settings are compared
TIMED_PASSES = 2
PATIENCE = 2  # outer settings that may be slower than the best before the search for better ones ends
SLOWER = 1.1
STRIDE = 4  # depths that are passed over while the first one that suffices is sought
NOTHING = 2e-3  # a difference in recall that is not worth a deeper search


def tune(worker, peer, end, target):
    """The fastest setting that reaches `target`, or else the one with the best recall."""
    best, fallback, worse = None, None, 0
    for outer in peer.outers:
        depth, recall = shallowest(worker, peer, end, outer, target)
        if recall < target:
            if fallback is None or recall > fallback["recall"] + NOTHING:
                fallback = {"outer": outer, "depth": depth, "recall": recall}
            continue
        times = [ask(worker, "time", end, outer, depth, step=TIMED_STEP)["ms"] for _ in range(TIMED_PASSES)]
        ms = lower_quartile(sum(times, []))
        if best is None or ms < best["ms"]:
            best, worse = {"outer": outer, "depth": depth, "recall": recall, "ms": ms}, 0
        elif ms > SLOWER * best["ms"]:
            worse += 1
            if worse == PATIENCE:
                break
    return best or fallback


def shallowest(worker, peer, end, outer, target):
    """The smallest depth that reaches `target`, with its recall; or that of the best recall, if none does."""
    recalls = {}

    def recall(at):
        if at not in recalls:
            recalls[at] = ask(worker, "recall", end, outer, peer.depths[at])["recall"]["mean"]
        return recalls[at]

    last = len(peer.depths) - 1
    high = min(STRIDE, last)
    gain = 1.0
    while recall(high) < target and high < last and gain > NOTHING:
        deeper = min(high + STRIDE, last)
        high, gain = deeper, recall(deeper) - recall(high)
    low, wanted = max(high - STRIDE, 0), target
    if recall(high) < target:
        if len(peer.outers) > 1:
            return peer.depths[high], recall(high)
        low, wanted = 0, recall(high) - NOTHING
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall(middle) >= wanted else (middle + 1, high)
    return peer.depths[high], recall(high)


def ask(worker, do, end, outer, depth, of="tuning", **more):
    return worker.ask({"do": do, "set": of, "end": end, "outer": outer, "depth": depth, **more})


def lower_quartile(values):
    """What a search takes when nothing else disturbs the machine, about."""
    return sorted(values)[len(values) // 4]
