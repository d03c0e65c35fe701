//! Converts keys and values of the right types to members that fit together.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::bypass_list;
use super::claim::AddressClaims;
use super::conflict::{Conflict, RangeRef, check_members};
use super::lines::Place;
use super::network::{self, Network};
use super::pairing::check_pairing;
use super::problem::{PROBLEMS_MAX, Problem, are_enough};
use super::raw_file::{Field, InNetwork, Located, RawFile, RawMember, Texts};
use super::{Cluster, Clusters, Member};
use crate::model::text::quoted;
use crate::model::{
    AddressProblem, BypassRule, Drain, DrainProblem, Family, Mapping, MemberName, Prefix, Private,
    Public, Role, Underlay, parse_range,
};

/// Builds the cluster on each of the file's networks, or returns all problems, including the earlier problems in
/// `problems`.
pub(super) fn validate(
    file: RawFile,
    mut problems: Vec<Problem>,
) -> Result<Clusters, Vec<Problem>> {
    if let [only] = file.members.as_slice() {
        problems.push(Problem::at(
            only.place,
            "the file has one member, which has no peer",
            "write a [[member]] for each of the other hosts as well",
        ));
    }
    let bypass = bypass_list::rules(&file.bypass, &mut problems);
    let drain = drain(&file.drain, &mut problems);
    let revision = match &file.revision {
        Field::Right(revision) => Some(revision.value),
        Field::Missing | Field::Wrong => None,
    };
    let networks = network::networks(&file, &mut problems);
    let views = views(file.members, &networks, &mut problems);
    if !are_enough(&problems) {
        require_no_conflict(&views, &mut problems);
    }
    if !problems.is_empty() {
        return Err(without_repetition(problems));
    }
    let clusters = views.into_iter().map(|view| Cluster {
        network: view.network,
        members: view.members.into_iter().flatten().filter_map(Checked::member).collect(),
        bypass: bypass.clone(),
        drain,
        revision,
    });
    Ok(Clusters::new(clusters.collect()))
}

/// The members on one network, in the file's order. A member that is not on the network is `None`.
struct View {
    network: Option<Network>,
    members: Vec<Option<Checked>>,
}

fn views(members: Vec<RawMember>, networks: &[Network], problems: &mut Vec<Problem>) -> Vec<View> {
    if networks.is_empty() {
        // `network::networks` has already reported the missing network.
        let unnamed = |texts: Texts, named: &[InNetwork]| {
            if named.is_empty() { texts } else { Field::Wrong }
        };
        let alone = |raw: RawMember| RawMember {
            public: unnamed(raw.public, &raw.public_in),
            underlay: unnamed(raw.underlay, &raw.underlay_in),
            public_in: Vec::new(),
            underlay_in: Vec::new(),
            ..raw
        };
        let members = members.into_iter().map(|raw| check_unless_enough(&alone(raw), problems));
        let members = members.collect();
        return vec![View { network: None, members }];
    }
    let mut views = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let is_first = index == 0;
        let members: Vec<_> = members
            .iter()
            .map(|raw| {
                let on_it = raw.in_network(network.name.as_str(), is_first);
                // Report a member without any network only once.
                let is_nowhere = is_first && raw.public_in.is_empty();
                let is_there = on_it.public != Field::Missing || is_nowhere;
                if is_there { check_unless_enough(&on_it, problems) } else { None }
            })
            .collect();
        // Skip this check after earlier problems: the invalid network or address that caused them may also leave one
        // member alone on a network.
        if problems.is_empty() && members.iter().flatten().count() == 1 {
            let place = members.iter().flatten().map(|member| member.place).next();
            problems.push(Problem::at(
                place.unwrap_or_default(),
                format!("only one member has an address on the network {}", network.name),
                format!("write public.{} for each of the others as well", network.name),
            ));
        }
        views.push(View { network: Some(network.clone()), members });
    }
    views
}

/// Checks the member, unless there are enough problems already.
fn check_unless_enough(raw: &RawMember, problems: &mut Vec<Problem>) -> Option<Checked> {
    (!are_enough(problems)).then(|| check(raw, problems))
}

/// Checks for conflicts across all networks: a private address must not be another member's public address on
/// any network.
fn require_no_conflict(views: &[View], problems: &mut Vec<Problem>) {
    // The fast path: most files have at most one network, and nothing to merge.
    let members = match views {
        [only] => only.members.iter().flatten().map(Cow::Borrowed).collect(),
        views => brought_together(views),
    };
    let members: Vec<&Checked> = members.iter().map(AsRef::as_ref).collect();
    let claims: Vec<AddressClaims> = members.iter().map(|member| member.claim()).collect();
    let more = (PROBLEMS_MAX + 1).saturating_sub(problems.len());
    for conflict in check_members(&claims).into_iter().take(more) {
        problems.push(conflict_problem(&conflict, &members));
    }
}

/// Merges the networks: each member with its addresses on all networks.
fn brought_together(views: &[View]) -> Vec<Cow<'_, Checked>> {
    let count = views.first().map_or(0, |view| view.members.len());
    let mut members = Vec::new();
    for index in 0..count {
        let mut of_member = views.iter().filter_map(|view| view.members.get(index)?.as_ref());
        let Some(first) = of_member.next() else { continue };
        let mut all = first.clone();
        for other in of_member {
            all.add(other);
        }
        members.push(Cow::Owned(all));
    }
    members
}

/// Removes duplicates: the checks find a member's fault on each of its networks.
fn without_repetition(problems: Vec<Problem>) -> Vec<Problem> {
    let mut distinct = Vec::new();
    for problem in problems {
        if !distinct.contains(&problem) {
            distinct.push(problem);
        }
    }
    distinct
}

fn drain(field: &Field<String>, problems: &mut Vec<Problem>) -> Drain {
    let Field::Right(text) = field else { return Drain::default() };
    text.value.parse().unwrap_or_else(|problem: DrainProblem| {
        problems.push(Problem::at(text.place, problem.to_string(), problem.help()));
        Drain::default()
    })
}

/// The parts of a member that are valid by themselves.
#[derive(Clone)]
struct Checked {
    place: Place,
    name: Option<MemberName>,
    name_place: Place,
    private: Vec<Located<Prefix>>,
    public: Vec<Located<Prefix>>,
    underlay: Vec<Located<Prefix>>,
    direct: bool,
    bypass: BTreeSet<BypassRule>,
}

impl Checked {
    /// Adds the same member's addresses on a further network.
    fn add(&mut self, other: &Self) {
        for (all, more) in
            [(&mut self.public, &other.public), (&mut self.underlay, &other.underlay)]
        {
            for range in more {
                if all.iter().all(|known| known.value != range.value) {
                    all.push(range.clone());
                }
            }
        }
    }

    fn ranges(&self, role: Role) -> &[Located<Prefix>] {
        match role {
            Role::Private => &self.private,
            Role::Public => &self.public,
            Role::Underlay => &self.underlay,
        }
    }

    fn plain(&self, role: Role) -> Vec<Prefix> {
        self.ranges(role).iter().map(|range| range.value).collect()
    }

    fn claim(&self) -> AddressClaims {
        let public = self.plain(Role::Public);
        let mut underlay = self.plain(Role::Underlay);
        // An explicit underlay equal to the public range counts as omitted.
        underlay.retain(|range| !public.contains(range));
        AddressClaims {
            name: self.name.clone(),
            private: self.plain(Role::Private),
            public,
            underlay,
        }
    }

    fn place_of(&self, wanted: &RangeRef) -> Place {
        self.ranges(wanted.role)
            .iter()
            .find(|range| range.value == wanted.range)
            .map_or(self.name_place, |range| range.place)
    }

    /// Converts the parts to a member. Returns `None` if the name is invalid.
    fn member(self) -> Option<Member> {
        Some(Member {
            v4: self.mapping(Family::Ipv4),
            v6: self.mapping(Family::Ipv6),
            name: self.name?,
            direct: self.direct,
            bypass: self.bypass,
            line: self.place.line(),
        })
    }

    fn mapping(&self, family: Family) -> Option<Mapping> {
        let range = |role| {
            let mut ranges = self.ranges(role).iter().map(|range| range.value);
            ranges.find(|range| range.family() == family)
        };
        let public = range(Role::Public)?;
        let underlay = range(Role::Underlay).unwrap_or(public);
        Mapping::new(Private(range(Role::Private)?), Public(public), Underlay(underlay))
    }
}

fn check(raw: &RawMember, problems: &mut Vec<Problem>) -> Checked {
    let before = problems.len();
    let checked = Checked {
        place: raw.place,
        name: name(raw, problems),
        name_place: match &raw.name {
            Field::Right(name) => name.place,
            Field::Missing | Field::Wrong => raw.place,
        },
        private: ranges(raw, Role::Private, problems),
        public: ranges(raw, Role::Public, problems),
        underlay: ranges(raw, Role::Underlay, problems),
        direct: matches!(&raw.direct, Field::Right(direct) if direct.value),
        bypass: bypass_list::rules(&raw.bypass, problems),
    };
    let has_all = [Role::Private, Role::Public]
        .into_iter()
        .all(|role| matches!(raw.addresses(role), Field::Right(_)));
    // Skip this check after other problems: a list with an invalid address would seem to lack the address's family.
    if has_all && problems.len() == before {
        let [private, public, underlay] = Role::ALL.map(|role| checked.plain(role));
        for mismatch in check_pairing(&private, &public, &underlay) {
            let place = match raw.addresses(mismatch.role()) {
                Field::Right(list) => list.place,
                Field::Missing | Field::Wrong => raw.place,
            };
            problems.push(Problem::at(place, mismatch.to_string(), mismatch.help()));
        }
    }
    checked
}

fn name(raw: &RawMember, problems: &mut Vec<Problem>) -> Option<MemberName> {
    match &raw.name {
        Field::Wrong => None,
        Field::Missing => {
            problems.push(Problem::at(
                raw.place,
                "the member has no name",
                "add it on a line of its own: name = \"srva\"",
            ));
            None
        }
        Field::Right(text) => MemberName::try_from(text.value.as_str())
            .map_err(|problem| {
                problems.push(Problem::at(text.place, problem.to_string(), problem.help()));
            })
            .ok(),
    }
}

/// The first valid range of each family in the role.
fn ranges(raw: &RawMember, role: Role, problems: &mut Vec<Problem>) -> Vec<Located<Prefix>> {
    let list = match raw.addresses(role) {
        Field::Wrong => return Vec::new(),
        Field::Missing => {
            problems.extend(missing(raw, role));
            return Vec::new();
        }
        Field::Right(list) => list,
    };
    if list.value.is_empty() {
        let help = match role {
            Role::Private | Role::Public => format!("add an address: {role} = \"10.0.0.1\""),
            Role::Underlay => "leave the key out: the underlay is then the public address".into(),
        };
        problems.push(Problem::at(list.place, format!("{role} is an empty list"), help));
    }
    let mut found: Vec<Located<Prefix>> = Vec::with_capacity(list.value.len().min(2));
    for text in &list.value {
        match range(role, text) {
            Err(problem) => {
                problems.push(Problem::at(text.place, problem.to_string(), problem.help()));
            }
            Ok(range) => {
                let family = range.value.family();
                if found.iter().any(|other| other.value.family() == family) {
                    let message =
                        format!("{role} lists a second {family} address, {}", range.value);
                    let help =
                        format!("remove one: a member has at most one {role} {family} address");
                    problems.push(Problem::at(range.place, message, help));
                } else {
                    found.push(range);
                }
            }
        }
    }
    found
}

fn range(role: Role, text: &Located<String>) -> Result<Located<Prefix>, AddressProblem> {
    Ok(Located { value: parse_range(role, &text.value)?, place: text.place })
}

fn missing(raw: &RawMember, role: Role) -> Option<Problem> {
    let meaning = match role {
        Role::Private => "what the member's software binds and dials",
        Role::Public => "where the others reach the member",
        Role::Underlay => return None,
    };
    let who = match &raw.name {
        Field::Right(name) => format!("the member {}", quoted(&name.value)),
        Field::Missing | Field::Wrong => "the member".into(),
    };
    Some(Problem::at(
        raw.place,
        format!("{who} has no {role} address"),
        format!("add {role} = \"ADDRESS\": {meaning}"),
    ))
}

fn conflict_problem(conflict: &Conflict, checked: &[&Checked]) -> Problem {
    let name_place = |member: usize| checked.get(member).map(|member| member.name_place);
    let place_of = |range: &RangeRef| checked.get(range.member).map(|m| m.place_of(range));
    let (place, other) = match conflict {
        Conflict::Name { member, with, .. } => (name_place(*member), name_place(*with)),
        Conflict::Range { place, with } => (place_of(place), place_of(with)),
    };
    Problem::at(place.unwrap_or_default(), conflict.to_string(), conflict.help())
        .with_other(other.unwrap_or_default())
}
