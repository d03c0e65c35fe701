//! Connections between public addresses, such as an operator's ssh from one member to another, live through attach and
//! detach on either side, whichever side sends first.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use testkit::lab::FAMILIES;
use testkit::netns::Namespace;
use testkit::traffic::{dial_from, limit};

use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};

const PORT: u16 = 2222;

/// Both ends of a connection.
struct Session {
    what: String,
    client: TcpStream,
    server: TcpStream,
}

impl Session {
    /// Opens a connection from `from` at `source` to `to` at `destination`.
    fn open(
        (from, source): (&Namespace, IpAddr),
        (to, destination): (&Namespace, IpAddr),
    ) -> Result<Self> {
        let listener = to.enter(|| TcpListener::bind((destination, PORT)))??;
        limit(&listener)?;
        let address = SocketAddr::new(destination, PORT);
        let client = from.enter(|| dial_from(Some((source, 0).into()), address))??;
        let server = listener.accept().context("accept")?.0;
        Ok(Self { what: format!("{source} to {destination}"), client, server })
    }

    /// Requires that a line arrives in each direction, first from the server or from the client.
    fn require_alive(&mut self, server_first: bool, when: &str) -> Result<()> {
        let (mut first, mut second) = (&self.server, &self.client);
        if !server_first {
            std::mem::swap(&mut first, &mut second);
        }
        let passed = pass(first, second).and_then(|()| pass(second, first));
        passed.with_context(|| format!("{}, {when}, the server first: {server_first}", self.what))
    }
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) -> Result<()> {
    from.write_all(b"a line\n").context("write")?;
    let mut line = [0; 7];
    to.read_exact(&mut line).context("read")?;
    ensure!(&line == b"a line\n");
    Ok(())
}

fn live_through(options: &[&str]) -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.file("cluster.toml", scenario.lab.cluster_toml_of(&FAMILIES))?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let mut sessions = Vec::new();
    // Open sessions from both hosts. On half of them, the server sends first in every step: a host's programs know a
    // flow after the first packet that leaves the host.
    for family in FAMILIES {
        for _ in 0..4 {
            let (at_a, at_b) = ((a, family.a_public), (b, family.b_public));
            sessions.push(Session::open(at_a, at_b)?);
            sessions.push(Session::open(at_b, at_a)?);
        }
    }
    let check = |sessions: &mut [Session], when: &str| -> Result<()> {
        let fresh = sessions.iter_mut().enumerate();
        for (index, session) in fresh {
            session.require_alive(index % 4 < 2, when)?;
        }
        Ok(())
    };
    scenario.attach(a, options)?;
    check(&mut sessions, "A attached")?;
    scenario.attach(b, options)?;
    check(&mut sessions, "both attached")?;
    scenario.require_traffic()?;
    scenario.detach(a)?;
    check(&mut sessions, "A detached")?;
    scenario.attach(a, options)?;
    check(&mut sessions, "A attached again")?;
    scenario.detach(b)?;
    check(&mut sessions, "B detached")?;
    scenario.detach(a)?;
    check(&mut sessions, "both detached")
}

#[test]
fn they_live_through_attach_and_detach_of_either_side() -> Result<()> {
    live_through(NOTHING_MORE)
}

#[test]
fn they_live_through_attach_and_detach_by_clsact() -> Result<()> {
    live_through(CLSACT)
}

#[test]
fn they_live_through_attach_and_detach_with_xdp() -> Result<()> {
    live_through(XDP)
}

#[test]
fn one_with_a_peer_that_is_added_later_lives_on() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.attach(a, NOTHING_MORE)?;
    scenario.rewrite.run(a, &["peer", "remove", "srvb"])?;
    let [v4, _] = FAMILIES;
    let mut session = Session::open((a, v4.a_public), (b, v4.b_public))?;
    let (private, public) = (v4.b_private.to_string(), v4.b_public.to_string());
    scenario
        .rewrite
        .run(a, &["peer", "add", "srvb", "--private", &private, "--public", &public])?;
    session.require_alive(true, "srvb added")
}
