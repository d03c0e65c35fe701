//! From text to keys and values of the right types, each with its line.
//!
//! It walks the spanned tree of the TOML parser: serde's derived code would stop at the first
//! unknown key or wrong type, and would not say where a key stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::lines::Lines;
use super::problem::{Problem, quoted};
use super::role::Role;

/// A value and the line that it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// What a member has under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given<T> {
    /// Nothing.
    Missing,
    /// Something of which a [`Problem`] was made.
    Wrong,
    /// A value of the right type.
    Right(Located<T>),
}

/// One address or several.
pub(super) type Addresses = Given<Vec<Located<String>>>;

/// A `[[member]]` whose values have the right types and may say anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawMember {
    pub(super) line: usize,
    pub(super) name: Given<String>,
    pub(super) private: Addresses,
    pub(super) public: Addresses,
    pub(super) underlay: Addresses,
    pub(super) direct: Given<bool>,
}

impl RawMember {
    fn all(line: usize, given: Addresses) -> Self {
        let is_missing = given == Given::Missing;
        Self {
            line,
            name: if is_missing { Given::Missing } else { Given::Wrong },
            private: given.clone(),
            public: given.clone(),
            underlay: given,
            direct: Given::Missing,
        }
    }

    /// What the member has under the role's key.
    pub(super) fn addresses(&self, role: Role) -> &Addresses {
        match role {
            Role::Private => &self.private,
            Role::Public => &self.public,
            Role::Underlay => &self.underlay,
        }
    }
}

/// The members of a file, those of a wrong type among them.
pub(super) struct RawFile {
    pub(super) members: Vec<RawMember>,
}

/// Reads the keys and the types of `text`: the members, and what is wrong with them so far.
///
/// Fails with one problem if `text` is not TOML.
pub(super) fn read(text: &str) -> Result<(RawFile, Vec<Problem>), Problem> {
    let lines = Lines::of(text);
    let root = DeTable::parse(text).map_err(|error| syntax(&error, &lines))?;
    let mut reader = Reader { lines, problems: Vec::new() };
    let members = reader.file(root.get_ref());
    Ok((RawFile { members }, reader.problems))
}

fn syntax(error: &toml::de::Error, lines: &Lines) -> Problem {
    let line = lines.line(error.span().map_or(0, |span| span.start));
    let message = error.message();
    if message.contains("duplicate key") {
        let help = "each key can stand once in a [[member]]: leave one of them out, or begin the \
                    next [[member]]";
        return Problem::at(line, "this key is here twice", help);
    }
    Problem::at(
        line,
        format!("this is not TOML: {}", message.replace('\n', " ")),
        "write one key = value in a line, with names and addresses in quotes: private = \"10.0.0.1\"",
    )
}

struct Reader {
    lines: Lines,
    problems: Vec<Problem>,
}

impl Reader {
    fn line_of<T>(&self, spanned: &Spanned<T>) -> usize {
        self.lines.line(spanned.span().start)
    }

    fn wrong<T>(&mut self, line: usize, message: String, help: &str) -> Given<T> {
        self.problems.push(Problem::at(line, message, help));
        Given::Wrong
    }

    fn file(&mut self, root: &DeTable<'_>) -> Vec<RawMember> {
        let mut members = Vec::new();
        for (key, value) in root {
            if key.get_ref() == keys::MEMBER {
                members = self.members(value);
            } else {
                self.unknown_in_file(key.get_ref(), self.line_of(key));
            }
        }
        if members.is_empty() && self.problems.is_empty() {
            let help = "write a [[member]] with name, private and public for each host";
            self.problems.push(Problem::at(1, "the file has no members", help));
        }
        members
    }

    fn unknown_in_file(&mut self, key: &str, line: usize) {
        let message = format!("unknown key {}", quoted(key));
        let help = if keys::nearest(key, &[keys::MEMBER]).is_some() {
            "did you mean [[member]]?".into()
        } else if keys::OF_MEMBER.contains(&key) {
            format!("{key} belongs to a member: write [[member]] on a line before it")
        } else {
            "a cluster file holds [[member]] tables only: leave it out".into()
        };
        self.problems.push(Problem::at(line, message, help));
    }

    fn members(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<RawMember> {
        const HELP: &str = "begin each member with [[member]], with two brackets on each side";
        let line = self.line_of(value);
        let DeValue::Array(elements) = value.get_ref() else {
            let message = format!("member is {}, not a list of tables", kind(value));
            let _: Given<()> = self.wrong(line, message, HELP);
            return Vec::new();
        };
        let mut members = Vec::new();
        for element in elements {
            let line = self.line_of(element);
            members.push(match element.get_ref() {
                DeValue::Table(table) => self.member(table, line),
                _ => {
                    let message = format!("a member is {}, not a table", kind(element));
                    RawMember::all(line, self.wrong(line, message, HELP))
                }
            });
        }
        members
    }

    fn member(&mut self, table: &DeTable<'_>, line: usize) -> RawMember {
        let mut member = RawMember::all(line, Given::Missing);
        let mut meant = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                keys::NAME => member.name = self.name(value),
                keys::PRIVATE => member.private = self.addresses(keys::PRIVATE, value),
                keys::PUBLIC => member.public = self.addresses(keys::PUBLIC, value),
                keys::UNDERLAY => member.underlay = self.addresses(keys::UNDERLAY, value),
                keys::DIRECT => member.direct = self.direct(value),
                unknown => meant.extend(self.unknown_in_member(unknown, self.line_of(key))),
            }
        }
        // A misspelt key has been told; that the right one is missing follows from it.
        for key in meant {
            match key {
                keys::NAME if member.name == Given::Missing => member.name = Given::Wrong,
                keys::PRIVATE if member.private == Given::Missing => member.private = Given::Wrong,
                keys::PUBLIC if member.public == Given::Missing => member.public = Given::Wrong,
                _ => {}
            }
        }
        member
    }

    fn unknown_in_member(&mut self, key: &str, line: usize) -> Option<&'static str> {
        let meant = keys::nearest(key, &keys::OF_MEMBER);
        let help = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("the keys of a member are {}", keys::OF_MEMBER.join(", ")),
        };
        let message = format!("unknown key {} in a member", quoted(key));
        self.problems.push(Problem::at(line, message, help));
        meant
    }

    fn name(&mut self, value: &Spanned<DeValue<'_>>) -> Given<String> {
        let line = self.line_of(value);
        match value.get_ref() {
            DeValue::String(text) => Given::Right(Located { value: text.to_string(), line }),
            _ => {
                let message = format!("name is {}, not a string", kind(value));
                self.wrong(line, message, "write it in quotes: name = \"srva\"")
            }
        }
    }

    fn direct(&mut self, value: &Spanned<DeValue<'_>>) -> Given<bool> {
        let line = self.line_of(value);
        match value.get_ref() {
            DeValue::Boolean(value) => Given::Right(Located { value: *value, line }),
            _ => {
                let message = format!("direct is {}, not a boolean", kind(value));
                let help = "write direct = true or direct = false, without quotes";
                self.wrong(line, message, help)
            }
        }
    }

    fn addresses(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Addresses {
        let line = self.line_of(value);
        match value.get_ref() {
            DeValue::String(text) => Given::Right(Located {
                value: vec![Located { value: text.to_string(), line }],
                line,
            }),
            DeValue::Array(elements) => {
                let mut texts = Vec::new();
                let mut is_right = true;
                for element in elements {
                    let line = self.line_of(element);
                    if let DeValue::String(text) = element.get_ref() {
                        let value = text.to_string();
                        texts.push(Located { value, line });
                    } else {
                        let message = format!("{key} lists {}, not a string", kind(element));
                        let help = format!("write each address in quotes: {key} = [\"10.0.0.1\"]");
                        let _: Given<()> = self.wrong(line, message, &help);
                        is_right = false;
                    }
                }
                if is_right { Given::Right(Located { value: texts, line }) } else { Given::Wrong }
            }
            _ => {
                let message =
                    format!("{key} is {}, not a string or a list of strings", kind(value));
                let help = format!("write the address in quotes: {key} = \"10.0.0.1\"");
                self.wrong(line, message, &help)
            }
        }
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
