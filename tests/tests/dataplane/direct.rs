//! Attaches and detaches two direct members on one network, one at a time, while they exchange data over their private
//! addresses.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::lab::{Addresses, CABLE_INTERFACE, IPV4, IPV6, LabOptions, add_address};
use testkit::netns::Namespace;
use testkit::traffic::{dial, tcp_transfer};
use testkit::wait::{retry_eintr, wait_until};

use crate::cluster::Cluster;
use crate::conversation::{self, PORT, checksums_were_right};

/// The hosts' public addresses on the cable, in addition to their private addresses.
const PUBLIC_V4: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))];
const PUBLIC_V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 2)),
];
const INTERVAL: Duration = Duration::from_millis(2);
/// The longest pause of a flow while a host attaches or detaches.
const STALL: Duration = Duration::from_secs(5);
/// The number of further messages that prove a flow alive.
const GOES_ON: u32 = 100;

/// Numbered messages from one socket to another.
struct Flow {
    name: &'static str,
    received: Arc<AtomicU32>,
    threads: [JoinHandle<Result<()>>; 2],
}

/// Four flows: UDP and TCP, both ways. The two TCP flows share one connection.
struct Flows {
    stop: Arc<AtomicBool>,
    flows: Vec<Flow>,
}

impl Flows {
    fn start(a: &Namespace, b: &Namespace, family: &Addresses) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (at_a, at_b) =
            (SocketAddr::new(family.a_private, PORT), SocketAddr::new(family.b_private, PORT));
        let sockets = [(a, at_a, at_b), (b, at_b, at_a)].map(|(host, own, peer)| {
            let socket = host.enter(|| UdpSocket::bind(own))??;
            socket.set_read_timeout(Some(STALL))?;
            anyhow::Ok((socket, peer))
        });
        let [one, other] = sockets;
        let (one, other) = (one?, other?);
        let listener = b.enter(|| TcpListener::bind(at_b))??;
        let near = a.enter(|| dial(Some(family.a_private), at_b))??;
        let (far, _) = listener.accept()?;
        far.set_read_timeout(Some(STALL))?;
        let flows = vec![
            Flow::udp("udp to b", &one.0, one.1, &other.0, &stop)?,
            Flow::udp("udp to a", &other.0, other.1, &one.0, &stop)?,
            Flow::tcp("tcp to b", &near, &far, &stop)?,
            Flow::tcp("tcp to a", &far, &near, &stop)?,
        ];
        Ok(Self { stop, flows })
    }

    /// Waits until every flow has received [`GOES_ON`] more messages.
    fn go_on(&self) -> Result<()> {
        for flow in &self.flows {
            let before = flow.received.load(Ordering::Acquire);
            wait_until(flow.name, STALL, || {
                let more = flow.received.load(Ordering::Acquire) - before;
                Ok((more >= GOES_ON).then_some(()))
            })?;
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        for flow in self.flows {
            for thread in flow.threads {
                let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                ended.context(flow.name)?;
            }
        }
        Ok(())
    }
}

impl Flow {
    fn udp(
        name: &'static str,
        from: &UdpSocket,
        to: SocketAddr,
        receiver: &UdpSocket,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let (from, receiver) = (from.try_clone()?, receiver.try_clone()?);
        let sender = sender(stop, move |number| {
            // Ignore the error: it may be an ICMP error about an earlier datagram.
            let _ = from.send_to(&number.to_be_bytes(), to);
            Ok(())
        });
        let received = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&received);
        let ended = Arc::clone(stop);
        let receiver = thread::spawn(move || {
            let mut number = [0; 4];
            while !ended.load(Ordering::Acquire) {
                let (length, _) =
                    retry_eintr(|| receiver.recv_from(&mut number)).context("nothing arrives")?;
                ensure!(length == number.len(), "{length} bytes");
                counter.fetch_add(1, Ordering::AcqRel);
            }
            Ok(())
        });
        Ok(Self { name, received, threads: [sender, receiver] })
    }

    fn tcp(
        name: &'static str,
        from: &TcpStream,
        to: &TcpStream,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        from.set_nodelay(true)?;
        let sender = sender(stop, move |number| {
            from.write_all(&number.to_be_bytes()).context("the connection is gone")
        });
        let received = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&received);
        let ended = Arc::clone(stop);
        let receiver = thread::spawn(move || {
            let mut number = [0; 4];
            let mut wanted = 0_u32;
            while !ended.load(Ordering::Acquire) {
                to.read_exact(&mut number).context("nothing arrives")?;
                let number = u32::from_be_bytes(number);
                ensure!(number == wanted, "{number} instead of {wanted}");
                wanted += 1;
                counter.store(wanted, Ordering::Release);
            }
            Ok(())
        });
        Ok(Self { name, received, threads: [sender, receiver] })
    }
}

fn sender(
    stop: &Arc<AtomicBool>,
    mut send: impl FnMut(u32) -> Result<()> + Send + 'static,
) -> JoinHandle<Result<()>> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut number = 0;
        while !stop.load(Ordering::Acquire) {
            send(number)?;
            number += 1;
            thread::sleep(INTERVAL);
        }
        // Send one last message: the receiver may still be waiting for a message.
        send(number)
    })
}

#[test]
fn hosts_are_switched_one_at_a_time_ipv4() -> Result<()> {
    hosts_are_switched_one_at_a_time(&IPV4, PUBLIC_V4)
}

#[test]
fn hosts_are_switched_one_at_a_time_ipv6() -> Result<()> {
    hosts_are_switched_one_at_a_time(&IPV6, PUBLIC_V6)
}

fn hosts_are_switched_one_at_a_time(family: &Addresses, public: [IpAddr; 2]) -> Result<()> {
    let cluster = on_one_network(family, public)?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    let flows = Flows::start(a, b, family)?;
    flows.go_on().context("with nothing attached")?;
    for (step, host) in [("attach", a), ("attach", b), ("detach", a), ("detach", b)] {
        let switch = || format!("{step} in {}", host.name());
        if step == "attach" {
            cluster.attach_to(CABLE_INTERFACE, host, &[]).with_context(switch)?;
        } else {
            cluster.detach_from(CABLE_INTERFACE, host).with_context(switch)?;
        }
        flows.go_on().with_context(switch)?;
        if step == "attach" && host.name() == b.name() {
            // Both hosts are attached, so both hosts rewrite packets.
            let rewritten = cluster.stats(b)?.peer("srva")?;
            ensure!(rewritten.egress.packets + rewritten.ingress.packets > 0, "{rewritten:?}");
            // New connections end the grace period.
            for (from, to, dst) in [(a, b, family.b_private), (b, a, family.a_private)] {
                let there = SocketAddr::new(dst, conversation::next_port());
                tcp_transfer(from, to, None, there, 1)?;
            }
        }
    }
    flows.end()?;
    checksums_were_right(&cluster.lab)
}

fn on_one_network(family: &Addresses, public: [IpAddr; 2]) -> Result<Cluster> {
    let cluster = Cluster::unconnected(LabOptions { cable: true, ..LabOptions::default() })?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    let mut file = String::new();
    for (host, name, private, public) in
        [(a, "srva", family.a_private, public[0]), (b, "srvb", family.b_private, public[1])]
    {
        add_address(host, CABLE_INTERFACE, public)?;
        if private.is_ipv6() {
            let private = format!("{private}/64");
            host.run(&["ip", "address", "add", &private, "dev", CABLE_INTERFACE, "nodad"])?;
        }
        file += &format!(
            "[[member]]\nname = \"{name}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n\
             direct = true\n"
        );
    }
    cluster.write_file(&file)?;
    Ok(cluster)
}

#[test]
fn an_idle_connection_outlives_the_detach_of_one_side_ipv4() -> Result<()> {
    outlives_the_detach_of_one_side(&IPV4, PUBLIC_V4)
}

#[test]
fn an_idle_connection_outlives_the_detach_of_one_side_ipv6() -> Result<()> {
    outlives_the_detach_of_one_side(&IPV6, PUBLIC_V6)
}

fn outlives_the_detach_of_one_side(family: &Addresses, public: [IpAddr; 2]) -> Result<()> {
    let cluster = on_one_network(family, public)?;
    let (a, b) = (&cluster.lab.a, &cluster.lab.b);
    for host in [a, b] {
        cluster.attach_to(CABLE_INTERFACE, host, &[])?;
    }
    let at_b = SocketAddr::new(family.b_private, PORT);
    let listener = b.enter(|| TcpListener::bind(at_b))??;
    let mut near = a.enter(|| dial(None, at_b))??;
    let (mut far, _) = listener.accept()?;
    near.write_all(&[1])?;
    far.read_exact(&mut [0])?;
    cluster.detach_from(CABLE_INTERFACE, a)?;
    // The side that still rewrites sends first.
    far.write_all(&[2])?;
    near.read_exact(&mut [0]).context("from the attached side")?;
    near.write_all(&[3])?;
    far.read_exact(&mut [0]).context("to the attached side")
}
