#!/bin/sh
# The first process of the engine's own mount, process and network namespaces.
#
# Whatever the engine mounts, starts or routes lives in these namespaces, and the kernel
# ends all of it with this process: nothing is left on the host, however the end comes.
set -eu
# Not the host's: sockets and state of an engine that may live there, too.
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
exec docker-init -- dockerd "$@"
