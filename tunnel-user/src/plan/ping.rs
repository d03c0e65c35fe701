//! Judges the path to a peer by the answers to `rewrite ping`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::path_mtu::Found;
use super::ping_message::ReadStamp;

/// The observations about one peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The number of small requests that were sent.
    pub sent: u32,
    /// The times between these requests and their answers.
    pub times: Vec<Duration>,
    /// The stamp of the last answer that has one.
    pub stamp: Option<ReadStamp>,
    /// True if an answer came without a stamp.
    pub is_unstamped: bool,
    /// The sizes of packets that arrive at the peer and come back; `None` before the first answer.
    pub sizes: Option<Found>,
    /// The last error about a small request.
    pub error: Option<Failure>,
    /// The number of all answers, including the answers to large requests.
    pub answers: u64,
    /// True if the ingress program rewrote fewer packets from the peer than answers came: some came native.
    pub is_native: bool,
    /// The packets from the peer that the ingress program rewrote meanwhile, less the answers.
    pub arrived: u64,
    /// True if the peer's program has stamped a path probe, after the pings had no answer.
    pub is_path_open: bool,
    /// The interface by which this host sends to the peer, if it is not the attached interface.
    pub other_way: Option<String>,
}

/// An error about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The host that reports the error; `None` for this host.
    pub reporter: Option<IpAddr>,
    /// The error, in the kernel's words.
    pub what: String,
    /// True if this host's kernel did not send the request: it has no route to the peer, or a firewall forbids it.
    pub is_local: bool,
}

/// The state of the path to a peer and back, as the answers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The peer's program stamped the request, and both hosts have the same members.
    Ok,
    /// The peer is marked direct, and answers from its private address.
    Direct,
    /// This host sends to the peer by an interface other than the attached one, and answers come.
    Native,
    /// More than a quarter of the packets, or of their answers, got lost.
    Lossy,
    /// Packets above a size, or their answers, vanish, and no router reports them.
    MtuHole,
    /// The peer's program stamped the request, but the hosts' members differ.
    FileDiffers,
    /// The peer's program does not know the address that this host's packets come from.
    UnknownThere,
    /// Answers came without a stamp: no program of this version handled the requests.
    NotAttached,
    /// No answer came, but the peer's program has stamped a path probe.
    Filtered,
    /// No answer came.
    NoAnswer,
    /// This host did not send the requests.
    NotSent,
}

impl State {
    /// All states.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Direct,
        Self::Native,
        Self::Lossy,
        Self::MtuHole,
        Self::FileDiffers,
        Self::UnknownThere,
        Self::NotAttached,
        Self::Filtered,
        Self::NoAnswer,
        Self::NotSent,
    ];

    /// The state's name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Direct => "direct",
            Self::Native => "native",
            Self::Lossy => "lossy",
            Self::MtuHole => "mtu-hole",
            Self::FileDiffers => "file-differs",
            Self::UnknownThere => "unknown-there",
            Self::NotAttached => "not-attached",
            Self::Filtered => "filtered",
            Self::NoAnswer => "no-answer",
            Self::NotSent => "not-sent",
        }
    }

    /// True if packets between the hosts go both ways.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Ok | Self::Direct | Self::Native)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The facts about this host and the peer that a judgement needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The digest of this host's members, for the family of the ping.
    pub digest: [u8; 8],
    /// True if the peer is marked direct.
    pub is_direct: bool,
}

/// Judges the path to a peer.
#[must_use]
pub fn judge(observed: &Observed, known: &Known) -> State {
    let received = u32::try_from(observed.times.len()).unwrap_or(u32::MAX);
    if received == 0 {
        let is_local = observed.error.as_ref().is_some_and(|error| error.is_local);
        return match observed.is_path_open {
            _ if is_local => State::NotSent,
            true => State::Filtered,
            false => State::NoAnswer,
        };
    }
    let is_unknown = |digest: &[u8; 8]| *digest == [0; 8];
    match &observed.stamp {
        _ if observed.is_unstamped && observed.other_way.is_some() => State::Native,
        _ if observed.is_unstamped => match observed.is_native && known.is_direct {
            true => State::Direct,
            false => State::NotAttached,
        },
        None => State::NotAttached,
        Some(stamp) if !stamp.from_peer => State::UnknownThere,
        Some(stamp)
            if stamp.digest != known.digest
                && !is_unknown(&stamp.digest)
                && !is_unknown(&known.digest) =>
        {
            State::FileDiffers
        }
        Some(_) if observed.sizes.is_some_and(|sizes| sizes.is_hole) => State::MtuHole,
        Some(_) if observed.sent.saturating_sub(received).saturating_mul(4) > observed.sent => {
            State::Lossy
        }
        Some(_) => State::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    fn stamp(from_peer: bool) -> ReadStamp {
        ReadStamp {
            from_peer,
            by_program: false,
            hop_limit: 63,
            abi_version: 3,
            version: "0.1.0".into(),
            revision: None,
            digest: DIGEST,
            source: IpAddr::from([198, 51, 100, 2]),
            destination: IpAddr::from([203, 0, 113, 2]),
        }
    }

    fn observed(stamp: Option<ReadStamp>) -> Observed {
        let times = vec![Duration::from_millis(1)];
        let is_unstamped = stamp.is_none();
        Observed { sent: 1, times, stamp, is_unstamped, ..Observed::default() }
    }

    #[test]
    fn each_observation_has_its_state() {
        let known = Known { digest: DIGEST, is_direct: false };
        let other = Known { digest: [9; 8], ..known };
        let unknown = Known { digest: [0; 8], ..known };
        let direct = Known { is_direct: true, ..known.clone() };
        let silent = Observed { sent: 3, ..Observed::default() };
        let error = |is_local| Some(Failure { reporter: None, what: "no".into(), is_local });
        let hole = Some(Found { out: 1400, back: 1400, is_hole: true });
        let by_cable = Observed { other_way: Some("cable".into()), ..observed(None) };
        let native = Observed { is_native: true, ..observed(None) };
        for (observed, known, expected) in [
            (observed(Some(stamp(true))), &known, State::Ok),
            (observed(Some(stamp(true))), &other, State::FileDiffers),
            (observed(Some(stamp(true))), &unknown, State::Ok),
            (Observed { sizes: hole, ..observed(Some(stamp(true))) }, &known, State::MtuHole),
            (
                Observed { sent: 4, times: vec![Duration::ZERO; 3], ..observed(Some(stamp(true))) },
                &known,
                State::Ok,
            ),
            (
                Observed { sent: 3, times: vec![Duration::ZERO; 2], ..observed(Some(stamp(true))) },
                &known,
                State::Lossy,
            ),
            (
                Observed { is_unstamped: true, ..observed(Some(stamp(true))) },
                &known,
                State::NotAttached,
            ),
            (observed(Some(stamp(false))), &known, State::UnknownThere),
            (observed(None), &known, State::NotAttached),
            (observed(None), &direct, State::NotAttached),
            (native.clone(), &direct, State::Direct),
            (by_cable.clone(), &known, State::Native),
            (
                Observed { stamp: Some(stamp(true)), is_unstamped: false, ..by_cable },
                &known,
                State::Ok,
            ),
            (native, &known, State::NotAttached),
            (observed(Some(stamp(true))), &direct, State::Ok),
            (silent.clone(), &known, State::NoAnswer),
            (Observed { arrived: 3, ..silent.clone() }, &known, State::NoAnswer),
            (Observed { is_path_open: true, ..silent.clone() }, &known, State::Filtered),
            (
                Observed { is_path_open: true, error: error(true), ..silent.clone() },
                &known,
                State::NotSent,
            ),
            (Observed { error: error(false), ..silent.clone() }, &known, State::NoAnswer),
            (Observed { error: error(true), ..silent }, &known, State::NotSent),
        ] {
            assert_eq!(judge(&observed, known), expected, "{observed:?}");
        }
    }

    /// Scripts read these names.
    #[test]
    fn each_state_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            State::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), State::ALL.len());
        let is_name =
            |name: &String| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(names.iter().all(is_name), "{names:?}");
        assert!(State::ALL.iter().all(|state| names.contains(state.name())));
    }
}
