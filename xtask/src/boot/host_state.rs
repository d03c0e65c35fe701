//! The state of a guest that an installation or an attach may change: files with their content, addresses, routes,
//! filters, sysctls, units and packages.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::guest::Guest;

/// Prints the state, one fact a line. Logs, caches (Python's too), and what systemd, dpkg, apt and
/// GlusterFS write for themselves are left out.
const SCRIPT: &str = r#"
cd /
left_out=$(printf -- '-path %s -o ' ./proc ./sys ./run ./tmp ./dev ./mnt ./var/log ./var/tmp ./var/cache \
    ./var/lib/dpkg ./var/lib/systemd ./var/lib/apt ./var/lib/glusterd)
set -f
find . -xdev \( $left_out -name __pycache__ \) -prune -o -type f -exec sha256sum {} + | sort -k 2
find . -xdev \( $left_out -name __pycache__ \) -prune -o -not -type f -printf '%y %p %l %m %u %g\n' | sort
ip -details address | grep -v valid_lft
ip route show table all
ip -6 route show table all | sed 's/ expires [^ ]*//'
ip rule
ip -6 rule
bpftool net show
find /sys/fs/bpf /run/rewrite 2>&1 || :
sysctl --all --pattern '^net\.ipv[46]\.(conf|ip_forward)' 2>&1
systemctl list-unit-files --no-legend
dpkg-query --show --showformat '${Package} ${Version} ${db:Status-Status}\n'
"#;

/// A guest's state.
#[derive(PartialEq, Eq)]
pub struct HostState(String);

impl HostState {
    /// Reads the state of a guest.
    pub fn of(guest: &Guest) -> Result<Self> {
        guest.run(SCRIPT).map(Self)
    }

    /// The number of facts.
    pub fn facts(&self) -> usize {
        self.0.lines().count()
    }

    /// Fails with the differences, unless `later` is the same.
    pub fn require_same(&self, later: &Self) -> Result<()> {
        let differences = differences(&self.0, &later.0);
        ensure!(differences.is_empty(), "the host's state differs:\n{}", differences.join("\n"));
        ensure!(self == later, "the host's state has the same facts in another order");
        Ok(())
    }
}

/// The facts that are gone, each after `-`, and the new facts, each after `+`.
fn differences(before: &str, after: &str) -> Vec<String> {
    let facts = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (facts(before), facts(after));
    let gone = before.difference(&after).map(|fact| format!("- {fact}"));
    let new = after.difference(&before).map(|fact| format!("+ {fact}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_and_a_route_that_is_left_are_named() {
        let before = "aa  ./etc/hosts\ndefault via 198.51.100.1\n";
        let after = "bb  ./etc/hosts\ndefault via 198.51.100.1\n10.0.0.2 via 198.51.100.1\n";
        let wanted = ["- aa  ./etc/hosts", "+ 10.0.0.2 via 198.51.100.1", "+ bb  ./etc/hosts"];
        assert_eq!(differences(before, after), wanted);
        assert!(differences(before, before).is_empty());
    }

    #[test]
    fn facts_in_another_order_are_not_the_same_state() {
        let [one, other] = ["a\nb\n", "b\na\n"].map(|text| HostState(text.to_owned()));
        assert!(one.require_same(&other).is_err());
        assert!(one.require_same(&one).is_ok());
    }
}
