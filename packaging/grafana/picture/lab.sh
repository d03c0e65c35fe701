#!/bin/bash
# Runs four hosts behind a router, with nine minutes of traffic, and a Prometheus that scrapes their daemons every 5 s.
# Then it runs the command in "$@", and removes all. Prometheus answers at 127.0.0.1:9090 in the namespace rwda-r.
# REWRITE_BIN is the binary. The lab needs root, and Debian's iproute2, iperf3, iputils-ping and prometheus.
set -euo pipefail

rewrite=${REWRITE_BIN:-rewrite}
minute=${LAB_MINUTE:-60}   # in seconds; a small number tries the script out
names=(a b c d)
folder=$(mktemp -d)
cluster=$folder/cluster.toml
pids=()

host() { ip netns exec "rwda-$1" "${@:2}"; }
minutes() { sleep "$(awk "BEGIN { print $1 * $minute }")"; }
keep() { "$@" > /dev/null 2>> "$folder/log" & pids+=($!); }
traffic() { keep ip netns exec "rwda-$1" "${@:2}"; }

end() {
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
    wait
    for name in "${names[@]}"; do
        "$rewrite" detach --all --netns "rwda-$name" > /dev/null || true
        ip netns del "rwda-$name" || true
    done
    ip netns del rwda-r || true
    rm -rf "$folder"
}
trap end EXIT

ip netns add rwda-r
host r sysctl -qw net.ipv4.ip_forward=1
ip -n rwda-r link set lo up
for index in "${!names[@]}"; do
    name=${names[$index]}
    public=198.51.100.$((16 * index + 2)) router=198.51.100.$((16 * index + 1))
    ip netns add "rwda-$name"
    ip -n "rwda-$name" link set lo up
    ip -n "rwda-$name" link add eth0 type veth peer name "srv$name" netns rwda-r
    ip -n "rwda-$name" addr add "$public/28" dev eth0
    ip -n "rwda-$name" link set eth0 up
    ip -n rwda-r addr add "$router/28" dev "srv$name"
    ip -n rwda-r link set "srv$name" up
    ip -n "rwda-$name" route add default via "$router"
    printf '[[member]]\nname = "srv%s"\nprivate = "10.0.0.%d"\npublic = "%s"\n\n' \
        "$name" $((index + 1)) "$public" >> "$cluster"
    printf '%s srv%s\n' "$public" "$name" >> "$folder/hosts"
done
for name in "${names[@]}"; do
    keep "$rewrite" run eth0 --netns "rwda-$name" --config "$cluster" --metrics 0.0.0.0:9114
done

cat > "$folder/prometheus.yml" << 'END'
global: { scrape_interval: 5s }
scrape_configs:
  - job_name: rewrite
    static_configs:
      - targets: ["srva:9114", "srvb:9114", "srvc:9114", "srvd:9114"]
END
# Prometheus resolves the names of this lab.
export LAB_FOLDER=$folder
# shellcheck disable=SC2016
keep ip netns exec rwda-r unshare --mount sh -c 'mount --bind "$LAB_FOLDER/hosts" /etc/hosts &&
    exec prometheus --config.file="$LAB_FOLDER/prometheus.yml" --storage.tsdb.path="$LAB_FOLDER/data" \
    --web.listen-address=127.0.0.1:9090'

minutes 0.5
for name in b c; do traffic "$name" iperf3 --server; done
sleep 1
traffic a ping -q -i 0.5 10.0.0.2
traffic a ping -q -i 0.005 -s 1000 10.0.0.3
traffic a ping -q -i 0.02 -s 200 10.0.0.4
traffic b ping -q -i 0.01 -s 600 10.0.0.3
traffic c ping -q -i 0.05 10.0.0.4
minutes 1
traffic a iperf3 --client 10.0.0.2 --udp --bitrate 8M --time $((minute * 9))
minutes 1
echo "srvb sends from an address that the cluster file lacks"
ip -n rwda-b addr add 192.0.2.1/32 dev lo
traffic b timeout $((minute * 2)) ping -q -i 0.2 -I 192.0.2.1 10.0.0.1
minutes 1
echo "srvc moves"
ip -n rwda-c addr add 198.51.100.35/28 dev eth0
"$rewrite" peer set srvc --public 198.51.100.35 --save --netns rwda-a --config "$cluster"
traffic b iperf3 --client 10.0.0.3 --udp --bitrate 3M --time $((minute * 2))
minutes 2
echo "the router has no route to srvd for srva"
ip -n rwda-r rule add iif srva to 198.51.100.48/28 unreachable
minutes 1
echo "srvd falls silent"
ip -n rwda-r rule add iif srvd blackhole
minutes 1.5
echo "srva puts a change on trial"
"$rewrite" peer set srvb --bypass tcp/22 --confirm-within "$((minute * 8))s" --netns rwda-a
minutes 1
"$@"
