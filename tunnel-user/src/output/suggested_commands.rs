//! Completes the commands that rewrite suggests. Adds the options of the current command line: the network namespace,
//! the file and this host's members. The operator can then paste a command as it stands.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::CommandFactory as _;
use tunnel_user::config::DEFAULT_PATH;

use tunnel_user::cli::{Cli, Command};

/// The options of this command line that suggested commands repeat.
#[derive(Clone, Debug, Default)]
pub struct CommandLineOptions {
    /// The network namespace of `--netns`.
    pub netns: Option<String>,
    /// The file of `--config`, if it is not the default.
    pub config: Option<String>,
    /// The members of `--self`.
    pub self_names: Vec<String>,
}

static OPTIONS: OnceLock<CommandLineOptions> = OnceLock::new();

const NAME: &str = "rewrite ";

/// Sets the options for the whole process, before the first output.
pub fn set(options: CommandLineOptions) {
    // The command line is parsed once, so nobody has set the options before.
    let _first = OPTIONS.set(options);
}

/// Completes the commands in `text`.
pub fn completed(text: &str) -> String {
    OPTIONS.get().map_or_else(|| text.to_owned(), |options| options.completed(text))
}

/// The definition of the command `verb`; `None` for another word.
fn command_of(verb: &str) -> Option<clap::Command> {
    Cli::command().find_subcommand(verb).cloned()
}

/// True if `command` finds this host in a file, and takes the names of its members.
fn takes_members(command: &clap::Command) -> bool {
    let takes = |name| command.get_arguments().any(|argument| argument.get_long() == Some(name));
    takes("config") && takes("self")
}

/// A command of another program, as it runs in the network namespace of this command line.
pub fn in_namespace(command: &str) -> String {
    let netns = OPTIONS.get().and_then(|options| options.netns.as_ref());
    let netns = netns.filter(|_| !command.starts_with(NAME));
    netns.map_or_else(
        || command.to_owned(),
        |netns| format!("nsenter --net=/run/netns/{} {command}", quoted(netns)),
    )
}

impl CommandLineOptions {
    /// The options of `cli` that suggested commands repeat. A file that `cli` writes is the file of the suggested
    /// commands.
    pub fn of(cli: &Cli) -> Self {
        let (config, self_names): (Option<&PathBuf>, &[String]) = match &cli.command {
            Command::Attach(args) => (Some(&args.attach.config), &args.attach.self_names),
            Command::Run { attach, .. } => (Some(&attach.config), &attach.self_names),
            Command::Apply(args) => (Some(&args.config), &args.self_names),
            Command::Explain(args) => (Some(&args.config), &[]),
            Command::Diff { config, self_names, .. }
            | Command::Check { config, self_names, .. } => (Some(config), self_names),
            Command::Import(args) => (args.out.as_ref(), &[]),
            Command::Init(args) => (Some(&args.out), &[]),
            _ => (None, &[]),
        };
        let config = config.filter(|config| config.as_path() != Path::new(DEFAULT_PATH));
        Self {
            netns: cli.netns.clone(),
            config: config.map(|config| config.display().to_string()),
            self_names: self_names.to_vec(),
        }
    }

    fn completed(&self, text: &str) -> String {
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(NAME) {
            let (before, command) = rest.split_at(at);
            done.push_str(before);
            let is_whole_word =
                !done.ends_with(|c: char| c.is_alphanumeric() || "-_/.".contains(c));
            let behind = command.strip_prefix(NAME).unwrap_or_default();
            let verb = behind.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
            done.push_str(NAME);
            rest = behind;
            let definition = command_of(verb).filter(|_| is_whole_word && !is_elsewhere(&done));
            if let Some(definition) = definition {
                self.complete(&mut done, &definition, behind);
                rest = behind.strip_prefix(verb).unwrap_or_default();
            }
        }
        done.push_str(rest);
        done
    }

    fn complete(&self, done: &mut String, command: &clap::Command, behind: &str) {
        let verb = command.get_name();
        if let Some(netns) = &self.netns {
            done.push_str(&format!("--netns {} ", quoted(netns)));
        }
        done.push_str(verb);
        let end = behind.find(['\n', ';', '`']).unwrap_or(behind.len());
        let own = behind.get(..end).unwrap_or_default();
        let is_rollback = own.contains("--revert");
        let takes_members = takes_members(command);
        let takes_file = takes_members || own.contains("--all") && verb == "explain";
        if !takes_file || own.contains("--config") || is_rollback {
            return;
        }
        if let Some(config) = &self.config {
            done.push_str(&format!(" --config {}", quoted(config)));
        }
        let self_names = self.self_names.iter().filter(|_| takes_members);
        for name in self_names.filter(|_| !own.contains("--self")) {
            done.push_str(&format!(" --self {}", quoted(name)));
        }
    }
}

/// True if the text before a command sends the operator to another host: `on srvb: rewrite attach`.
fn is_elsewhere(before: &str) -> bool {
    let line = before.lines().last().unwrap_or_default();
    let host = line.trim_end_matches(NAME).strip_suffix(": ").unwrap_or_default();
    host.rsplit(' ').nth(1) == Some("on")
}

/// The word as a shell argument, quoted if necessary.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> CommandLineOptions {
        CommandLineOptions {
            netns: Some("a".into()),
            config: Some("/tmp/new.toml".into()),
            self_names: vec!["srva".into()],
        }
    }

    #[test]
    fn a_suggested_command_has_the_options_of_the_command_line() {
        let text =
            "back: rewrite detach eth0\nrewrite diff --interface eth0; `rewrite status` shows";
        assert_eq!(
            options().completed(text),
            "back: rewrite --netns a detach eth0\nrewrite --netns a diff --config /tmp/new.toml \
             --self srva --interface eth0; `rewrite --netns a status` shows"
        );
        assert_eq!(CommandLineOptions::default().completed(text), text);
    }

    #[test]
    fn a_command_with_a_file_of_its_own_keeps_it() {
        let text = "rewrite attach eth0 --config /run/previous.toml\nrewrite apply --revert";
        assert_eq!(
            options().completed(text),
            "rewrite --netns a attach eth0 --config /run/previous.toml\n\
             rewrite --netns a apply --revert"
        );
    }

    #[test]
    fn other_sentences_and_commands_for_other_hosts_stay() {
        for text in [
            "then rewrite restores the previous state",
            "/usr/bin/rewrite attach",
            "on srvb: rewrite attach",
            "rewrite attaches",
        ] {
            assert_eq!(options().completed(text), text);
        }
    }

    #[test]
    fn every_command_of_the_command_line_is_completed() {
        let options = options();
        for command in Cli::command().get_subcommands() {
            let suggested = options.completed(&format!("rewrite {}", command.get_name()));
            assert!(suggested.starts_with("rewrite --netns a "), "{suggested}");
            let takes_file = ["apply", "attach", "check", "diff", "run"];
            let is_wanted = takes_file.contains(&command.get_name());
            assert_eq!(suggested.contains("--config /tmp/new.toml --self srva"), is_wanted);
        }
    }

    #[test]
    fn a_name_with_spaces_is_quoted() {
        let options =
            CommandLineOptions { netns: Some("it's a".into()), ..CommandLineOptions::default() };
        assert_eq!(options.completed("rewrite status"), r"rewrite --netns 'it'\''s a' status");
    }
}
