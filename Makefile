# The menu. Each target is one line; the logic is in scripts/ and xtask/.

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-store build web wheel fmt gen clean

help: ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build, start the server, run a real agent, show its trace and the dashboard's address
	@scripts/demo.sh $(ARGS)

test: ## lint, then every test: Rust, Python, web, end to end, browser journeys
	@scripts/test.sh

lint: ## rustfmt, clippy, cargo-deny, tidy, ruff, mypy, stubtest, pyright, Biome, tsc
	@scripts/lint.sh

bench: ## what a span costs beside its peers, instructions, footprint, ingest; targets beside the figures
	@scripts/bench.sh $(ARGS)

bench-store: ## what the store costs: ingest, size, every kind of read; ARGS="--spans 200000"
	@scripts/bench-store.sh $(ARGS)

build: ## the staso binary (release, dashboard embedded) in target/release
	@scripts/build.sh

web: ## the dashboard in web/dist
	@scripts/web.sh

wheel: ## the Python wheel, built and installed into .venv
	@scripts/wheel.sh

fmt: ## format Rust, Python and web sources
	@scripts/fmt.sh

gen: ## write the generated files (api/openapi.json, web types)
	@scripts/gen.sh

clean: ## remove what was built (target, .venv, web/dist, node_modules, .tools)
	@scripts/clean.sh
