//! Checks one file of the folder beside the cluster file: it has members and nothing else, so that each file is whole by
//! itself, and their order does not matter.

use toml::de::DeTable;

use super::keys;
use super::lines::Lines;
use super::problem::Problem;
use super::raw::syntax;
use crate::model::text::quoted;

/// Checks the text of a file whose first line has the number `first` in the cluster's text.
pub(super) fn check(text: &str, first: usize) -> Result<(), Problem> {
    let lines = Lines::of_piece(text, first);
    let root = DeTable::parse(text).map_err(|error| syntax(&error, &lines))?;
    let Some((key, _)) = root.get_ref().iter().find(|(key, _)| key.get_ref() != keys::MEMBER)
    else {
        return Ok(());
    };
    let name = key.get_ref().as_ref();
    let help = if keys::OF_MEMBER.contains(&name) {
        format!("{name} belongs to a member: write [[member]] on a line before it")
    } else {
        "a file of this folder has [[member]] tables only: write the key into the cluster file"
            .into()
    };
    let message = format!("the key {} is outside of a member", quoted(name));
    Err(Problem::at(lines.place(key.span()), message, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<(usize, String)> {
        check(text, 11).err().map(|problem| (problem.line.unwrap(), problem.help))
    }

    #[test]
    fn members_and_comments_are_accepted() {
        for text in ["", "# srvb is gone\n", "[[member]]\nname = \"srvb\"\n[[member]]\n"] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_of_the_cluster_file_and_one_without_its_member_are_refused_on_their_line() {
        let (line, help) =
            refusal("[[member]]\nname = \"b\"\n[[network]]\nname = \"x\"\n").unwrap();
        assert_eq!(line, 13);
        assert!(help.contains("into the cluster file"), "{help}");
        let (line, help) = refusal("\nprivate = \"10.0.0.1\"\n").unwrap();
        assert_eq!(line, 12);
        assert!(help.contains("write [[member]] on a line before it"), "{help}");
        let (line, help) = refusal("[[member]]\nname =\n").unwrap();
        assert_eq!(line, 12);
        assert!(help.contains("key = value"), "{help}");
    }
}
