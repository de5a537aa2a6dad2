"""The peers: how each is built, opened, set and asked. One thread everywhere.

The far end is asked by the negated query: of unit vectors, those farthest from q are those nearest to -q. Each end has
settings of its own, since a negated query is unlike anything stored and needs more effort.
"""

import json
import os
import resource
import subprocess
import time
from pathlib import Path

import numpy as np

FACTORS = [1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096]
WIDTHS = [32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384]
PROBES = [64, 128, 192, 256, 384, 512, 768, 1024]
TRAINING_ROWS = 60_000
ADD_ROWS = 50_000


class Peer:
    """One peer. `outer` and `depth` are its settings: probes and refinement factor, or just the width of a search."""

    library = None
    outers = [None]
    outer_name = None
    depths = [None]
    depth_name = None

    def __init__(self, key, title):
        self.key, self.title = key, title

    def path(self, work):
        return Path(work) / f"{self.key}.index"

    def size_bytes(self, work):
        path = self.path(work)
        files = path.iterdir() if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)

    def build(self, base, work):
        """Builds from the rows of `base` and stores; CPU seconds that training and adding took."""
        raise NotImplementedError

    def open(self, work):
        """Opens what `build` stored."""
        raise NotImplementedError

    def set(self, outer, depth):
        raise NotImplementedError

    def search(self, queries, k):
        """Rows found for each query, which are handed over together."""
        raise NotImplementedError

    def process_id(self):
        """The process whose memory is the peer's."""
        return os.getpid()

    def timed(self, queries, k):
        """Rows found for each query and milliseconds of each, which are handed over one by one."""
        found, times_ms = [], []
        for query in queries:
            query = np.ascontiguousarray(query[None])
            start = time.perf_counter()
            rows = self.search(query, k)
            times_ms.append((time.perf_counter() - start) * 1e3)
            found.append(rows[0])
        return np.array(found), times_ms

    def setting(self, outer, depth):
        named = [(self.outer_name, outer), (self.depth_name, depth)]
        return ", ".join(f"{name} {value}" for name, value in named if value is not None)


class Faiss(Peer):
    """A FAISS index made by a factory string, its codes and stored vectors mapped where FAISS can."""

    library = "faiss"

    def __init__(self, key, title, factory, construction_width=None):
        super().__init__(key, title)
        self.factory, self.construction_width = factory, construction_width
        self.refined, self.lists, self.graph = "Refine" in factory, "IVF" in factory, "HNSW" in factory
        if self.refined:
            self.depths, self.depth_name = FACTORS, "k_factor"
        if self.lists:
            self.outers, self.outer_name = PROBES, "nprobe"
        if self.graph:
            self.depths, self.depth_name = WIDTHS, "efSearch"

    def build(self, base, work):
        import faiss

        faiss.omp_set_num_threads(1)
        start = time.process_time()
        index = faiss.index_factory(base.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
        if self.construction_width:
            index.hnsw.efConstruction = self.construction_width
        sample = np.linspace(0, len(base) - 1, min(TRAINING_ROWS, len(base)), dtype=np.int64)
        index.train(np.ascontiguousarray(base[sample]))
        for first in range(0, len(base), ADD_ROWS):
            index.add(np.ascontiguousarray(base[first : first + ADD_ROWS]))
        seconds = time.process_time() - start
        faiss.write_index(index, str(self.path(work)))
        return seconds

    def open(self, work):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(str(self.path(work)), faiss.IO_FLAG_MMAP_IFC)
        self.inner = faiss.downcast_index(self.index)
        self.probed = faiss.extract_index_ivf(self.inner.base_index) if self.lists else None

    def set(self, outer, depth):
        if self.refined:
            self.inner.k_factor = depth
        if self.lists:
            self.probed.nprobe = outer
        if self.graph:
            self.inner.hnsw.efSearch = depth

    def search(self, queries, k):
        return self.index.search(queries, k)[1]


class Usearch(Peer):
    """USearch, viewed: the file is mapped, nothing is loaded."""

    library = "usearch.index"
    depths, depth_name = WIDTHS, "expansion"

    def __init__(self, key, title, dtype):
        super().__init__(key, title)
        self.dtype = dtype

    def build(self, base, work):
        from usearch.index import Index

        start = time.process_time()
        index = Index(ndim=base.shape[1], metric="ip", dtype=self.dtype, connectivity=16, expansion_add=128)
        for first in range(0, len(base), ADD_ROWS):
            rows = np.ascontiguousarray(base[first : first + ADD_ROWS])
            index.add(np.arange(first, first + len(rows), dtype=np.uint64), rows, threads=1)
        seconds = time.process_time() - start
        index.save(str(self.path(work)))
        return seconds

    def open(self, work):
        from usearch.index import Index

        self.index = Index.restore(str(self.path(work)), view=True)

    def set(self, _, depth):
        self.index.expansion_search = depth

    def search(self, queries, k):
        found = np.full((len(queries), k), -1, np.int64)
        for row, query in enumerate(queries):
            keys = self.index.search(query, k, threads=1).keys
            found[row, : len(keys)] = keys
        return found


class HnswRs(Peer):
    """The crate hnsw_rs, in a process of its own (folder `hnsw/`), its vectors mapped."""

    depths, depth_name = WIDTHS, "ef"

    def program(self, work):
        return Path(work) / "hnsw-target" / "release" / "peer-hnsw"

    def build(self, base, work):
        crate = Path(__file__).parent / "hnsw"
        cargo = ["cargo", "build", "--release", "--locked", "--manifest-path", crate / "Cargo.toml"]
        subprocess.run([*cargo, "--target-dir", Path(work) / "hnsw-target"], check=True)
        arguments = [self.program(work), "build", base.filename, self.path(work), "16", "100"]
        start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(arguments, check=True)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start

    def open(self, work):
        self.scratch = Path(work) / f"hnsw-{os.getpid()}"
        self.scratch.mkdir(exist_ok=True)
        arguments = [self.program(work), "serve", self.path(work)]
        self.child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        json.loads(self.child.stdout.readline())

    def process_id(self):
        return self.child.pid

    def set(self, _, depth):
        self.width = depth

    def search(self, queries, k):
        return self.timed(queries, k)[0]

    def timed(self, queries, k):
        asked, answered = self.scratch / "queries.npy", self.scratch / "found.i32"
        np.save(asked, queries)
        self.child.stdin.write(f"near {self.width} {k} {asked} {answered}\n")
        self.child.stdin.flush()
        times_ms = json.loads(self.child.stdout.readline())["ms"]
        return np.fromfile(answered, np.int32).reshape(len(queries), k), times_ms


# Rotations where they help: RaBitQ takes its input to be rotated; OPQ spreads unequal variances over the codes.
PEERS = [
    Faiss("faiss_pq256", "FAISS PQ256 fast-scan + SQ8", "PQ256x4fs,Refine(SQ8)"),
    Faiss("faiss_opq192", "FAISS OPQ192 fast-scan + SQ8", "OPQ192,PQ192x4fs,Refine(SQ8)"),
    Faiss("faiss_opq128", "FAISS OPQ128 fast-scan + SQ8", "OPQ128,PQ128x4fs,Refine(SQ8)"),
    Faiss("faiss_rabitq", "FAISS RaBitQ fast-scan + SQ8", "RR,RaBitQfs,Refine(SQ8)"),
    Faiss("faiss_ivf_pq256", "FAISS IVF1024-PQ256 fast-scan + SQ8", "IVF1024,PQ256x4fs,Refine(SQ8)"),
    Faiss("faiss_ivf_opq192", "FAISS IVF1024-OPQ192 fast-scan + SQ8", "OPQ192,IVF1024,PQ192x4fs,Refine(SQ8)"),
    Faiss("faiss_ivf_rabitq", "FAISS IVF1024-RaBitQ fast-scan + SQ8", "RR,IVF1024,RaBitQfs,Refine(SQ8)"),
    Faiss("faiss_hnsw", "FAISS HNSW16, mapped", "HNSW16,Flat", construction_width=80),
    Usearch("usearch_i8", "USearch i8, viewed", "i8"),
    Usearch("usearch_f16", "USearch f16, viewed", "f16"),
    HnswRs("hnsw_rs", "hnsw_rs"),
    Faiss("faiss_sq8", "FAISS SQ8 flat", "SQ8"),
    Faiss("faiss_flat", "FAISS exact flat", "Flat"),
]
