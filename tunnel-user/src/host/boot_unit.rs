//! Finds out from systemd's folders if the interface's daemon starts at boot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::network_namespace::NetworkNamespace;

/// The folder that exists if systemd is the service manager (sd_booted(3)).
const SYSTEMD: &str = "run/systemd/system";
/// The folders with the links of enabled units (systemd.unit(5)).
const ENABLED: [&str; 3] = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"];

/// True if a unit of systemd starts the daemon of `interface` at boot. `None` without systemd, and in any network
/// namespace other than the host's: the units attach only interfaces of the host's namespace.
#[must_use]
pub fn is_enabled(interface: &str) -> Option<bool> {
    match NetworkNamespace::current() {
        Ok(NetworkNamespace::Host) => is_enabled_below(Path::new("/"), interface),
        _ => None,
    }
}

fn is_enabled_below(root: &Path, interface: &str) -> Option<bool> {
    if !root.join(SYSTEMD).is_dir() {
        return None;
    }
    let unit = format!("{}.service", unit(interface));
    let has_link = |folder: &str| {
        let targets = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let mut targets = targets.map(|target| target.path()).filter(|target| {
            target.extension().is_some_and(|kind| kind == "wants" || kind == "requires")
        });
        targets.any(|target| target.join(&unit).symlink_metadata().is_ok())
    };
    Some(ENABLED.into_iter().any(has_link))
}

/// The name of the interface's unit, without the suffix: `rewrite@eth0`. Characters that a unit name can't contain
/// are escaped (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
#[must_use]
pub fn unit(interface: &str) -> String {
    let mut name = String::from("rewrite@");
    for (index, byte) in interface.bytes().enumerate() {
        match byte {
            b'.' if index > 0 => name.push('.'),
            b':' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => name.push(byte.into()),
            byte => {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_unit_is_enabled_by_a_link_in_a_folder_of_a_target() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(is_enabled_below(root.path(), "eth0"), None);
        fs::create_dir_all(root.path().join(SYSTEMD)).unwrap();
        let wants = root.path().join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink("/usr/lib/systemd/system/rewrite@.service", wants.join("rewrite@eth1.service"))
            .unwrap();
        assert_eq!(is_enabled_below(root.path(), "eth0"), Some(false));
        assert_eq!(is_enabled_below(root.path(), "eth1"), Some(true));
    }

    #[test]
    fn the_names_of_units_are_escaped_as_systemd_escape_does() {
        assert_eq!(unit("eth0.100"), "rewrite@eth0.100");
        assert_eq!(unit("br-lan"), "rewrite@br\\x2dlan");
    }
}
