# Sluice. Every target is one line of what it does and one script or cargo call.

.DEFAULT_GOAL := help
.SUFFIXES:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the sluice binary, target/debug/sluice
	cargo build -p sluice

.PHONY: demo
demo: ## from real manifests to live traffic through a real Envoy, on this machine
	hack/run-demo

.PHONY: test
test: ## every test: unit, golden, on the wire through a real Envoy, on a node where one can be
	hack/run-tests

.PHONY: manifests
manifests: ## config/ as one manifest, target/sluice.yaml
	hack/render-manifests

.PHONY: image
image: ## the container image of sluice as an OCI archive, target/sluice.tar; no Docker
	hack/build-image sluice target/sluice.tar

.PHONY: dist
dist: ## release archives of sluice for other machines, target/dist, with sums and bills of materials
	hack/make-dist

.PHONY: cluster
cluster: ## a real one-node Kubernetes with Knative Serving and Sluice; root, Debian, no Docker
	hack/run-node up
	hack/install-sluice

.PHONY: conformance
conformance: ## Knative's own ingress suite, every tier, on that node
	hack/run-conformance

.PHONY: e2e
e2e: ## Knative Serving's own tests on that node, unmodified, with Sluice as the ingress
	hack/run-e2e

.PHONY: bad-days
bad-days: ## operators, gateways, API server of that node killed, stopped, spoilt: 0 lost
	hack/run-bad-days

.PHONY: activation
activation: ## from zero, and between activator and pods, on that node: held, never lost, never twice
	hack/run-activation

.PHONY: installs
installs: ## sluice install, upgrade, uninstall on a bare node: interrupted, refused, undone
	hack/run-installs

.PHONY: cluster-down
cluster-down: ## end that node and leave nothing of it but caches and logs
	hack/run-node down

.PHONY: lint
lint: ## format, words, names, lengths, arrows between crates, licences, manifests, clippy
	cargo fmt --all --check
	hack/lint-scripts
	hack/lint-tree
	hack/lint-purity
	hack/lint-arrows
	hack/lint-dependencies
	hack/lint-go
	hack/lint-manifests
	hack/lint-chart
	hack/lint-monitoring
	hack/test-lints
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: fmt
fmt: ## format the Rust sources
	cargo fmt --all

.PHONY: golden
golden: ## write the golden outputs again, to be read as a diff
	hack/write-goldens

.PHONY: golden-hash
golden-hash: ## make the vectors of Go's JSON and hash again; a difference fails
	hack/generate-golden-hash

.PHONY: descriptors
descriptors: ## make the descriptors of Envoy's messages again
	hack/generate-descriptors

.PHONY: clean
clean: ## remove everything that was built
	cargo clean
