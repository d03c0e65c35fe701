//! Converts text to keys and values of the right types, each with its place.
//!
//! The reader walks the spanned tree of the TOML parser. Serde's derived code would stop at the first unknown
//! key or wrong type, and would not give the line of a key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::chunks;
use super::keys;
use super::lines::{Lines, Place};
use super::problem::{Problem, are_enough};
use super::raw_file::{Field, InNetwork, Located, RawFile, RawMember, RawNetwork, Texts};
use crate::model::text::quoted;

/// Reads `text`. Returns the keys with values of the right types, and the problems so far.
///
/// Fails with one problem if `text` is not TOML.
pub(super) fn read(text: &str) -> Result<(RawFile, Vec<Problem>), Problem> {
    match chunks::read(text) {
        Some(file) => Ok((file, Vec::new())),
        None if text.len() > chunks::WHOLE_MAX => chunks::read_long(text),
        None => read_whole(text),
    }
}

/// Like [`read`], but never in pieces.
pub(super) fn read_whole(text: &str) -> Result<(RawFile, Vec<Problem>), Problem> {
    let lines = Lines::of(text);
    let root = DeTable::parse(text).map_err(|error| syntax(&error, &lines))?;
    let mut reader = Reader::new(lines);
    let file = reader.file(root.get_ref());
    Ok((file, reader.problems))
}

pub(super) fn syntax(error: &toml::de::Error, lines: &Lines) -> Problem {
    let place = lines.place(error.span().unwrap_or_default());
    let message = error.message();
    if message.contains("duplicate key") {
        let help = "write each key once in a [[member]]: remove one of them, or begin the next \
                    [[member]]";
        return Problem::at(place, "this key occurs twice", help);
    }
    Problem::at(
        place,
        format!("this is not TOML: {}", message.replace('\n', " ")),
        "write one key = value in a line, with names and addresses in quotes: private = \"10.0.0.1\"",
    )
}

/// Converts a TOML tree to keys and values of the right types.
pub(super) struct Reader {
    lines: Lines,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) const fn new(lines: Lines) -> Self {
        Self { lines, problems: Vec::new() }
    }

    /// The problems that the reader has found.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn place_of<T>(&self, spanned: &Spanned<T>) -> Place {
        self.lines.place(spanned.span())
    }

    fn note(&mut self, problem: Problem) {
        if !are_enough(&self.problems) {
            self.problems.push(problem);
        }
    }

    fn wrong<T>(&mut self, place: Place, message: String, help: &str) -> Field<T> {
        self.note(Problem::at(place, message, help));
        Field::Wrong
    }

    fn file(&mut self, root: &DeTable<'_>) -> RawFile {
        let file = self.part(root);
        if file.members.is_empty() && self.problems.is_empty() {
            let help = "write a [[member]] with name, private and public for each host";
            self.note(Problem::at(Place::default(), "the file has no members", help));
        }
        file
    }

    /// Reads a part of a file.
    pub(super) fn part(&mut self, root: &DeTable<'_>) -> RawFile {
        let mut file = RawFile {
            networks: Vec::new(),
            members: Vec::new(),
            bypass: Field::Missing,
            drain: Field::Missing,
            revision: Field::Missing,
        };
        for (key, value) in root {
            match key.get_ref().as_ref() {
                keys::MEMBER => file.members = self.members(value),
                keys::BYPASS => file.bypass = self.bypass(value),
                keys::DRAIN => file.drain = self.drain(value),
                keys::REVISION => file.revision = self.revision(value),
                keys::NETWORK => file.networks = self.networks(value),
                unknown => self.unknown_in_file(unknown, self.place_of(key)),
            }
        }
        file
    }

    fn unknown_in_file(&mut self, key: &str, place: Place) {
        let message = format!("unknown key {}", quoted(key));
        let help = match keys::nearest(key, &keys::OF_FILE) {
            Some(table @ (keys::MEMBER | keys::NETWORK)) => format!("did you mean [[{table}]]?"),
            Some(meant) => format!("did you mean {meant}?"),
            None if keys::OF_MEMBER.contains(&key) => {
                format!("{key} belongs to a member: write [[member]] on a line before it")
            }
            None => {
                "a cluster file holds revision, bypass, drain, [[network]] and [[member]] tables only: \
                     leave it out".into()
            }
        };
        self.note(Problem::at(place, message, help));
    }

    fn networks(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<RawNetwork> {
        const HELP: &str = "begin each network with [[network]], with two brackets on each side";
        let place = self.place_of(value);
        let DeValue::Array(elements) = value.get_ref() else {
            let message = format!("network is {}, not a list of tables", kind(value));
            let _: Field<()> = self.wrong(place, message, HELP);
            return Vec::new();
        };
        let mut networks = Vec::new();
        for element in elements {
            let place = self.place_of(element);
            let mut network = RawNetwork { place, name: Field::Missing, interface: Field::Missing };
            match element.get_ref() {
                DeValue::Table(table) => self.network(table, &mut network),
                _ => {
                    let message = format!("a network is {}, not a table", kind(element));
                    network.name = self.wrong(place, message, HELP);
                    network.interface = Field::Wrong;
                }
            }
            networks.push(network);
        }
        networks
    }

    fn network(&mut self, table: &DeTable<'_>, network: &mut RawNetwork) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                keys::NAME => network.name = self.name(value),
                keys::INTERFACE => network.interface = self.interfaces(value),
                unknown => {
                    let meant = keys::nearest(unknown, &keys::OF_NETWORK);
                    let help = match meant {
                        Some(meant) => format!("did you mean {meant}?"),
                        None => {
                            format!("the keys of a network are {}", keys::OF_NETWORK.join(", "))
                        }
                    };
                    let message = format!("unknown key {} in a network", quoted(unknown));
                    self.note(Problem::at(self.place_of(key), message, help));
                    match meant {
                        Some(keys::NAME) => network.name = Field::Wrong,
                        Some(keys::INTERFACE) => network.interface = Field::Wrong,
                        _ => {}
                    }
                }
            }
        }
    }

    fn interfaces(&mut self, value: &Spanned<DeValue<'_>>) -> Texts {
        const HELP: &str = "write its name in quotes: interface = \"eth0\"";
        let place = self.place_of(value);
        match value.get_ref() {
            DeValue::String(text) => {
                let value = vec![Located { value: text.to_string(), place }];
                Field::Right(Located { value, place })
            }
            DeValue::Array(elements) => self.texts(keys::INTERFACE, elements, place, HELP),
            _ => {
                let message =
                    format!("interface is {}, not a string or a list of strings", kind(value));
                self.wrong(place, message, HELP)
            }
        }
    }

    /// Reads a member's values under `key`: one value without a network, or one value per named network.
    fn by_network(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> (Texts, Vec<InNetwork>) {
        let DeValue::Table(table) = value.get_ref() else {
            return (self.addresses(key, value), Vec::new());
        };
        let named = table.iter().map(|(network, value)| InNetwork {
            network: Located {
                value: network.get_ref().to_string(),
                place: self.place_of(network),
            },
            texts: self.addresses(key, value),
        });
        (Field::Missing, named.collect())
    }

    fn members(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<RawMember> {
        const HELP: &str = "begin each member with [[member]], with two brackets on each side";
        let place = self.place_of(value);
        let DeValue::Array(elements) = value.get_ref() else {
            let message = format!("member is {}, not a list of tables", kind(value));
            let _: Field<()> = self.wrong(place, message, HELP);
            return Vec::new();
        };
        let mut members = Vec::new();
        for element in elements {
            let place = self.place_of(element);
            members.push(match element.get_ref() {
                DeValue::Table(table) => self.member(table, place),
                _ => {
                    let message = format!("a member is {}, not a table", kind(element));
                    RawMember::all(place, self.wrong(place, message, HELP))
                }
            });
        }
        members
    }

    fn member(&mut self, table: &DeTable<'_>, place: Place) -> RawMember {
        let mut member = RawMember::all(place, Field::Missing);
        let mut meant = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                keys::NAME => member.name = self.name(value),
                keys::PRIVATE => member.private = self.addresses(keys::PRIVATE, value),
                keys::PUBLIC => {
                    (member.public, member.public_in) = self.by_network(keys::PUBLIC, value);
                }
                keys::UNDERLAY => {
                    (member.underlay, member.underlay_in) = self.by_network(keys::UNDERLAY, value);
                }
                keys::DIRECT => member.direct = self.direct(value),
                keys::BYPASS => member.bypass = self.bypass(value),
                unknown => meant.extend(self.unknown_in_member(unknown, self.place_of(key))),
            }
        }
        // The misspelt key is already a problem. A report that the correct key is missing would repeat this problem.
        for key in meant {
            match key {
                keys::NAME if member.name == Field::Missing => member.name = Field::Wrong,
                keys::PRIVATE if member.private == Field::Missing => member.private = Field::Wrong,
                keys::PUBLIC if member.public == Field::Missing => member.public = Field::Wrong,
                _ => {}
            }
        }
        member
    }

    fn unknown_in_member(&mut self, key: &str, place: Place) -> Option<&'static str> {
        let meant = keys::nearest(key, &keys::OF_MEMBER);
        let help = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("the keys of a member are {}", keys::OF_MEMBER.join(", ")),
        };
        let message = format!("unknown key {} in a member", quoted(key));
        self.note(Problem::at(place, message, help));
        meant
    }

    fn name(&mut self, value: &Spanned<DeValue<'_>>) -> Field<String> {
        let place = self.place_of(value);
        match value.get_ref() {
            DeValue::String(text) => Field::Right(Located { value: text.to_string(), place }),
            _ => {
                let message = format!("name is {}, not a string", kind(value));
                self.wrong(place, message, "write it in quotes: name = \"srva\"")
            }
        }
    }

    fn revision(&mut self, value: &Spanned<DeValue<'_>>) -> Field<u32> {
        const HELP: &str = "write a whole number from 1 to 4294967295: revision = 7";
        let place = self.place_of(value);
        let DeValue::Integer(integer) = value.get_ref() else {
            let message = format!("revision is {}, not a whole number", kind(value));
            return self.wrong(place, message, HELP);
        };
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value @ 1..) => Field::Right(Located { value, place }),
            Ok(_) | Err(_) => {
                let message = format!("revision is {}, which is out of range", integer.as_str());
                self.wrong(place, message, HELP)
            }
        }
    }

    fn drain(&mut self, value: &Spanned<DeValue<'_>>) -> Field<String> {
        let place = self.place_of(value);
        match value.get_ref() {
            DeValue::String(text) => Field::Right(Located { value: text.to_string(), place }),
            _ => {
                let message = format!("drain is {}, not a string", kind(value));
                self.wrong(place, message, "write a time in quotes: drain = \"30s\"")
            }
        }
    }

    fn direct(&mut self, value: &Spanned<DeValue<'_>>) -> Field<bool> {
        let place = self.place_of(value);
        match value.get_ref() {
            DeValue::Boolean(value) => Field::Right(Located { value: *value, place }),
            _ => {
                let message = format!("direct is {}, not a boolean", kind(value));
                let help = "write direct = true or direct = false, without quotes";
                self.wrong(place, message, help)
            }
        }
    }

    fn addresses(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Texts {
        let place = self.place_of(value);
        match value.get_ref() {
            DeValue::String(text) => {
                let value = vec![Located { value: text.to_string(), place }];
                Field::Right(Located { value, place })
            }
            DeValue::Array(elements) => {
                let help = format!("write each address in quotes: {key} = [\"10.0.0.1\"]");
                self.texts(key, elements, place, &help)
            }
            _ => {
                let message =
                    format!("{key} is {}, not a string or a list of strings", kind(value));
                let help = format!("write the address in quotes: {key} = \"10.0.0.1\"");
                self.wrong(place, message, &help)
            }
        }
    }

    fn bypass(&mut self, value: &Spanned<DeValue<'_>>) -> Texts {
        const HELP: &str = "write a list of protocols and ports: bypass = [\"tcp/22\"]";
        let place = self.place_of(value);
        match value.get_ref() {
            DeValue::Array(elements) => self.texts(keys::BYPASS, elements, place, HELP),
            _ => {
                let message = format!("bypass is {}, not a list of strings", kind(value));
                self.wrong(place, message, HELP)
            }
        }
    }

    fn texts(
        &mut self,
        key: &str,
        elements: &[Spanned<DeValue<'_>>],
        place: Place,
        help: &str,
    ) -> Texts {
        let mut texts = Vec::new();
        let mut is_right = true;
        for element in elements {
            let place = self.place_of(element);
            if let DeValue::String(text) = element.get_ref() {
                texts.push(Located { value: text.to_string(), place });
            } else {
                let message = format!("{key} lists {}, not a string", kind(element));
                let _: Field<()> = self.wrong(place, message, help);
                is_right = false;
            }
        }
        if is_right { Field::Right(Located { value: texts, place }) } else { Field::Wrong }
    }
}

fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
