//! Reads and checks the networks over which the members of a cluster reach each other.

use std::fmt;

use super::problem::Problem;
use super::raw_file::{Field, RawFile, RawMember, RawNetwork, Texts};
use crate::model::text::quoted;
use crate::model::{MemberName, NameProblem};

/// A network's name. The rules for a member's name apply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkName(MemberName);

impl NetworkName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for NetworkName {
    type Err = NameProblem;

    fn from_str(text: &str) -> Result<Self, NameProblem> {
        text.parse().map(Self)
    }
}

/// A network, and the interfaces that connect hosts to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network's name, which is unique in the file.
    pub name: NetworkName,
    /// The names of the hosts' interfaces on this network. No other network of the file lists these names.
    pub interfaces: Vec<String>,
}

/// The networks of a file, in the file's order. The list is empty for a file without networks: its members are
/// all on one network.
pub(super) fn networks(file: &RawFile, problems: &mut Vec<Problem>) -> Vec<Network> {
    let mut networks: Vec<Network> = Vec::new();
    for raw in &file.networks {
        let Some(network) = network(raw, problems) else { continue };
        if networks.iter().any(|other| other.name == network.name) {
            let message = format!("two networks have the name {}", network.name);
            problems.push(Problem::at(raw.place, message, "give each a name of its own"));
            continue;
        }
        let is_taken = |name: &&String| networks.iter().any(|n| n.interfaces.contains(name));
        if let Some(interface) = network.interfaces.iter().find(is_taken) {
            let message = format!("two networks list the interface {}", quoted(interface));
            let help = "list each interface in one network only";
            problems.push(Problem::at(raw.place, message, help));
        }
        networks.push(network);
    }
    for member in &file.members {
        require_known(member, &networks, problems);
    }
    networks
}

fn network(raw: &RawNetwork, problems: &mut Vec<Problem>) -> Option<Network> {
    let name = match &raw.name {
        Field::Wrong => return None,
        Field::Missing => {
            let help = "add it on a line of its own: name = \"internet\"";
            problems.push(Problem::at(raw.place, "the network has no name", help));
            return None;
        }
        Field::Right(text) => match text.value.parse() {
            Ok(name) => name,
            Err(problem) => {
                let problem: NameProblem = problem;
                problems.push(Problem::at(text.place, problem.to_string(), problem.help()));
                return None;
            }
        },
    };
    let interfaces = match &raw.interface {
        Field::Wrong | Field::Missing => Vec::new(),
        Field::Right(list) => list.value.iter().map(|text| text.value.clone()).collect(),
    };
    if interfaces.is_empty() && raw.interface != Field::Wrong {
        let help = "add its interface: interface = \"eth0\", or a list where hosts differ";
        problems.push(Problem::at(raw.place, format!("the network {name} has no interface"), help));
    }
    Some(Network { name, interfaces })
}

fn require_known(member: &RawMember, networks: &[Network], problems: &mut Vec<Problem>) {
    for named in member.public_in.iter().chain(&member.underlay_in) {
        let name = &named.network;
        if networks.iter().any(|network| network.name.as_str() == name.value) {
            continue;
        }
        let known: Vec<_> = networks.iter().map(|network| network.name.as_str()).collect();
        let help = match known[..] {
            [] => "write a [[network]] with name and interface for each network".to_owned(),
            _ => format!("the networks of the file are {}", known.join(", ")),
        };
        let message = format!("there is no network {}", quoted(&name.value));
        problems.push(Problem::at(name.place, message, help));
    }
    for underlay in &member.underlay_in {
        let name = &underlay.network.value;
        let is_public = |public: &Texts| !matches!(public, Field::Missing);
        let has_public = member.public_in.iter().any(|public| public.network.value == *name)
            || is_public(&member.public)
                && networks.first().is_some_and(|n| n.name.as_str() == name);
        if !has_public {
            let message =
                format!("the member has an underlay address on {name}, but no public one");
            let help =
                format!("add public.{name} = \"ADDRESS\": where the others reach the member");
            problems.push(Problem::at(underlay.network.place, message, help));
        }
    }
}
