# The commands of the project; `make help` lists them. Everything with an `if` lives in xtask/.
#
#   make up PORT_OFFSET=100                     every port of the stack 100 higher
#   make up SCALE=projector=2,query-api=2       several processes of a kind
#   make up LOCAL_DIR=.local/second PORT_OFFSET=100   a second stack beside the first

export CARGO_TARGET_DIR ?= $(HOME)/.cache/millrace/target

PROCESSES := command-api query-api projector dlq-replayer
RELEASE := cargo build --quiet --release --locked --package xtask $(PROCESSES:%=--package %)
XTASK := $(CARGO_TARGET_DIR)/release/xtask

.DEFAULT_GOAL := help
.PHONY: help up down reset status logs test soak check fmt bench tools

help: ## Lists these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

up: tools ## Brings up what does not run, sends a first event and says what to try
	@$(RELEASE)
	@$(XTASK) up

down: $(XTASK) ## Ends every process of the stack; data stays
	@$(XTASK) down

reset: $(XTASK) ## Ends every process of the stack and removes its data
	@$(XTASK) reset

status: $(XTASK) ## Shows what runs
	@$(XTASK) status

logs: $(XTASK) ## Follows the logs; P=projector for one process
	@$(XTASK) logs --follow $(P)

test: tools ## All gates and all tests, on a stack of their own beside a running one
	@deploy/local/install.sh podman:podman crun:crun
	@cargo build --quiet --locked --workspace --all-targets
	@$(CARGO_TARGET_DIR)/debug/xtask test

soak: tools ## Reads through the cache for ten minutes while everything breaks, on a stack of its own
	@cargo build --quiet --locked --workspace --all-targets
	@$(CARGO_TARGET_DIR)/debug/xtask soak

check: tools ## The gates alone
	@cargo build --quiet --locked --package xtask
	@$(CARGO_TARGET_DIR)/debug/xtask check

fmt: ## Formats the code
	@cargo fmt --all

bench: tools ## Measures against baselines in the same run
	@$(RELEASE)
	@$(XTASK) bench

tools:
	@deploy/local/install.sh

$(XTASK):
	@$(RELEASE)
