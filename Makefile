# Everything that is done with this repository; `make` alone explains.

SWIFT_FLAGS := --explicit-target-dependency-import-check error
RELEASE     := .build/release/millrace
SOURCES     := Sources Tests Package.swift

# What the build needs beside the Swift toolchain and make: the libraries that the toolchain itself is
# linked with, a linker and headers, and one development package for each of our libraries. The tests
# compare with the interpreter lua5.4.
PACKAGES := git binutils libc6-dev libgcc-12-dev libstdc++-12-dev libxml2 libncurses6 libcurl4 libsqlite3-0 \
            pkg-config libyaml-dev liblua5.4-dev libcurl4-openssl-dev libsqlite3-dev libssl-dev \
            libmicrohttpd-dev libjemalloc-dev zlib1g-dev libexpat1-dev lua5.4 tzdata
BENCH_PACKAGES := gcc nginx-light wrk python3

# install-missing LIST: asks the system first, so that nothing is downloaded where all is there.
define install-missing
	@missing=""; for package in $(1); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q "install ok installed" \
	        || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	    if ! command -v apt-get >/dev/null; then \
	        echo "make setup: this is no Debian system; install by hand:$$missing" >&2; exit 1; fi; \
	    if [ "$$(id -u)" != 0 ]; then \
	        echo "make setup: not root; run once: sudo apt-get install$$missing" >&2; exit 1; fi; \
	    echo "installing$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

.DEFAULT_GOAL := help
.PHONY: help setup build test simulate demo bench format lint golden clean install

help: ## this text
	@echo "usage: make TARGET"; echo
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1 \2/p' Makefile \
	    | while read -r target text; do printf '  %-8s %s\n' "$$target" "$$text"; done

setup: ## install the system packages that are missing (Debian, root)
	$(call install-missing,$(PACKAGES))

build: setup ## release build: .build/release/millrace
	swift build -c release --static-swift-stdlib $(SWIFT_FLAGS) --product millrace

test: setup lint build ## lint, the release build, and every test
	swift build --build-tests $(SWIFT_FLAGS)
	swift test --skip-build $(SWIFT_FLAGS)

SEEDS ?= 1000-1999
STORY ?=

simulate: setup ## the whole service under faults: SEEDS=1000-1999, or SEEDS=17 STORY=story.txt
	swift build --build-tests $(SWIFT_FLAGS)
	SIMULATE_SEEDS=$(SEEDS) $(if $(STORY),SIMULATE_STORY=$(abspath $(STORY))) \
	    swift test --skip-build $(SWIFT_FLAGS) --filter SimulationTests.SimulationTests

demo: build ## the whole story on this machine, in about a minute
	$(RELEASE) demo

bench: build ## measure against the C references; exits 1 where a goal is not held
	$(call install-missing,$(BENCH_PACKAGES))
	python3 bench/run.py

format: ## format all sources in place
	swift format --in-place --recursive $(SOURCES)

lint: ## check the formatting
	swift format lint --strict --recursive $(SOURCES)

golden: ## rewrite the golden files of the command tests and show the difference
	UPDATE_GOLDEN=1 swift test $(SWIFT_FLAGS) --filter Golden
	git --no-pager diff --stat -- Tests docs

install: build ## install the program to $(DESTDIR)$(PREFIX)/bin
	install -D -m 755 $(RELEASE) $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/millrace

clean: ## delete what was built
	swift package clean
	rm -rf .build/bench
