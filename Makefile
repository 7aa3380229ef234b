# What one does with this project. `make` lists it.

CARGO   ?= cargo
# dev or release
PROFILE  = dev
# Of the running server, for `make demo`.
URL      = http://127.0.0.1:8080
# More arguments for `make run`, `make demo` and `make test`.
ARGS     =
# Bookings for `make real-input` and `make insights`.
CSV      =

# What the tests need of the stack, and the stories that bring their own database.
test_parts = postgres,pgbouncer,redis,kafka,daprd,logstore,smtp
own_parts  = sqlite:: simulation:: postgres:: dapr:: kafka:: redis:: faults:: operator:: layering:: releases:: schema::

build_dir := $(if $(filter release,$(PROFILE)),release,debug)
release    = $(abspath $(or $(CARGO_TARGET_DIR),target))/release
# What cargo has built of a file of benches/.
bench_of   = $$(ls -t $(release)/deps/$(1)-* | grep -v '\.d$$' | head -1)
binary     = $(abspath $(or $(CARGO_TARGET_DIR),target)/$(build_dir)/wealth-companion)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run demo stack stack-status stack-stop stack-logs observe run-stack test lint fmt fmt-check clippy deny doc dashboards observability advisories generated keep-release build bench bench-quick bench-micro bench-projector bench-chain prove chaos fuzz contract simulate charts test-kubernetes docs-run real-input insights clean

help: ## List these targets
	@echo "usage: make TARGET [PROFILE=release] [ARGS=...]"
	@echo
	@awk -F ':.*## ' '/^##@/ { printf "%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use it
run: ## Start everything in one process, API on 127.0.0.1:8080 (ARGS="--config FILE"; first build takes minutes)
	@sh .ci/need cargo cc
	$(CARGO) run --locked --profile $(PROFILE) -- $(ARGS)

demo: ## Play a story against a server that runs already (URL=http://127.0.0.1:8080)
	@sh .ci/need cargo cc
	$(CARGO) run --locked --profile $(PROFILE) -- demo --url $(URL) $(ARGS)

##@ The real parts (PostgreSQL, Redis, Kafka, sidecars): docs/stack.md
stack: ## Install what is missing, start private instances in .stack/ (first time builds daprd: minutes)
	@sh .ci/need python3
	@python3 tools/stack.py start $(ARGS)

stack-status: ## Show what runs (ARGS=--json)
	@sh .ci/need python3
	@python3 tools/stack.py status $(ARGS)

stack-logs: ## Show what the parts said last (ARGS="kafka -f")
	@sh .ci/need python3
	@python3 tools/stack.py logs $(ARGS)

stack-stop: ## Stop them (ARGS=--wipe forgets the data as well)
	@sh .ci/need python3
	@python3 tools/stack.py stop $(ARGS)

observe: ## Start Jaeger, a log store, Prometheus and Alertmanager beside them, before run-stack (first time: ten minutes)
	@sh .ci/need python3
	@python3 tools/stack.py observe $(ARGS)

run-stack: build ## Start the three roles as three processes on them, each with its sidecar
	@sh .ci/need python3
	@python3 tools/stack.py run --binary "$(binary)" $(ARGS)

##@ Change it
test: ## Run all tests, on SQLite and on PostgreSQL (ARGS="-- some_name" runs some of them)
	@sh .ci/need cargo cc python3
	@python3 tools/stack.py start --only $(test_parts)
	$(CARGO) test --workspace --locked $(ARGS)
	WEALTH_TEST_DATABASE=postgres $(CARGO) test --locked --test it $(or $(ARGS),--) $(addprefix --skip ,$(own_parts))

lint: fmt-check deny clippy doc ## Check format, dependencies, lints and documentation

fmt: ## Format the code
	@sh .ci/need cargo rustfmt
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml

generated: ## Write docs/events/*.json and docs/metrics.md anew from the code
	@sh .ci/need cargo cc
	UPDATE_GENERATED=1 $(CARGO) test --locked --test it up_to_date

keep-release: build ## Keep this version's schema and data for later ones to be tried on (after a migration; needs `make stack`)
	@sh .ci/need python3
	@python3 tools/stack.py start --only postgres
	python3 tools/keep_release.py --binary "$(binary)"

##@ Parts of lint
fmt-check: ## Check the format
	@sh .ci/need cargo rustfmt
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check

deny: ## Check duplicates, licences and sources of dependencies (builds cargo-deny once, outside the clone)
	@sh .ci/need cargo cc
	@sh .ci/cargo-deny bans licenses sources

clippy: ## Check the code with Clippy
	@sh .ci/need cargo cc clippy
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## Build the code's documentation, into target/doc
	@sh .ci/need cargo cc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

dashboards: ## Check dashboards, alert rules, their tests and the runbook (needs Go and npm; builds its checkers once: minutes)
	@sh .ci/need python3
	@python3 tools/check_dashboards.py

observability: ## Check helm/observability as far as that goes without a cluster (needs kubectl, PyYAML; what `make observe` needs)
	@sh .ci/need python3
	@python3 tools/check_observability.py $(ARGS)

##@ More checks
advisories: ## Check dependencies for known vulnerabilities (fetches the RustSec database: needs the network)
	@sh .ci/need cargo cc
	@sh .ci/cargo-deny advisories

build: ## Build the binary
	@sh .ci/need cargo cc
	$(CARGO) build --locked --profile $(PROFILE)

bench: ## Measure the API under load beside the raw database (ARGS="--bookings 1000 --json"; docs/performance.md)
	@sh .ci/need cargo cc python3
	@python3 tools/stack.py start --only postgres
	$(CARGO) build --locked --release --bins --bench load
	python3 tools/bench.py --binary "$(release)/wealth-companion" --load "$(call bench_of,load)" $(ARGS)

bench-quick: ## The same in a few minutes, with short histories
	@$(MAKE) --no-print-directory bench ARGS="--bookings 1000 20000 --streams 1000 --seconds 4 --check benches/expected.json $(ARGS)"

bench-micro: ## Measure amounts, events, answers and sums by themselves: time, then instructions with valgrind (ARGS="--json")
	@sh .ci/need cargo cc python3
	$(CARGO) build --locked --release --bench micro
	"$(call bench_of,micro)" --bench
	python3 tools/instructions.py --binary "$(call bench_of,micro)" --check benches/instructions.json $(ARGS)

bench-projector: ## Measure how many bookings the projector handles on PostgreSQL beside raw SQL, without TLS and with it
	@sh .ci/need cargo cc python3
	@python3 tools/stack.py start --only postgres
	$(CARGO) bench --locked --bench projector -- $(ARGS)

bench-chain: ## Measure from a booking to its alert on each bus, beside the hops alone (needs `make stack`; ARGS="--bus dapr --json")
	@sh .ci/need cargo cc python3
	@python3 tools/stack.py start --only $(test_parts)
	$(CARGO) build --locked --release --bins --bench hops
	python3 tools/bench_chain.py --binary "$(release)/wealth-companion" --hops "$(call bench_of,hops)" $(ARGS)

prove: build ## Break a running system on purpose: every panel must have data, every alert fire (needs root; 15 minutes)
	@sh .ci/need python3
	python3 tools/prove.py --binary "$(binary)" $(ARGS)

chaos: build ## Break the real thing from a seed while people use it, and count their books (ARGS="--seed 7 --minutes 45 --kills 300")
	@sh .ci/need python3
	@python3 tools/chaos.py --self-test
	python3 tools/chaos.py --binary "$(binary)" $(ARGS)

simulate: ## Play the chain from 300 seeds while everything fails (ARGS="--seed 7 --steps 500"; ARGS="books --seeds 10000 --profile night")
	@sh .ci/need cargo cc python3
	tools/simulate $(ARGS)

fuzz: ## Fuzz what comes in from outside, a short run of all targets (ARGS="--seconds 300 money"; first build takes minutes)
	@sh .ci/need cargo cc c++ python3
	@python3 tools/fuzz.py $(ARGS)

contract: build ## Hold a running server to its own OpenAPI document (ARGS="--examples 500 --seed 7"; needs Python 3.11)
	@sh .ci/need python3
	@python3 tools/contract.py --binary "$(binary)" $(ARGS)

charts: build ## Check the chart, strimzi/ and dapr/ without a cluster (needs Go, PyYAML; builds its checkers once: minutes)
	@sh .ci/need python3
	python3 tools/check_charts.py --binary "$(binary)" $(ARGS)
	python3 tools/test_doks.py

test-kubernetes: ## Install, upgrade, roll back and break the release on a real Kubernetes (needs root; first time half an hour)
	@sh .ci/need python3
	python3 tools/test_kubernetes.py $(ARGS)

docs-run: build ## Run every command of the documentation, beside a server and beside the roles on the stack
	@sh .ci/need python3
	python3 tools/run_docs.py --binary "$(binary)" README.md docs/*.md docs/events/*.md
	python3 tools/run_docs.py --binary "$(binary)" --stack README.md docs/*.md

real-input: build ## Book a bank's CSV through a real server and compare every sum (CSV=FILE; see tools/README.md)
	@sh .ci/need python3
	@test -n "$(CSV)" || { echo "missing: CSV=FILE, a file of bookings" >&2; exit 2; }
	python3 tools/real_input.py --csv "$(CSV)" --start "$(binary)"

insights: ## Print what somebody is told whose bank's CSV is booked day by day (CSV=FILE)
	@sh .ci/need cargo cc
	@test -n "$(CSV)" || { echo "missing: CSV=FILE, a file of bookings" >&2; exit 2; }
	INSIGHTS_CSV="$(abspath $(CSV))" $(CARGO) test --quiet --locked --test it -- --ignored --exact --nocapture insights::of_a_file::told_day_by_day

clean: ## Remove what was built (data/ stays)
	$(CARGO) clean
