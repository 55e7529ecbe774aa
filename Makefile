# The commands of this repository. The work is done by the scripts in tools/ and by tests/lab/lab.

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: demo
demo: ## set up what is missing and run the VDI workflow on this machine
	@tools/setup .venv controller image-host guest-builder
	@tools/build-collection
	@tools/start-libvirt
	@tools/playbook demo

.PHONY: demo-clean
demo-clean: ## remove exactly what the demo made
	@tools/setup .venv controller image-host
	@tools/build-collection
	@tools/start-libvirt
	@tools/playbook demo_clean

.PHONY: test
test: setup ## set up what is missing and run every check of this repository
	@tools/test

.PHONY: test-quick
test-quick: lint unit ## lint and unit tests, within a minute

.PHONY: setup
setup: setup-quick ## install what make test needs
	@tools/setup .venv test lab browser

# The part of it that needs no test hosts.
.PHONY: setup-quick
setup-quick:
	@tools/setup .venv test checks

.PHONY: lint
lint: setup-quick ## formatting and lint
	@tools/lint

.PHONY: sanity
sanity: setup-quick ## ansible-test sanity
	@tools/sanity

.PHONY: unit
unit: setup-quick ## unit tests: no libvirt, no network
	@pytest tests/unit --numprocesses 2

.PHONY: corpus
corpus: setup-quick ## compare appliance_info with a folder of descriptors: make corpus DIR=folder
	@tools/link-working-tree
	@python tests/corpus/run.py "$(DIR)"

.PHONY: lab-up
lab-up: setup ## start the test hosts (LAB=name for several side by side)
	@tests/lab/lab up

.PHONY: lab-down
lab-down: ## stop and remove the test hosts
	@tests/lab/lab down

.PHONY: integration
integration: setup ## integration tests on the test hosts
	@pytest tests/integration --numprocesses 2 --dist loadfile --durations 15

.PHONY: faults
faults: setup ## kill -9 and failures at every step, on a test host
	@pytest tests/faults

.PHONY: distribution
distribution: setup ## images between test hosts of its own, and what may go wrong on the way
	@pytest tests/distribution --durations 10

.PHONY: endpoints
endpoints: setup ## endpoints that keep their desktops, on test hosts
	@pytest tests/endpoints --durations 10

.PHONY: voi
voi: setup ## machines that boot from the network, on a test host of its own
	@pytest tests/voi --durations 10

SECONDS_EACH ?= 30

.PHONY: fuzz
fuzz: ## fuzz the readers of foreign files, SECONDS_EACH (30) for each
	@tools/setup build/venv-fuzz fuzz checks
	@tests/fuzz/run $(SECONDS_EACH)

.PHONY: hostile
hostile: setup-quick ## make the folder of hostile files, build/hostile
	@rm -rf build/hostile
	@python tests/hostile/make_files.py build/hostile

.PHONY: molecule
molecule: setup collection ## tests of the roles on the test hosts
	@cd extensions && ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/build/collections" molecule test --all

.PHONY: demo-test
demo-test: setup collection ## the demo on a test host, twice, and its removal
	@tools/demo-test

.PHONY: bench
bench: ## measure against peers; writes build/bench.json
	@tools/setup .venv controller image-host
	@tools/setup build/venv-bench bench image-host bench lab seed
	@tools/build-collection
	@tools/start-libvirt
	@build/venv-bench/bin/python benchmarks/bench.py

.PHONY: docs
docs: setup-quick ## documentation of modules and roles in build/docs/html
	@tools/docs/build

.PHONY: collection
collection: setup-quick ## build the collection and install it into build/collections
	@tools/build-collection
