# The one door. `make` alone says what there is.

SHELL := /bin/bash
CARGO ?= cargo
BUILD := $(CARGO) build --workspace --bins --features sim
TOOLS := target/tools
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/targets/*.rs)))
FUZZ_SECONDS ?= 60
CLIPS := tests/pictures/cache/clips

.DEFAULT_GOAL := help
.PHONY: help setup models quantize requantize pictures axe demo test test-long soak screenshots attacks fuzz hw lint gates audit bench docs release

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{ printf "  make %-11s %s\n", $$1, $$2 }'

setup: ## System packages this machine lacks (sudo where not root)
	@provisioning/setup

models: setup ## Nets and the inference runtime: fetched, checked, prepared
	@models/fetch

quantize: models ## The 8-bit embedder; `examgate doctor --tune` decides about its use
	@models/quantize

requantize: models pictures ## Measures the 8-bit embedder's ranges anew on the test pictures; then calibrate and pin its hash
	@$(CARGO) build --workspace --bins --features sim
	@rm -rf models/cache/faces
	@target/debug/examgate-lab align --images $(CLIPS)/../photos --out models/cache/faces/photos
	@target/debug/examgate-lab align --every 3 --images $(CLIPS)/single_face --images $(CLIPS)/WolfgangLanger_Pexels \
	  --out models/cache/faces/clips
	@models/quantize --measure

pictures: setup ## Faces and clips for the demonstration and the tests
	@tests/pictures/fetch

axe: setup ## axe-core, which the browser tests look at pages with
	@tests/browser/fetch

demo: models pictures ## A scripted exam morning: real reader service, real broker, real collector
	@echo "demo: building (the first time takes several minutes)"
	@$(BUILD)
	@target/debug/examgate demo $(DEMO)

test: models pictures axe ## Everything a change must pass
	@echo "test: building and running (the first time takes several minutes)"
	@tests/python_desfire/setup
	@$(CARGO) build --quiet --locked --manifest-path tests/jcecard/Cargo.toml --package ifd-jcecard --target-dir target/jcecard
	$(CARGO) test --workspace --features sim

test-long: test ## The same, then ten thousand random histories of faults, fifty kills of a running box, the kiosk under its compositor
	PROPTEST_CASES=10000 $(CARGO) test --workspace --features sim --lib --test simulation -- --nocapture \
	  lease::simulation no_schedule_of_faults any_way_ends_at_what_is_desired nothing_is_lost_and_everything_arrives
	EXAMGATE_KILLS=50 $(CARGO) test --workspace --features sim --test kill -- --nocapture
	$(CARGO) test --workspace --features sim --test browser -- --nocapture --ignored kiosk

soak: models pictures ## The demonstration again and again for an hour; stops at the first wrong decision
	@$(BUILD)
	@end=$$(( $$(date +%s) + $${SOAK_SECONDS:-3600} )); n=0; \
	while [ $$(date +%s) -lt $$end ]; do n=$$((n + 1)); echo "soak: morning $$n"; target/debug/examgate demo || exit 1; done

screenshots: models pictures axe ## Every state of student screen and console at every size, into target/screenshots
	@rm -rf target/screenshots
	@echo "screenshots: building and looking (some minutes)"
	EXAMGATE_SCREENSHOTS=$(CURDIR)/target/screenshots $(CARGO) test --workspace --features sim --test browser -- --nocapture every_state settles
	@tests/browser/sheet
	@echo "screenshots: in target/screenshots"

attacks: models pictures ## Draws presentation attacks from the test pictures and plays them (half an hour); some: ATTACKS="--kind replay"
	@$(BUILD)
	@rm -rf target/attacks target/live target/attacks-report* && mkdir -p target/live
	@ln -s $(CURDIR)/$(CLIPS)/single_face $(CURDIR)/$(CLIPS)/WolfgangLanger_Pexels target/live/
	@echo "attacks: drawing and playing"
	target/debug/examgate-lab attacks --out target/attacks $(ATTACKS)
	target/debug/examgate-lab evaluate liveness --live target/live --attacks target/attacks --plots target/attacks-report \
	  > target/attacks-report.md
	@sed '/^| clip |/,$$d' target/attacks-report.md
	@echo "attacks: each sequence in target/attacks-report.md, the error against time in target/attacks-report/"

fuzz: ## Every parser of outside bytes under a fuzzer, FUZZ_SECONDS (60) each; needs a nightly toolchain
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { \
	  echo "fuzz: there is no nightly toolchain: rustup toolchain install nightly --profile minimal" >&2; exit 1; }
	@test -x $(TOOLS)/bin/cargo-fuzz || { echo "fuzz: building cargo-fuzz $(FUZZ_VERSION) into $(TOOLS)"; \
	  $(CARGO) install --quiet --locked --root $(TOOLS) --version $(FUZZ_VERSION) cargo-fuzz; }
	@echo "fuzz: building (the first time takes several minutes)"
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(CARGO) +nightly fuzz build --target-dir target/fuzz
	@for target in $(FUZZ_TARGETS); do \
	  echo "fuzz: $$target, $(FUZZ_SECONDS) s"; mkdir -p target/fuzz/found/$$target; \
	  PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(CARGO) +nightly fuzz run --target-dir target/fuzz $$target \
	    target/fuzz/found/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=4096 \
	    -print_final_stats=1 -verbosity=0 || exit 1; \
	done

hw: setup ## Contracts of the edges on hardware: HW="card camera light --config FILE" (without it: on virtual hardware)
	$(CARGO) run --quiet -p hw-tests -- $(or $(HW),card camera light --virtual)

lint: gates ## Formatting, lints, house rules, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features sim -- -D warnings
	@test -x $(TOOLS)/bin/cargo-deny || { echo "lint: building cargo-deny $(DENY_VERSION) into $(TOOLS)"; \
	  $(CARGO) install --quiet --locked --root $(TOOLS) --version $(DENY_VERSION) cargo-deny; }
	$(TOOLS)/bin/cargo-deny --log-level error check licenses bans sources

gates: ## What ships builds alone, and the pure rooms build without the rest
	$(CARGO) check -p examgate --lib --no-default-features
	$(CARGO) check -p examgate --lib --no-default-features --features vision,store
	$(CARGO) check -p examgate
	$(CARGO) check -p examgate-fleet
	$(CARGO) check -p examgate-fleetd
	$(CARGO) check -p examgate-lab

audit: ## Known vulnerabilities (fetches the advisory database)
	$(TOOLS)/bin/cargo-deny check advisories

bench: quantize pictures ## Measures; writes target/bench/summary.json
	@benches/peer/setup
	@models/quantize --bench
	$(CARGO) build --release --workspace --bins --features sim
	$(CARGO) bench --workspace --features sim --bench frame --bench lookup --bench door --bench card --bench screen --bench duplicates --bench photos --bench rosters --bench events

docs: ## The API, as HTML
	$(CARGO) doc --no-deps -p examgate -p examgate-enrol -p examgate-fleet-core --features examgate/sim

release: models ## What ships: target/release/examgate, examgate-fleet, examgate-fleetd and examgate-lab
	$(CARGO) build --release -p examgate
	$(CARGO) build --release -p examgate-fleet
	$(CARGO) build --release -p examgate-fleetd
	$(CARGO) build --release -p examgate-lab
