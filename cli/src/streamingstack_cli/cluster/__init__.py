"""What the command does with stacks on a Kubernetes cluster."""
