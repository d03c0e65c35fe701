//! Repeats the command that the operator typed, for a trial: whoever tries the change again can paste the command.

use std::env;
use std::path;

use tunnel_user::trial::{ConfirmWithin, TrialRequest};

use super::suggested_commands::quoted;

/// The option that [`super::suggested_commands`] adds for the reader's own network namespace.
const NETNS: &str = "--netns";
const CONFIG: &str = "--config";

/// The request for a trial by the command line of this process; `None` without `--confirm-within`.
pub fn trial(confirm_within: Option<ConfirmWithin>) -> Option<TrialRequest> {
    let words: Option<Vec<String>> =
        env::args_os().skip(1).map(|word| word.into_string().ok()).collect();
    confirm_within.map(|time| TrialRequest { time, command: words.map(|words| repeated(&words)) })
}

/// The command with these words after the program's name: without the network namespace, and with the file's absolute
/// path.
fn repeated(words: &[String]) -> String {
    let mut command = String::from("rewrite");
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) if option == NETNS || option == CONFIG => (option, Some(value)),
            _ => (word.as_str(), None),
        };
        let mut value = || value.or_else(|| words.next().map(String::as_str)).unwrap_or_default();
        match option {
            NETNS => {
                value();
            }
            CONFIG => {
                let file = value();
                let absolute = path::absolute(file).ok();
                let file = absolute.as_deref().and_then(path::Path::to_str).unwrap_or(file);
                command.push_str(&format!(" {CONFIG} {}", quoted(file)));
            }
            word => command.push_str(&format!(" {}", quoted(word))),
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(line: &str) -> String {
        super::repeated(&line.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_keeps_its_options_and_loses_its_network_namespace() {
        let typed = "attach eth0 --no-routes --self srva --confirm-within 90s";
        let wanted = format!("rewrite {typed}");
        assert_eq!(repeated(typed), wanted);
        assert_eq!(repeated(&format!("--netns a {typed}")), wanted);
        assert_eq!(repeated(&format!("{typed} --netns=a")), wanted);
        assert_eq!(
            repeated("peer set srvb --public=192.0.2.9 --confirm-within 60s"),
            "rewrite peer set srvb --public=192.0.2.9 --confirm-within 60s"
        );
    }

    #[test]
    fn the_path_of_the_file_is_absolute_and_words_are_quoted() {
        let here = env::current_dir().unwrap().join("new.toml").display().to_string();
        let wanted = format!("rewrite apply --config {} --confirm-within 1h", quoted(&here));
        assert_eq!(repeated("apply --config new.toml --confirm-within 1h"), wanted);
        assert_eq!(repeated("apply --config=new.toml --confirm-within 1h"), wanted);
        let words = ["apply", "--confirm-within", "1h 30m"].map(String::from);
        assert_eq!(super::repeated(&words), "rewrite apply --confirm-within '1h 30m'");
    }
}
