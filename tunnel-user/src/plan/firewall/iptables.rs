//! Reads the output of iptables-save(8).

use super::{Action, AddressRange, Chain, Hook, InterfaceMatch, Rule, Tool};

/// The targets that drop packets, and the targets that translate addresses (iptables-extensions(8)).
const DROPPING: [&str; 2] = ["DROP", "REJECT"];
const TRANSLATING: [&str; 5] = ["DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP"];
/// The targets that decide nothing about a packet.
const OTHER: [&str; 4] = ["LOG", "NFLOG", "RETURN", "MARK"];

/// The chains in the output of the save command that belongs to `program`.
#[must_use]
pub fn chains(program: &'static str, text: &str) -> Vec<Chain> {
    let (mut chains, mut table): (Vec<Chain>, _) = (Vec::new(), String::new());
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match (line.as_bytes().first(), &words[..]) {
            (Some(b'*'), [name]) => name[1..].clone_into(&mut table),
            (Some(b':'), [name, policy, ..]) => chains.push(Chain {
                tool: Tool::Iptables(program),
                table: table.clone(),
                name: name[1..].to_owned(),
                hook: Hook::named(&name[1..].to_lowercase()),
                drops: *policy == "DROP",
                rules: Vec::new(),
            }),
            (_, ["-A", name, rest @ ..]) => {
                let is_its = |chain: &&mut Chain| chain.table == table && chain.name == *name;
                if let Some(chain) = chains.iter_mut().find(is_its) {
                    chain.rules.push(rule(program, &table, name, rest));
                }
            }
            _ => {}
        }
    }
    chains
}

fn rule(program: &str, table: &str, chain: &str, words: &[&str]) -> Rule {
    let removal = format!("{program} -t {table} -D {chain} {}", words.join(" "));
    let mut rule = Rule {
        addresses: Vec::new(),
        interfaces: Vec::new(),
        is_narrow: false,
        action: Action::Other,
        removal,
    };
    let mut targets = Vec::new();
    let mut is_negated = false;
    for (index, word) in words.iter().enumerate() {
        let value = words.get(index + 1).copied().unwrap_or_default();
        match *word {
            "-s" | "-d" if !is_negated => rule.addresses.extend(range(value)),
            "-i" | "-o" => {
                let names = vec![value.to_owned()];
                rule.interfaces.push(InterfaceMatch { names, is_negated });
            }
            "--to-destination" | "--to-source" => targets.extend(range(value)),
            "-j" | "-g" => {
                rule.action = target(value).unwrap_or_else(|| Action::Jump(value.to_owned()));
            }
            // A target's options and a comment are not conditions.
            "--reject-with" | "--comment" => {}
            "-m" if value == "comment" => {}
            option => rule.is_narrow |= option.starts_with('-'),
        }
        is_negated = *word == "!";
    }
    if let Action::Translate(known) = &mut rule.action {
        *known = targets;
    }
    rule
}

/// The action of a target; `None` for a chain.
pub(super) fn target(name: &str) -> Option<Action> {
    Some(match name {
        "ACCEPT" => Action::Accept,
        name if DROPPING.contains(&name) => Action::Drop,
        name if TRANSLATING.contains(&name) => Action::Translate(Vec::new()),
        name if OTHER.contains(&name) => Action::Other,
        _ => return None,
    })
}

/// The addresses of `10.0.0.2`, `10.0.0.0/24`, `10.0.0.2:24007` or `[fd00::2]:24007`.
fn range(text: &str) -> Option<AddressRange> {
    if let Some((address, length)) = text.split_once('/') {
        return AddressRange::of_prefix(address.parse().ok()?, length.parse().ok()?);
    }
    if let Ok(address) = text.parse() {
        return Some(AddressRange::single(address));
    }
    let socket: std::net::SocketAddr = text.parse().ok()?;
    Some(AddressRange::single(socket.ip()))
}
