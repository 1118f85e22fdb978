// The process that holds a pod's namespaces.
module trireme.dev/cluster/pause

go 1.24.0
