//! Edits one member in a piece of a cluster file. Comments, order and layout of the other keys stay.

use std::collections::BTreeSet;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Key, TableLike, Value};

use crate::model::{BypassRule, Prefix, parse_public};
use crate::plan::peers::NamedPeer;

/// The piece after `edit` has changed the member `name`. `None` if the piece has no such member.
pub(super) fn edited(
    piece: &str,
    name: &str,
    edit: impl FnOnce(&mut dyn TableLike),
) -> Option<String> {
    let mut document: DocumentMut = piece.parse().ok()?;
    match document.get_mut("member")? {
        Item::ArrayOfTables(tables) => {
            edit(tables.iter_mut().find(|table| is_called(*table, name))?);
        }
        Item::Value(Value::Array(members)) => {
            let mut tables = members.iter_mut().filter_map(Value::as_inline_table_mut);
            edit(tables.find(|table| is_called(*table, name))?);
        }
        _ => return None,
    }
    Some(document.to_string())
}

/// The piece without the member `name`, its own comments and the lines directly below it. `is_first` keeps the
/// comments above the member: they may be about the whole file. `None` if the piece has no such member.
pub(super) fn removed(piece: &str, name: &str, is_first: bool) -> Option<String> {
    let mut document: DocumentMut = piece.parse().ok()?;
    let mut comments = String::new();
    match document.get_mut("member")? {
        Item::ArrayOfTables(tables) => {
            let index = tables.iter().position(|table| is_called(table, name))?;
            let above = tables.get(index)?.decor().prefix().and_then(|prefix| prefix.as_str());
            comments = above.filter(|_| is_first && index == 0).unwrap_or_default().to_owned();
            tables.remove(index);
            if tables.is_empty() {
                document.remove("member");
                let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
                document.set_trailing(from_blank_line(&trailing));
            }
        }
        Item::Value(Value::Array(members)) => {
            let is_it = |value: &Value| value.as_inline_table().is_some_and(|t| is_called(t, name));
            let index = members.iter().position(is_it)?;
            // A comment on the previous element's line is part of this element's prefix.
            let gone = members.remove(index);
            let above = gone.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or("");
            let (former_line, _) = above.split_at(above.find('\n').unwrap_or(0));
            match members.get_mut(index) {
                Some(next) => {
                    let below = next.decor().prefix().and_then(|prefix| prefix.as_str());
                    let prefix = former_line.to_owned() + from_newline(below.unwrap_or_default());
                    next.decor_mut().set_prefix(prefix);
                }
                None => {
                    let below = members.trailing().as_str().unwrap_or_default();
                    members.set_trailing(former_line.to_owned() + from_newline(below));
                }
            }
        }
        _ => return None,
    }
    Some(comments + &document.to_string())
}

/// The part from the first newline on. A comment before that newline belongs to the line above.
fn from_newline(text: &str) -> &str {
    &text[text.find('\n').unwrap_or(0)..]
}

/// The part from the first blank line on.
fn from_blank_line(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.skip_while(|line| !line.trim().is_empty()).collect()
}

fn is_called(table: &dyn TableLike, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

/// Gives the member the public addresses, the flag and the rules of `peer`. If the file lists the addresses by network,
/// only the addresses of `network` change.
pub(super) fn set(table: &mut dyn TableLike, peer: &NamedPeer, network: Option<&str>) {
    if let Some(public) = table.get_mut("public") {
        let by_network = network.filter(|_| public.is_table_like());
        let public = match (by_network, public) {
            (Some(network), public) => public.as_table_like_mut().and_then(|t| t.get_mut(network)),
            (None, public) => Some(public),
        };
        public.and_then(Item::as_value_mut).into_iter().for_each(|value| readdress(value, peer));
    }
    if table.get("direct").and_then(Item::as_bool).unwrap_or(false) != peer.direct {
        put(table, "direct", peer.direct.into());
    }
    let rules = table.get("bypass").and_then(Item::as_array);
    let rules: BTreeSet<BypassRule> =
        rules.into_iter().flatten().filter_map(|rule| rule.as_str()?.parse().ok()).collect();
    match peer.bypass.is_empty() {
        _ if rules == peer.bypass => {}
        true => drop(table.remove("bypass")),
        false => put(table, "bypass", list(&peer.bypass)),
    }
}

/// Replaces each address of a family by the peer's public address of this family.
fn readdress(value: &mut Value, peer: &NamedPeer) {
    match value {
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| readdress(element, peer));
        }
        Value::String(text) => {
            let Ok(present) = parse_public(text.value()) else { return };
            let family = present.0.family();
            let wanted = peer.public().find(|public| public.family() == family);
            if let Some(wanted) = wanted.filter(|wanted| *wanted != present.0) {
                replace(value, wanted.to_string().into());
            }
        }
        _ => {}
    }
}

/// Replaces a value, and keeps the blanks and comments around it.
fn replace(value: &mut Value, mut new: Value) {
    *new.decor_mut() = value.decor().clone();
    *value = new;
}

/// Sets the value of a key. A new key is aligned with the key `name`.
fn put(table: &mut dyn TableLike, key: &str, new: Value) {
    if let Some(value) = table.get_mut(key).and_then(Item::as_value_mut) {
        return replace(value, new);
    }
    let width = table.key("name").map_or(0, |name| {
        let blanks = name.leaf_decor().suffix().and_then(|suffix| suffix.as_str());
        "name".len() + blanks.map_or(0, str::len)
    });
    table.insert(key, Item::Value(new));
    if let Some(mut key) = table.key_mut(key).filter(|key| width > key.get().len()) {
        let blanks = " ".repeat(width - key.get().len());
        key.leaf_decor_mut().set_suffix(blanks);
    }
}

/// The lines of a new member.
pub(super) fn text(peer: &NamedPeer, network: Option<&str>) -> String {
    let mut public = addresses(peer.public());
    if let Some(network) = network {
        public = Value::from(InlineTable::from_iter([(Key::new(network), public)]));
    }
    let mut text = format!(
        "[[member]]\nname    = {}\nprivate = {}\npublic  = {public}\n",
        Value::from(peer.name.as_str()),
        addresses(peer.private())
    );
    if peer.direct {
        text.push_str("direct  = true\n");
    }
    if !peer.bypass.is_empty() {
        text.push_str(&format!("bypass  = {}\n", list(&peer.bypass)));
    }
    text
}

/// The text of a file whose members are one list of inline tables, with a new member at the list's end.
pub(super) fn pushed(file: &str, peer: &NamedPeer, network: Option<&str>) -> Option<String> {
    let mut document: DocumentMut = file.parse().ok()?;
    let mut new: DocumentMut = text(peer, network).parse().ok()?;
    let new = new.get_mut("member")?.as_array_of_tables_mut()?.get_mut(0)?;
    for (mut key, _) in new.iter_mut() {
        key.leaf_decor_mut().clear();
    }
    let mut new = Value::from(std::mem::take(new).into_inline_table());
    let members = document.get_mut("member")?.as_array_mut()?;
    let before = members.iter().last()?.decor().prefix()?.as_str()?;
    new.decor_mut().set_prefix(&before[before.rfind('\n').unwrap_or(0)..]);
    members.push_formatted(new);
    Some(document.to_string())
}

/// One address, or a list of several.
fn addresses(ranges: impl Iterator<Item = Prefix>) -> Value {
    let ranges: Vec<_> = ranges.collect();
    match &ranges[..] {
        [one] => one.to_string().into(),
        several => list(several),
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> Value {
    items.into_iter().map(|item| item.to_string()).collect::<Array>().into()
}
