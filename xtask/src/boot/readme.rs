//! Reads the story "Two real servers" from the README: the file of the cluster, and the commands for each host.

use anyhow::{Context as _, Result, ensure};

/// The story's file and commands.
pub struct Story {
    /// The content of `/etc/rewrite/cluster.toml`.
    pub cluster_file: String,
    /// The commands, in their order, without prompt and comment.
    pub commands: Vec<String>,
}

impl Story {
    /// Reads the story from the README's text.
    ///
    /// # Errors
    /// When the section, its file or its commands are not there.
    pub fn read(readme: &str) -> Result<Self> {
        let (_, section) = readme
            .split_once("\n## Two real servers\n")
            .context("the README has no section \"Two real servers\"")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let cluster_file = block(section, "toml")?;
        let commands: Vec<_> = block(section, "console")?.lines().filter_map(command).collect();
        ensure!(!commands.is_empty(), "the README's story has no command");
        Ok(Self { cluster_file, commands })
    }
}

/// The first block of code in this language.
fn block(section: &str, language: &str) -> Result<String> {
    let (_, rest) = section
        .split_once(&format!("```{language}\n"))
        .with_context(|| format!("the README's story has no block of {language}"))?;
    let (block, _) = rest.split_once("```").context("a block of the README has no end")?;
    Ok(block.to_owned())
}

/// The command in a line `# command   # comment`.
fn command(line: &str) -> Option<String> {
    let line = line.strip_prefix("# ")?;
    let command = line.split(" # ").next().unwrap_or(line).trim();
    Some(command.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_has_the_files_members_and_the_way_in_and_out() {
        let readme = include_str!("../../../README.md");
        let story = Story::read(readme).expect("the story");
        assert!(story.cluster_file.contains("198.51.100.2"), "{}", story.cluster_file);
        assert_eq!(story.commands.first().map(String::as_str), Some("rewrite check"));
        assert_eq!(story.commands.last().map(String::as_str), Some("rewrite detach eth0"));
        assert!(story.commands.iter().all(|command| !command.contains('#')));
    }

    #[test]
    fn a_readme_without_the_story_is_named() {
        let error = Story::read("# rewrite\n").err().expect("no story");
        assert!(error.to_string().contains("Two real servers"), "{error}");
    }
}
