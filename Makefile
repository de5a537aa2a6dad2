# geolocated: `make help` lists the targets. CONTRIBUTING.md explains them.
# Always --workspace: other selections of packages choose other features, and the large dependencies compile again.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
# The newest ONNX Runtime that was tested, which is what is fetched, and the oldest, which is only tested.
ONNXRUNTIME_VERSION := 1.31.1
ONNXRUNTIME_OLDEST := 1.19.0
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
# For `bench` and `peers`; `peers` needs about 23 GB below PEERS for a million rows.
ROWS ?= 100000
PEERS ?= $(TARGET)/peers
FUZZ := $(abspath $(TARGET))/fuzz
FUZZ_SECONDS ?= 60
FAULTS ?= 1000
SHELL_SCRIPTS := .ci/run $(wildcard scripts/*.sh)
UNIT = $(DESTDIR)$(PREFIX)/lib/systemd/system/geolocated.service
UNIT_FILES := lib/systemd/system/geolocated.service lib/sysusers.d/geolocated.conf lib/tmpfiles.d/geolocated.conf

.DEFAULT_GOAL := build
.PHONY: help build onnxruntime test test-runtimes demo lint fmt clippy deny docs shellcheck exposure audit aarch64 soak rival fuzz bench peers \
	golden recipes-env recipes install uninstall

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

build: ## build the daemon and the tool, and fetch ONNX Runtime's library beside them (the default)
	cargo build --locked --release --workspace --bins
	@$(MAKE) --no-print-directory onnxruntime || echo 'ONNX Runtime was NOT fetched: tract, built in, runs the models'

onnxruntime: ## fetch ONNX Runtime's library from its wheel on PyPI, beside the binaries
	@scripts/onnxruntime.sh $(ONNXRUNTIME_VERSION) "$(RELEASE)"

test: ## install what is missing (mosquitto, a C compiler), then run all tests
	scripts/prerequisites.sh
	$(MAKE) --no-print-directory build
	cargo test --locked --release --workspace

test-runtimes: ## run the tests of encoders on the oldest ONNX Runtime, and on the newest as an older CPU without VNNI
	@scripts/onnxruntime.sh $(ONNXRUNTIME_OLDEST) "$(TARGET)/onnxruntime-oldest"
	GEOLOCATED_ONNXRUNTIME="$(abspath $(TARGET))/onnxruntime-oldest" GEOLOCATED_REQUIRE_ONNXRUNTIME=1 \
	  cargo test --locked --release --workspace --test runtimes
	scripts/older-cpu.sh

demo: ## fly over a world of our own and locate each frame; PHOTOS=DIR MODEL=DIR [POSES=FILE]: over your photos
	@test -z "$(PHOTOS)" -o -n "$(MODEL)" || { \
	  echo 'make demo with PHOTOS, a folder of geotagged photos (or of others, with POSES), needs MODEL, a folder' >&2; \
	  echo 'that holds model.toml, or a manifest file. For example:' >&2; \
	  echo '  make demo PHOTOS=flight/photos MODEL=models/encoder [POSES=flight/poses.csv]' >&2; exit 2; }
	scripts/prerequisites.sh
	$(MAKE) --no-print-directory build
	"$(RELEASE)/geolocate" demo $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(MODEL),--encoder "$(MODEL)") \
	  $(if $(POSES),--poses "$(POSES)")

lint: fmt clippy deny docs shellcheck ## all checks that need no test run

fmt: ## check the formatting
	cargo fmt --all --check

clippy: ## check the lints
	cargo clippy --locked --release --workspace --all-targets -- -D warnings

docs: ## build the documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --no-deps

deny: ## check licences, duplicate crates and sources of the dependencies
	scripts/cargo-tool.sh cargo-deny $(CARGO_DENY_VERSION)
	cargo deny check -D unnecessary-skip bans licenses sources

shellcheck: ## check the shell scripts, where shellcheck is installed
	@if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); \
	else echo 'shellcheck is not installed: the shell scripts were NOT checked'; fi

exposure: ## print and bound the exposure of the systemd unit, where systemd-analyze is installed
	@if command -v systemd-analyze >/dev/null; then \
	  systemd-analyze security --offline=true --no-pager --threshold=13 systemd/geolocated.service; \
	else echo 'systemd-analyze is not installed: the unit was NOT checked'; fi

audit: ## check the dependencies against the advisory database, which it fetches
	scripts/cargo-tool.sh cargo-deny $(CARGO_DENY_VERSION)
	cargo deny fetch db
	cargo deny check advisories

aarch64: ## build and test the libraries for 64-bit ARM, under emulation
	scripts/aarch64.sh

soak: build ## strike a running device with FAULTS (1000) faults, flood it for a minute; minutes
	@for seed in 1 2; do GEOLOCATED_FAULTS=$$(($(FAULTS) / 2)) GEOLOCATED_SEED=$$seed GEOLOCATED_FLOOD_S=60 \
	  cargo test --locked --release --workspace --test soak -- --nocapture --test-threads 1 || exit 1; done

rival: build ## hold the daemon against what an afternoon of Python gives, on FLIGHT=DIR with MODEL=MANIFEST; four minutes
	@test -n "$(FLIGHT)" -a -n "$(MODEL)" || { \
	  echo 'make rival needs FLIGHT, a folder with images/, poses.csv and split.csv, and MODEL, a manifest' >&2; exit 2; }
	python3 -m venv "$(TARGET)/rival"
	"$(TARGET)/rival/bin/pip" install --quiet -r tests/rival/requirements.txt
	"$(TARGET)/rival/bin/python" tests/rival/run.py --bin "$(abspath $(RELEASE))" --flight "$(abspath $(FLIGHT))" \
	  --encoder "$(abspath $(MODEL))"

fuzz: ## open and search damaged shards for FUZZ_SECONDS (60), hunting for crashes
	scripts/cargo-tool.sh cargo-fuzz $(CARGO_FUZZ_VERSION)
	mkdir -p "$(FUZZ)/corpus" && cp index-shards/tests/golden/*.shard "$(FUZZ)/corpus"
	cd index-shards && RUSTC_BOOTSTRAP=1 cargo fuzz run --target-dir "$(FUZZ)" open_search "$(FUZZ)/corpus" -- \
	  -max_total_time=$(FUZZ_SECONDS) -max_len=65536

bench: build ## measure the search over ROWS (100000) vectors: recall, time, memory, bytes
	"$(RELEASE)/geolocate" bench search --rows $(ROWS)

peers: build ## measure FAISS, USearch and hnsw_rs beside it, over ROWS vectors, below PEERS (target/peers)
	"$(RELEASE)/geolocate" bench vectors --rows $(ROWS) --out "$(PEERS)/data-$(ROWS)"
	python3 -m venv "$(PEERS)/venv"
	"$(PEERS)/venv/bin/pip" install --quiet -r index-shards/benches/peers/requirements.txt
	"$(PEERS)/venv/bin/python" index-shards/benches/peers/peers.py --data "$(PEERS)/data-$(ROWS)" \
	  --work "$(PEERS)/work-$(ROWS)" --geolocate "$(RELEASE)/geolocate" \
	  --out "$(PEERS)/$(ROWS).md" --json "$(PEERS)/$(ROWS).json"

golden: ## write the kept file of the shard's format again; only for a new version of the format
	cargo test --locked --release --workspace --test shards -- --ignored --exact golden::write_the_kept_file

RECIPES := $(TARGET)/recipes-env
recipes-env: ## install the Python environment of the recipes; REFERENCE=1 adds transformers, torch and peft (6 GB)
	python3 -m venv "$(RECIPES)"
	"$(RECIPES)/bin/pip" install --quiet -r quantized-models/recipes/requirements-test.txt \
	  $(if $(REFERENCE),-r quantized-models/recipes/requirements-sft.txt)

recipes: recipes-env ## test the recipes
	ORT_DISABLE_TELEMETRY=1 GEOLOCATE="$(abspath $(RELEASE))/geolocate" \
	  "$(RECIPES)/bin/python" -m pytest -q -p no:cacheprovider quantized-models/recipes/tests

install: ## install what `make` built, below DESTDIR and PREFIX
	install -D -m 755 "$(RELEASE)/geolocated" "$(DESTDIR)$(PREFIX)/bin/geolocated"
	install -D -m 755 "$(RELEASE)/geolocate" "$(DESTDIR)$(PREFIX)/bin/geolocate"
	@if [ -e "$(RELEASE)/libonnxruntime.so.$(ONNXRUNTIME_VERSION)" ]; then \
	  install -D -m 644 "$(RELEASE)/libonnxruntime.so.$(ONNXRUNTIME_VERSION)" \
	    "$(DESTDIR)$(PREFIX)/lib/geolocated/libonnxruntime.so.$(ONNXRUNTIME_VERSION)"; \
	else echo 'installed without ONNX Runtime: tract, built in, runs the models'; fi
	install -d "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	sed 's#/usr/bin/#$(PREFIX)/bin/#' systemd/geolocated.service >"$(UNIT)"
	chmod 644 "$(UNIT)"
	install -D -m 644 systemd/geolocated.sysusers.conf "$(DESTDIR)$(PREFIX)/lib/sysusers.d/geolocated.conf"
	install -D -m 644 systemd/geolocated.tmpfiles.conf "$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/geolocated.conf"
	install -D -m 644 systemd/geolocated.toml "$(DESTDIR)$(PREFIX)/share/doc/geolocated/geolocated.toml"
	install -D -m 644 systemd/geolocated-gpu.conf "$(DESTDIR)$(PREFIX)/share/doc/geolocated/geolocated-gpu.conf"

uninstall: ## remove what `make install` installed; settings and state stay
	rm -f $(foreach file,bin/geolocated bin/geolocate $(UNIT_FILES),"$(DESTDIR)$(PREFIX)/$(file)")
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/geolocated" "$(DESTDIR)$(PREFIX)/lib/geolocated"
