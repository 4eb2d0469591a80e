# SPDX-License-Identifier: Apache-2.0

SHELL := bash
FUZZTIME ?= 10s
ACCOUNTS ?= 1000000 # of make bench-vault
ROUNDS ?= 30 # of make chaos

# Other systems that the code must build for.
PLATFORMS := darwin/arm64 windows/amd64

# What must build for 32 bits, too: there a length that is read overflows an int sooner. The OPAQUE library does not build
# for them, so what links it is left out.
NARROW := ./archive/... ./blob/... ./wire/... ./seal/... ./internal/core/ledger ./internal/core/stream ./internal/token ./internal/password

.PHONY: build build-pkcs11 build-rclone demo demo-fleet chaos sim test lint race cross vuln fuzz bench bench-archive bench-vault bench-fleet bench-destinations clean

build: # ./bin/coffer and ./bin/cofferd
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/coffer ./cmd/cofferd

build-rclone: # ./bin/coffer-rclone, which brings minutes of compiling with it
	CGO_ENABLED=0 go build -C coffer-rclone -trimpath -o ../bin/ .

build-pkcs11: # ./bin/cofferd that can speak to PKCS#11 tokens: not static, for it loads their libraries; needs a C compiler
	CGO_ENABLED=1 go build -trimpath -o bin/ ./cmd/cofferd

demo: build # the whole story on a made-up chat store
	./bin/coffer demo

demo-fleet: build # a vault of five replicas whose leader dies in the middle of a recovery
	./bin/coffer demo --replicas 5

chaos: # hurts the processes of five nodes while devices guess, ROUNDS times; CHAOSFLAGS="-chaos.seed N" repeats a run
	go test ./cmd/cofferd -run TestChaos -count 1 -timeout 0 -v -chaos.rounds $(ROUNDS) $(CHAOSFLAGS)

test: # the static checks, then every test
	scripts/setup.sh test
	scripts/lint.sh
	go test $(TESTFLAGS) ./...
	CGO_ENABLED=0 go test -C coffer-rclone -trimpath -vet=all $(TESTFLAGS) ./... # as it is built, so that rclone is compiled once

lint: # what needs no test to be run
	scripts/lint.sh

race: # the tests again, under the race detector, the longest ones shortened
	scripts/setup.sh race
	go test -race -short $(TESTFLAGS) ./...

sim: # many schedules of a simulated fleet, SEEDS=1000 of them; SEED=n plays one again, KEEP=1,2,3 those of its actions alone
	go test ./internal/sim -run '^TestSchedules$$' -v -timeout 0 \
		$(if $(SEED),-seed $(SEED) -keep '$(KEEP)',-fresh -seeds $(or $(SEEDS),1000))

cross: # builds and checks for the other platforms
	for p in $(PLATFORMS); do echo "$$p"; \
		export CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/}; \
		go vet ./... && go build -o /dev/null ./cmd/coffer && go build -o /dev/null ./cmd/cofferd || exit 1; \
	done
	CGO_ENABLED=0 GOOS=linux GOARCH=arm go vet $(NARROW)

vuln: build-rclone # known vulnerabilities in what is linked
	scripts/vuln.sh

fuzz: # each fuzz target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME)

bench: bench-archive bench-vault bench-fleet bench-destinations

bench-archive: build # against tar | zstd | age and restic; BENCHFLAGS="-help" lists the flags
	scripts/setup.sh bench
	go build -C tools -o ../bin/ filippo.io/age/cmd/age filippo.io/age/cmd/age-keygen
	go run ./bench $(BENCHFLAGS)

bench-vault: build # operations a second and their times, the parts of one, and what an account takes
	go test -run '^$$' -bench Parts ./internal/core
	for mix in register recover status; do ./bin/cofferd load --dev --mix $$mix --workers 64 || exit 1; done
	go test -run '^$$' -bench 'Accounts|Boot|Store' -benchtime 1x -timeout 0 ./internal/core -accounts $(ACCOUNTS)

bench-fleet: build # several replicas: far apart, one killed, one away, idle; FLEETFLAGS="-quick" or "-help"
	go build -C tools -o ../bin/toxiproxy-server github.com/Shopify/toxiproxy/v2/cmd/server
	go run ./bench/fleet $(FLEETFLAGS)

bench-destinations: # requests, bytes and time on an S3 server, beside restic; DESTFLAGS="-help" lists the flags
	scripts/setup.sh bench
	go build -C tools -o ../bin/toxiproxy-server github.com/Shopify/toxiproxy/v2/cmd/server
	go run ./bench/destinations $(DESTFLAGS)

clean:
	rm -rf bin
