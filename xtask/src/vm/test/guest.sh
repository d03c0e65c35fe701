# Runs in the virtual machine, from init.sh: attaches once, and runs what /runs lists. console.rs
# understands what is said.

# The product by hand, on an interface of this host's own: which hook does it choose here?
attach_by_hand() {
    cat >/tmp/cluster.toml <<'END'
[[member]]
name    = "srva"
private = "10.0.0.1"
public  = "198.51.100.2"

[[member]]
name    = "srvb"
private = "10.0.0.2"
public  = "203.0.113.2"
END
    ip link add eth0 type veth peer name far &&
        ip link set far up &&
        ip link set eth0 up &&
        ip address add 198.51.100.2/24 dev eth0 &&
        ip route add default via 198.51.100.1 &&
        rewrite attach eth0 --config /tmp/cluster.toml &&
        rewrite status --json >/tmp/status.json &&
        rewrite detach eth0 &&
        ip link delete eth0
}
# Whether the kernel has this function.
can() {
    [ "$1" = - ] || grep -q " $1\$" /proc/kallsyms
}

attach_by_hand
code=$?
hook=$(sed -n 's/.*"hook": *"\([a-z]*\)".*/\1/p' /tmp/status.json)
expected=clsact
if can tcx_prog_attach; then expected=tcx; fi
if [ "$hook" != "$expected" ]; then code=1; fi
echo "@vm attach $code $hook $(seconds)"

# Nothing asks for the drivers of devices that are there from the start. virtio's are on a bus of their own.
if [ -s /drivers ]; then
    while read -r driver; do
        if [ "$driver" = virtio_net ]; then modprobe virtio_pci; fi
        modprobe "$driver"
    done </drivers
fi
# How many devices are in this namespace.
devices() {
    set -- /sys/class/net/*/device
    echo $#
}
all=$(devices)

# An emulated processor may not come to its packets for longer than it takes 1000 of them to arrive, the
# usual limit: they would be lost where a test wants none to be.
echo 100000 >/proc/sys/net/core/netdev_max_backlog

while read -r needs program arguments; do
    if ! can "$needs"; then
        echo "skipped: this kernel has no $needs"
        continue
    fi
    echo "@vm begin $program"
    # The arguments have no spaces of their own.
    # shellcheck disable=SC2086
    "/tests/$program" $arguments
    echo "@vm end $? $(seconds)"
done </runs

# Devices come back some time after the namespace of a lab is gone. vmxnet3 of Linux 6.1 panics where it is
# shut down on its way (vmxnet3_rq_destroy).
tries=100
while [ "$(devices)" != "$all" ] && [ "$tries" -gt 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
done
