module streamingstack.dev/e2e/cluster/volume

go 1.24
