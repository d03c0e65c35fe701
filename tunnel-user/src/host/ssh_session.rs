//! Finds the connection of the ssh session that this process runs in.

use std::env;
use std::fs;

use crate::plan::kept_connections::Connection;

/// The variable that sshd sets (ssh(1), ENVIRONMENT): the addresses and ports of the client and of the server.
const VARIABLE: &str = "SSH_CONNECTION";
/// The maximum number of ancestors that the search visits.
const ANCESTORS_MAX: usize = 64;

/// The connection of the operator's ssh session. `sudo` removes the variable, so the search goes on in the environment
/// of the ancestors. `None` without an ssh session.
#[must_use]
pub fn connection() -> Option<Connection> {
    if let Ok(value) = env::var(VARIABLE) {
        return parsed(&value);
    }
    let mut process = std::os::unix::process::parent_id();
    for _ in 0..ANCESTORS_MAX {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        if let Some(value) = value_in(&environment) {
            return parsed(&value);
        }
        process = parent(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)?;
        if process == 0 {
            return None;
        }
    }
    None
}

/// The variable's value in the text of proc_pid_environ(5).
fn value_in(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let prefix = format!("{VARIABLE}=");
    let value = variables.find_map(|variable| variable.strip_prefix(prefix.as_bytes()))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The parent's process ID in the text of proc_pid_stat(5): the second field after the name, which may contain any
/// character.
fn parent(stat: &str) -> Option<u32> {
    let (_, behind) = stat.rsplit_once(") ")?;
    behind.split(' ').nth(1)?.parse().ok()
}

fn parsed(value: &str) -> Option<Connection> {
    let words: Vec<_> = value.split(' ').collect();
    let [client, client_port, server, server_port] = words[..] else { return None };
    let end = |address: &str, port: &str| {
        Some((address.parse::<std::net::IpAddr>().ok()?.to_canonical(), port.parse().ok()?).into())
    };
    Some(Connection { local: end(server, server_port)?, remote: end(client, client_port)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_this_host_and_the_client_the_other_end() {
        let found = parsed("203.0.113.2 40000 198.51.100.2 22").unwrap();
        assert_eq!(found.local, "198.51.100.2:22".parse().unwrap());
        assert_eq!(found.remote, "203.0.113.2:40000".parse().unwrap());
        assert_eq!(parsed("203.0.113.2 40000"), None);
        assert_eq!(parsed("UNKNOWN 65535 UNKNOWN 65535"), None);
    }

    #[test]
    fn the_value_is_found_in_the_environment_of_an_ancestor() {
        let environment = b"HOME=/root\0SSH_CONNECTION=::1 2 ::1 22\0LANG=C\0";
        assert_eq!(value_in(environment).as_deref(), Some("::1 2 ::1 22"));
        assert_eq!(value_in(b"MY_SSH_CONNECTION=x\0"), None);
    }

    #[test]
    fn the_parent_is_behind_a_name_with_any_character() {
        assert_eq!(parent("812 (a) b (c) S 411 812"), Some(411));
    }
}
