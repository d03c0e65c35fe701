//! A third member, C, on a third side of the router.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;

use anyhow::{Context, Result};
use tests::lab::{A_PRIVATE, B_PRIVATE, Lab, LabOptions, PUBLIC_INTERFACE};
use tests::netns::Namespace;
use tests::traffic::tcp_transfer;

use crate::cluster::Cluster;
use crate::conversation::{MEGABYTE, PORT};

const C_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const C: &str = "
[[member]]
name    = \"srvc\"
private = \"10.0.0.3\"
public  = \"192.0.2.2\"";

#[test]
fn a_talks_to_b_and_c_at_once_and_each_is_counted_by_itself() -> Result<()> {
    let cluster = Cluster::new(LabOptions::default())?;
    let lab = &cluster.lab;
    let c = hang_on_the_router(lab)?;
    cluster.append_to_file(C)?;
    for host in [&lab.a, &lab.b, &c] {
        cluster.attach(host, &[])?;
    }

    let (to_b, to_c) = (6 * MEGABYTE, 2 * MEGABYTE);
    thread::scope(|scope| {
        let transfers =
            [(&lab.b, B_PRIVATE, to_b), (&c, C_PRIVATE, to_c)].map(|(to, dst, bytes)| {
                scope.spawn(move || {
                    tcp_transfer(&lab.a, to, None, SocketAddrV4::new(dst, PORT), bytes)
                        .with_context(|| format!("to {dst}"))
                })
            });
        for transfer in transfers {
            let report =
                transfer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            assert_eq!(report.sender_seen.ip(), A_PRIVATE);
        }
        anyhow::Ok(())
    })?;

    let [at_a, at_b, at_c] = [cluster.stats(&lab.a)?, cluster.stats(&lab.b)?, cluster.stats(&c)?];
    for (peer, sent, received) in [("srvb", to_b, &at_b), ("srvc", to_c, &at_c)] {
        let (there, here) = (received.peer("srva")?, at_a.peer(peer)?);
        // Neither less than was sent, nor what was sent to the other one as well.
        for bytes in [here.egress.bytes, there.ingress.bytes] {
            assert!(bytes >= sent && bytes < sent + sent / 4, "{peer}: {at_a:?} {received:?}");
        }
        assert!(here.ingress.packets > 0 && there.egress.packets > 0, "{at_a:?} {received:?}");
    }
    for (stats, silent) in [(&at_b, "srvc"), (&at_c, "srvb")] {
        let rewritten = stats.peer(silent)?;
        assert_eq!((rewritten.egress.packets, rewritten.ingress.packets), (0, 0));
    }
    for stats in [&at_a, &at_b, &at_c] {
        assert_eq!(stats.not_rewritten(), []);
    }
    Ok(())
}

/// One more host, with a network of its own behind the router.
fn hang_on_the_router(lab: &Lab) -> Result<Namespace> {
    let lab_name = lab.a.name().strip_suffix("-a").context("the name of A")?;
    let c = Namespace::create(&format!("{lab_name}-c"))?;
    let port = "eth-c";
    let router = lab.router.name();
    c.run(&[
        "ip",
        "link",
        "add",
        PUBLIC_INTERFACE,
        "type",
        "veth",
        "peer",
        "name",
        port,
        "netns",
        router,
    ])?;
    for (namespace, interface, address) in
        [(&c, PUBLIC_INTERFACE, "192.0.2.2/24"), (&lab.router, port, "192.0.2.1/24")]
    {
        namespace.run(&["ip", "link", "set", interface, "addrgenmode", "none", "up"])?;
        namespace.run(&["ip", "address", "add", address, "dev", interface])?;
    }
    c.run(&["ip", "route", "add", "default", "via", "192.0.2.1"])?;
    for scope in ["all", PUBLIC_INTERFACE] {
        c.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
    }
    Ok(c)
}
