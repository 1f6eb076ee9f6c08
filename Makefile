# The front door: make demo | test | conformance | check-models | check-artifacts | bench | fuzz | fuzz-files | install. Everything else is `glmc help`.
PREFIX ?= /usr/local
BUILD  := .build/release
# One configuration for the program and its tests, so that everything is built once.
FLAGS  := -c release -Xswiftc -enable-testing
PYTHON := .venv/bin/python
# Where the demo, the tests and the benchmarks keep models; nothing in it is needed again.
MODELS ?= .build-models
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: build demo test bench install models conformance check-models check-artifacts fuzz fuzz-files clean

build: dependencies
	swift build $(FLAGS) --product glmc

# libprotobuf-c and zlib, where they are missing and there is apt.
.PHONY: dependencies
dependencies:
	@pkg-config --exists libprotobuf-c zlib 2>/dev/null || { \
	  command -v apt-get >/dev/null || { echo "install libprotobuf-c (with headers), zlib and pkg-config first"; exit 1; }; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libprotobuf-c-dev zlib1g-dev pkg-config; }
	@command -v gcc >/dev/null || command -v clang >/dev/null || $(SUDO) apt-get install -y -qq gcc

# What only tests use: C++ for the CUDA emulation, and a compiler and an emulator for ARM. Without apt, the tests that need them say that they are skipped.
.PHONY: test-dependencies
test-dependencies: dependencies
	@for tool in g++ aarch64-linux-gnu-gcc qemu-aarch64; do command -v $$tool >/dev/null || missing=1; done; \
	[ -z "$$missing" ] || { command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && \
	  $(SUDO) apt-get install -y -qq g++ gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user; } || echo "no ARM tools: some tests will be skipped"

.venv/ready: tools/requirements.txt
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv/cuda: tools/requirements-cuda.txt .venv/ready
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv/peers: tools/requirements-peers.txt .venv/ready
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

demo: build .venv/ready
	$(PYTHON) tools/fetch_models.py $(MODELS) minilm smollm2
	$(PYTHON) tools/demo.py $(BUILD)/glmc $(MODELS)

# Every room's tests, in the one configuration that is built anyway.
test: test-dependencies .venv/ready .venv/cuda $(MODELS)/nodetests.ready
	swift build $(FLAGS) --build-tests
	GLMC_PYTHON=$(abspath $(PYTHON)) GLMC_NODE_TESTS=$(abspath $(MODELS))/nodetests GLMC_NVCC=$$(echo $(CURDIR)/.venv/lib/python3*/site-packages/nvidia/cu13/bin/nvcc) swift test $(FLAGS) --skip-build
	swift test --package-path Examples/CustomPass --scratch-path .build/custom-pass

models: .venv/ready
	$(PYTHON) tools/fetch_models.py $(MODELS)
	$(PYTHON) tools/make_models.py $(MODELS)

$(MODELS)/nodetests.ready: tools/node_tests.py .venv/ready
	$(PYTHON) tools/node_tests.py $(MODELS)/nodetests
	touch $@

# The ONNX test suite through emitted code: some minutes. Writes docs/conformance.md anew.
conformance: build $(MODELS)/nodetests.ready
	$(BUILD)/glmc conformance $(MODELS)/nodetests --json $(MODELS)/conformance.json; [ $$? -le 3 ]
	$(PYTHON) tools/conformance_report.py $(MODELS)/conformance.json docs/conformance.md

# Artifacts of real models under sanitizers, from eight threads, built twice, and for ARM under qemu: about half an hour.
check-artifacts: build models test-dependencies
	$(PYTHON) tools/check_artifacts.py $(BUILD)/glmc $(MODELS)

# Every public model at -O0 and -O3, sizes fixed and free, against ONNX Runtime: some minutes.
check-models: build models
	$(PYTHON) tools/check_models.py $(BUILD)/glmc $(MODELS)

# 20,000 random graphs against ONNX Runtime: about an hour. COUNT=… and SEED=… change that; docs/testing.md says what is written where.
COUNT ?= 20000
SEED  ?= 1
fuzz: build .venv/ready
	$(PYTHON) tools/fuzz.py $(BUILD)/glmc --count $(COUNT) --seed $(SEED) -o $(MODELS)/fuzz

# 100,000 damaged and hostile files of every kind: under an hour on two processors. docs/testing.md says what is a finding.
fuzz-files: build .venv/ready
	$(PYTHON) tools/fuzz_files.py $(BUILD)/glmc --count 100000 --seed $(SEED) --jobs 2 --keep $(MODELS)/fuzz-files

# Against ONNX Runtime and OpenVINO in fp32, bf16 and int8, on one and two threads: some minutes on a quiet machine.
bench: build models .venv/peers
	$(PYTHON) tools/compare.py $(BUILD)/glmc $(MODELS)
	$(PYTHON) tools/compare.py $(BUILD)/glmc $(MODELS) --precision bf16
	$(PYTHON) tools/compare.py $(BUILD)/glmc $(MODELS) --precision int8

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/glmc
	install -m 755 $(BUILD)/glmc $(DESTDIR)$(PREFIX)/bin/glmc
	install -m 644 Sources/CGlmcABI/include/glmc.h Sources/CGlmcABI/include/glmc_checksum.h $(DESTDIR)$(PREFIX)/include
	install -d $(DESTDIR)$(PREFIX)/share/glmc/glmc
	install -m 644 python/glmc/*.py $(DESTDIR)$(PREFIX)/share/glmc/glmc

clean:
	rm -rf .build .venv $(MODELS)
