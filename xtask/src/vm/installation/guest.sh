# Runs in the virtual machine, from init.sh: installs the package, attaches two hosts with a router between them, and
# removes everything again. console.rs understands what is said.

export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# Does a step, and says its exit code.
step() {
    name=$1
    shift
    "$@"
    echo "@vm step $name $?"
}
# Runs a command on a host. `ip netns exec` would hide the BPF file system.
on() {
    host=$1
    shift
    nsenter --net="/run/netns/$host" "$@"
}
# Runs a command on both hosts.
each() {
    on a "$@" && on b "$@"
}

install_package() {
    mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/log &&
        : >/var/lib/dpkg/status &&
        dpkg --install /rewrite.deb &&
        rewrite --version &&
        cat >/etc/rewrite/cluster.toml <<'END'
[[member]]
name    = "srva"
private = "10.0.0.1"
public  = "198.51.100.2"

[[member]]
name    = "srvb"
private = "10.0.0.2"
public  = "203.0.113.2"
END
}
# Joins a host to the router: its name, and the beginning of its network's addresses.
join() {
    ip netns add "$1" &&
        ip link add "eth-$1" netns router type veth peer name eth0 netns "$1" &&
        on router ip address add "$2.1/24" dev "eth-$1" &&
        on router ip link set "eth-$1" up &&
        on "$1" ip link set lo up &&
        on "$1" ip address add "$2.2/24" dev eth0 &&
        on "$1" ip link set eth0 up &&
        on "$1" ip route add default via "$2.1"
}
make_hosts() {
    ip netns add router &&
        on router sysctl -w net.ipv4.ip_forward=1 &&
        on router ip route add blackhole 10.0.0.0/8 &&
        join a 198.51.100 &&
        join b 203.0.113
}
# Sends the largest file from A to B by TCP, and compares what has arrived.
transfer() {
    on b timeout 60 nc.openbsd -l -N 10.0.0.2 7000 </dev/null >/tmp/arrived &
    listener=$!
    until on b ss --no-header --listening --tcp --numeric | grep -q 10.0.0.2:7000; do
        if ! kill -0 "$listener"; then return 1; fi
        sleep 0.1
    done
    on a timeout 60 nc.openbsd -N 10.0.0.2 7000 </usr/bin/rewrite &&
        wait "$listener" &&
        cmp /tmp/arrived /usr/bin/rewrite
}
show_status() {
    each rewrite status && on a rewrite status --json >/tmp/status.json
}
attach_by_xdp() {
    each rewrite detach eth0 &&
        each rewrite attach eth0 --ingress xdp &&
        each rewrite ping &&
        transfer
}
# The addresses and pins of an attached host are gone.
detach() {
    each rewrite detach eth0 &&
        ! on a ip address show dev lo | grep -F 10.0.0.1 &&
        [ -z "$(ls -d /sys/fs/bpf/rewrite/*/eth0 2>/dev/null)" ]
}
purge() {
    rm /etc/rewrite/cluster.toml &&
        dpkg --purge rewrite &&
        [ ! -e /usr/bin/rewrite ] && [ ! -e /etc/rewrite ] && [ ! -e /run/rewrite ]
}

echo "@vm architecture $(uname -m)"
step install install_package
step hosts make_hosts
step explain rewrite explain --all
step attach each rewrite attach eth0
step ping on a ping -c 3 -W 5 10.0.0.2
step transfer transfer
step rewrite-ping each rewrite ping
step status show_status
step xdp attach_by_xdp
step detach detach
step purge purge
