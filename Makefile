# `make` alone lists the targets.

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo
INSTALL ?= install

# Where cargo puts what it builds. It knows both variables, and the shorter one wins.
TARGET  := $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
PROGRAM := $(TARGET)/release/sersync

bindir  := $(DESTDIR)$(PREFIX)/bin
share   := $(DESTDIR)$(PREFIX)/share
# systemd looks here where PREFIX is /usr or /usr/local.
units   := $(DESTDIR)$(PREFIX)/lib/systemd/system

MINUTES ?= 10

.PHONY: help demo test soak bench build fmt lint install package package-test clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name text; do printf 'make %-12s  %s\n' "$$name" "$$text"; done

demo: ## See it work: install what is missing, build, mirror an example tree, clean up
	@scripts/install-deps.sh demo
	@$(CARGO) build --release --locked
	@scripts/demo.sh $(PROGRAM)

test: ## Install what is missing and run every check and test
	@scripts/install-deps.sh test
	@scripts/check.sh all

soak: ## Random storms with faults for MINUTES=10, until one fails: tests/TRUST.md
	@scripts/install-deps.sh test
	@scripts/soak.sh $(MINUTES)

bench: ## Install what is missing and measure: benches/RESULTS.md (BENCH_RUNS=5, BENCH_SCALE=1)
	@scripts/install-deps.sh bench
	@$(CARGO) bench --locked --bench full_sync --bench watch --bench limits

build: ## Build the program: target/release/sersync
	$(CARGO) build --release --locked

fmt: ## Format the code
	$(CARGO) fmt

lint: ## Run every check but the tests
	@scripts/install-deps.sh test
	@scripts/check.sh lint

# It builds nothing, so that `sudo make install` leaves no files of root's in the checkout.
install: ## Install the program, manual, completions and units (DESTDIR=, PREFIX=/usr/local)
	@test -x $(PROGRAM) || { echo "$(PROGRAM) is not there: run 'make build' first" >&2; exit 1; }
	$(INSTALL) -D -m 755 $(PROGRAM) $(bindir)/sersync
	$(INSTALL) -d $(share)/man/man5 $(share)/man/man8
	$(INSTALL) -m 644 man/*.5 $(share)/man/man5/
	$(INSTALL) -m 644 man/*.8 $(share)/man/man8/
	$(INSTALL) -D -m 644 completions/sersync.bash $(share)/bash-completion/completions/sersync
	$(INSTALL) -D -m 644 completions/_sersync $(share)/zsh/site-functions/_sersync
	$(INSTALL) -D -m 644 completions/sersync.fish $(share)/fish/vendor_completions.d/sersync.fish
	$(INSTALL) -D -m 644 src/config/example.toml $(share)/doc/sersync/examples/sersync.toml
	$(INSTALL) -m 644 packaging/examples/* $(share)/doc/sersync/examples/
	$(INSTALL) -d $(share)/doc/sersync/examples/cron.d
	@sed 's|/usr/bin/sersync|$(PREFIX)/bin/sersync|' packaging/cron/sersync >$(share)/doc/sersync/examples/cron.d/sersync
	@chmod 644 $(share)/doc/sersync/examples/cron.d/sersync
	$(INSTALL) -d $(units)
	@for unit in packaging/systemd/*; do \
	    sed 's|/usr/bin/sersync|$(PREFIX)/bin/sersync|' "$$unit" >$(units)/"$${unit##*/}" || exit 1; \
	    chmod 644 $(units)/"$${unit##*/}" || exit 1; \
	done
	$(INSTALL) -D -m 644 packaging/logrotate/sersync $(share)/doc/sersync/examples/logrotate/sersync
	$(INSTALL) -D -m 644 packaging/prometheus/rules.yml $(share)/doc/sersync/examples/prometheus/rules.yml
	$(INSTALL) -D -m 644 packaging/grafana/sersync.json $(share)/doc/sersync/examples/grafana/sersync.json

package: ## Build the packages: a DEB, an RPM, a static tarball where that is possible (target/package)
	@scripts/install-deps.sh package
	@scripts/package.sh

package-test: ## Build the packages and the container image, install them and see them work (needs root and docker)
	@scripts/install-deps.sh package-test
	@tests/packages/run.sh

clean: ## Remove what was built
	$(CARGO) clean
