# What a developer does here. `make help` lists it.
#
# Variables: RUNDIR (make run), DESTDIR and PREFIX (make install), PYTEST (arguments for make test-system),
# BENCH (arguments for make bench), FUZZ_SECONDS (make fuzz), JOBS (compiler processes).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT ?= swift
PYTHON ?= /usr/bin/python3
RUNDIR ?= /var/run/apus
PREFIX ?= /usr/local
DESTDIR ?=
PYTEST ?=
BENCH ?=
FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)

# A target may import only what Package.swift gives it: DESIGN's dependency rule, held by the build.
FLAGS := --explicit-target-dependency-import-check error --jobs $(JOBS)
BINARIES := apusd apusctl apus-bench
RELEASE := .build/release

# A crash must end a run, not start an interactive backtrace.
export SWIFT_BACKTRACE := enable=no
# The Python of the tests leaves no caches among the sources.
export PYTHONDONTWRITEBYTECODE := 1

# What a fresh Debian 12 with a Swift toolchain lacks: to build, to run, to test, to compare.
PACKAGES_BUILD := git make pkg-config libc6-dev libdpdk-dev dpdk-dev binutils
PACKAGES_TEST := dpdk openvswitch-switch openvswitch-switch-dpdk openvswitch-common python3-openvswitch python3 python3-pytest \
	python3-pytest-timeout qemu-system-x86 busybox-static linux-image-cloud-amd64 cpio kmod iproute2 iputils-ping procps \
	python3-venv openssl
PACKAGES := $(PACKAGES_BUILD) $(PACKAGES_TEST)

.PHONY: help deps build release run demo test test-unit test-system pypi asan tsan lint format fuzz fuzz-regress hotpath bench bench-db docs coverage \
	man install clean check

help: ## list what a developer does here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-14s %s\n", $$1, $$2 }'

deps: ## install by apt what is missing to build, run and test (Debian 12, root)
	@Tests/Harness/deps.sh $(PACKAGES)
	@Tests/Harness/python_deps.sh .build/python $(PYTHON)
	@command -v $(SWIFT) >/dev/null || { echo "no Swift toolchain on PATH: install Swift 6.3 from https://www.swift.org/install/linux/" >&2; exit 1; }

build: deps ## build everything, debug
	$(SWIFT) build $(FLAGS)

release: deps ## build apusd, apusctl and apus-bench into .build/release
	$(SWIFT) build -c release $(FLAGS)
	@for binary in $(BINARIES); do test -x $(RELEASE)/$$binary || { echo "$(RELEASE)/$$binary was not built" >&2; exit 1; }; done

run: release ## start the switch in the foreground: br0, two vhost-user ports, a local port (RUNDIR=DIR)
	Tests/Demo/run.sh $(RELEASE) $(RUNDIR)

demo: release ## boot two QEMU guests that talk through the switch, and cut them off with a flow
	$(PYTHON) Tests/Demo/demo.py --switch apus --bin $(RELEASE)

test: test-unit hotpath test-system ## all tests, and the check of the poll loop's machine code

test-unit: deps ## the Swift tests
	$(SWIFT) build --build-tests $(FLAGS)
	timeout 900 $(SWIFT) test --skip-build $(FLAGS)

test-system: release ## a real daemon under real clients and guests (PYTEST='-k vhost' chooses)
	timeout 1200 $(PYTHON) -m pytest Tests/SystemTests -p no:cacheprovider $(PYTEST)

pypi: ## get the Python clients that are tested if they are there (ovsdbapp, os-vif) into .build/pypi
	$(PYTHON) -m venv .build/pypi
	.build/pypi/bin/python -m pip install -q ovsdbapp os-vif

asan: deps ## the Swift tests under the address sanitizer
	$(SWIFT) build --build-tests --sanitize address --scratch-path .build-asan $(FLAGS)
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --skip-build --sanitize address --scratch-path .build-asan $(FLAGS)

tsan: deps ## the Swift tests under the thread sanitizer
	$(SWIFT) build --build-tests --sanitize thread --scratch-path .build-tsan $(FLAGS)
	TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/Harness/tsan.suppressions \
		$(SWIFT) test --skip-build --sanitize thread --scratch-path .build-tsan $(FLAGS)

lint: deps ## formatting, and the dependency rule
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests
	$(PYTHON) Tests/Harness/dependency_rule.py

format: ## rewrite the Swift sources in the house's format
	$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests

fuzz: ## run each fuzzer for FUZZ_SECONDS
	Tests/Fuzz/run.sh $(FUZZ_SECONDS)

fuzz-regress: ## replay the corpus and every input that once failed
	Tests/Fuzz/regress.sh

hotpath: release ## the poll loop's machine code calls neither reference counting nor the allocator
	$(PYTHON) Tests/Hotpath/check.py $(RELEASE)/apusd

bench: release ## compare with OVS-DPDK and testpmd: cycles a packet and ratios (BENCH='--help' for more)
	$(PYTHON) Tests/Bench/bench.py --bin $(RELEASE) $(BENCH)

bench-db: release ## the database server beside ovsdb-server (BENCH='--rows 1000' for less)
	$(PYTHON) -m Tests.Bench.ovsdb_bench --bin $(RELEASE) $(BENCH)

docs: deps ## API pages of every module into .build/docs
	Tests/Harness/docs.sh

coverage: deps ## line coverage of the Swift tests, by file
	$(SWIFT) build --build-tests --enable-code-coverage --scratch-path .build-coverage $(FLAGS)
	$(SWIFT) test --skip-build --enable-code-coverage --scratch-path .build-coverage $(FLAGS)
	llvm-cov report .build-coverage/debug/apusPackageTests.xctest -instr-profile .build-coverage/debug/codecov/default.profdata \
		-ignore-filename-regex '(\.build-coverage|Tests)/'

man: release ## manual pages into .build/man, from what the programs say with --help
	$(PYTHON) docs/manual.py $(RELEASE)/apusctl $(RELEASE)/apusd --output .build/man

install: release man ## install programs, manual pages and shell completion under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(RELEASE)/apusd $(DESTDIR)$(PREFIX)/sbin/apusd
	install -m 0755 $(RELEASE)/apusctl $(RELEASE)/apus-bench $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 0644 .build/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	$(RELEASE)/apusctl --generate-completion-script bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/apusctl
	$(RELEASE)/apusctl --generate-completion-script zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_apusctl
	$(RELEASE)/apusctl --generate-completion-script fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/apusctl.fish

clean: ## remove everything that was built
	rm -rf .build .build-asan .build-tsan .build-coverage

check: lint test ## what CI runs
