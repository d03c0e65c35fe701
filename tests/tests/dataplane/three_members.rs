//! Tests a third member, C, on a third interface of the router.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context, Result};
use testkit::lab::{IPV4, LabOptions};
use testkit::traffic::tcp_transfer;

use crate::cluster::Cluster;
use crate::conversation::{MEGABYTE, PORT};
use crate::third_host;

const C: &str = "
[[member]]
name    = \"srvc\"
private = \"10.0.0.3\"
public  = \"192.0.2.2\"";

#[test]
fn a_talks_to_b_and_c_at_once_and_each_is_counted_by_itself() -> Result<()> {
    let cluster = Cluster::new(&[IPV4], LabOptions::default())?;
    let lab = &cluster.lab;
    let c = third_host::hang_on_the_router(lab)?;
    cluster.append_to_file(C)?;
    for host in [&lab.a, &lab.b, &c] {
        cluster.attach(host, &[])?;
    }

    let (to_b, to_c) = (6 * MEGABYTE, 2 * MEGABYTE);
    thread::scope(|scope| {
        let transfers = [(&lab.b, IPV4.b_private, to_b), (&c, third_host::IPV4.private, to_c)].map(
            |(to, dst, bytes)| {
                scope.spawn(move || {
                    tcp_transfer(&lab.a, to, None, SocketAddr::new(dst, PORT), bytes)
                        .with_context(|| format!("to {dst}"))
                })
            },
        );
        for transfer in transfers {
            let report =
                transfer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            assert_eq!(report.sender_seen.ip(), IPV4.a_private);
        }
        anyhow::Ok(())
    })?;

    let [at_a, at_b, at_c] = [cluster.stats(&lab.a)?, cluster.stats(&lab.b)?, cluster.stats(&c)?];
    for (peer, sent, received) in [("srvb", to_b, &at_b), ("srvc", to_c, &at_c)] {
        let (there, here) = (received.peer("srva")?, at_a.peer(peer)?);
        // The counter holds at least the bytes sent to this peer, and excludes the bytes sent to the other peer.
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
