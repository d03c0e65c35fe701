//! Parses the TCP connections between the machines of a cluster, and waits until exactly the lasting connections are
//! open. A lasting connection stays open in a cluster at rest, whose daemons and clients have connected to all their
//! bricks and glusterds.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait::wait_until;

/// The port on which a glusterd listens.
const GLUSTERD: u16 = 24007;

/// One end of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// This machine's address and port.
    pub local: SocketAddr,
    /// The other end's address and port.
    pub remote: SocketAddr,
    /// The kernel's cookie of the socket. The kernel never reuses a cookie, so a new connection between
    /// the same ports differs from the old one.
    pub cookie: String,
}

impl Connection {
    /// Parses a line of `ss -Htne` with a state filter. With the filter, `ss` omits the column for the state.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(2);
        let (local, remote) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let cookie = words.find_map(|word| word.strip_prefix("sk:"))?.to_owned();
        Some(Self { local, remote, cookie })
    }
}

/// The numbers of connections that a cluster at rest keeps open between its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// The number of connections between glusterds. Each glusterd dials every other glusterd.
    pub to_glusterds: usize,
    /// The number of connections to bricks, from the healers and the volume's clients on other machines.
    pub to_bricks: usize,
}

impl Lasting {
    /// The ends of the lasting connections in `open`. `None` if a lasting connection is missing, or any
    /// other connection is open. The machines list their ends for `open` one after the other.
    ///
    /// An end counts only if `open` also contains the connection's other end. An unpaired end has one of two
    /// causes: the two machines listed their ends at different instants, or the other machine has given up
    /// the connection. In the second case, the end stays open until a packet arrives from that machine.
    ///
    /// A client asks the glusterd for a brick's port over a separate connection before the client dials the brick.
    /// During the last such query, the total number of ends is already right: the connection to the glusterd makes up
    /// for the missing connection to the brick. The function therefore also compares the number of connections to
    /// glusterds.
    fn of(self, open: &BTreeSet<Connection>) -> Option<BTreeSet<Connection>> {
        let ends: BTreeSet<_> = open.iter().map(|end| (end.local, end.remote)).collect();
        let has_other = |end: &&Connection| ends.contains(&(end.remote, end.local));
        let paired: BTreeSet<_> = open.iter().filter(has_other).cloned().collect();
        let to_glusterds = paired.iter().filter(|end| end.remote.port() == GLUSTERD).count();
        let are_all = to_glusterds == self.to_glusterds
            && paired.len() == 2 * (self.to_glusterds + self.to_bricks);
        are_all.then_some(paired)
    }

    /// Waits until exactly the lasting connections are open, and returns their ends.
    pub(super) fn wait(
        self,
        deadline: Duration,
        open_connections: impl Fn() -> Result<BTreeSet<Connection>>,
    ) -> Result<BTreeSet<Connection>> {
        let mut seen = BTreeSet::new();
        let found = wait_until("the connections of a cluster at rest", deadline, || {
            seen = open_connections()?;
            Ok(self.of(&seen))
        });
        found.with_context(|| format!("{seen:#?} in place of {self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_MACHINES: Lasting = Lasting { to_glusterds: 2, to_bricks: 3 };
    const AT_REST: [[&str; 2]; 5] = [
        ["10.0.0.1:49151", "10.0.0.2:24007"],
        ["10.0.0.2:49151", "10.0.0.1:24007"],
        ["10.0.0.1:49142", "10.0.0.2:53229"],
        ["10.0.0.1:49137", "10.0.0.2:53229"],
        ["10.0.0.2:49149", "10.0.0.1:59237"],
    ];

    fn end(local: &str, remote: &str) -> Connection {
        let line = format!("0 0 {local} {remote} ino:7 sk:{local} cgroup:/ <->");
        Connection::parse(&line).expect("a line of `ss`")
    }

    fn both_ends(connections: &[[&str; 2]]) -> BTreeSet<Connection> {
        connections.iter().flat_map(|&[one, other]| [end(one, other), end(other, one)]).collect()
    }

    #[test]
    fn all_connections_of_a_cluster_at_rest_are_lasting() {
        let open = both_ends(&AT_REST);
        assert_eq!(TWO_MACHINES.of(&open), Some(open));
    }

    #[test]
    fn a_connection_fewer_or_more_is_not_the_cluster_at_rest() {
        assert_eq!(TWO_MACHINES.of(&both_ends(&AT_REST[..4])), None);
        let more = ["10.0.0.1:49136", "10.0.0.2:53229"];
        assert_eq!(TWO_MACHINES.of(&both_ends(&[&AT_REST[..], &[more]].concat())), None);
    }

    /// A server was cut off, and its client gave up the connection in the meantime. The server's end is still open.
    #[test]
    fn an_end_whose_other_end_was_given_up_is_no_lasting_connection() {
        let at_rest = both_ends(&AT_REST);
        let mut open = at_rest.clone();
        open.insert(end("10.0.0.1:57440", "10.0.0.2:49141"));
        assert_eq!(TWO_MACHINES.of(&open), Some(at_rest));
    }

    #[test]
    fn a_question_for_a_port_is_not_a_lasting_connection() {
        let mut asking = AT_REST;
        asking[3] = ["10.0.0.1:49138", "10.0.0.2:24007"];
        assert_eq!(TWO_MACHINES.of(&both_ends(&asking)), None);
    }

    /// The test lists the first machine's ends during a healer's port query, and the second machine's ends after the
    /// healer has connected to the brick: ten ends, as at rest.
    #[test]
    fn ends_that_were_seen_at_two_instants_are_not_lasting() {
        let mut seen = both_ends(&AT_REST);
        seen.remove(&end("10.0.0.1:49137", "10.0.0.2:53229"));
        seen.insert(end("10.0.0.1:49138", "10.0.0.2:24007"));
        assert_eq!(seen.len(), 10);
        assert_eq!(TWO_MACHINES.of(&seen), None);
        // The first machine still lists the port query, and does not list its glusterd's own connection yet.
        seen.remove(&end("10.0.0.1:49151", "10.0.0.2:24007"));
        seen.insert(end("10.0.0.1:49137", "10.0.0.2:53229"));
        assert_eq!(seen.len(), 10);
        assert_eq!(TWO_MACHINES.of(&seen), None);
    }
}
