# In a network namespace of its own: joins pairs of tap devices, "tap0,tap1 tap2,tap3", by a bridge each,
# and becomes the program that follows.

set -e
wires=$1
shift
# Nothing on the wires but what comes from the devices at their ends.
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
for filter in /proc/sys/net/bridge/bridge-nf-call-*; do
    if [ -e "$filter" ]; then echo 0 >"$filter"; fi
done
number=0
for wire in $wires; do
    ip link add "wire$number" type bridge forward_delay 0 mcast_snooping 0
    for tap in "${wire%,*}" "${wire#*,}"; do
        ip tuntap add mode tap vnet_hdr name "$tap"
        ip link set "$tap" master "wire$number" up
    done
    ip link set "wire$number" up
    number=$((number + 1))
done
exec "$@"
