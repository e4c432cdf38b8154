module streamingstack.dev/e2e/cluster/crds

go 1.26.0

// No program: the definitions of kinds that a cluster may or may not serve lie in these modules as YAML.
require (
	github.com/kedacore/keda/v2 v2.21.0 // indirect
	github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
)
