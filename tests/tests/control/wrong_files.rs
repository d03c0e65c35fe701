//! Attach refuses a wrong file, names the faulty line and a remedy, and leaves the running state unchanged.

use anyhow::{Result, ensure};
use testkit::lab::{Lab, PUBLIC_INTERFACE};
use testkit::netns::Namespace;

use crate::bpffs::dump_without_notes;
use crate::scenario::{NOTHING_MORE, Scenario};

/// The fault, the line that the error must name, and the file.
type Wrong = (&'static str, usize, Vec<u8>);

/// cluster.toml with line number `line` replaced by `text`. Lines 6 to 9 define the member srvb.
fn with_line(lab: &Lab, line: usize, text: &str) -> Vec<u8> {
    let right = lab.cluster_toml();
    let mut lines: Vec<&str> = right.lines().collect();
    lines[line - 1] = text;
    lines.join("\n").into_bytes()
}

fn replaced(lab: &Lab) -> Vec<Wrong> {
    [
        ("a string without its end", 8, "private = \"10.0.0.2"),
        ("an address without quotes", 8, "private = 10.0.0.2"),
        ("a key without a value", 8, "private ="),
        ("a header with one bracket", 6, "[member]"),
        ("an unknown table", 6, "[[server]]"),
        ("an unknown key", 9, "publik = \"203.0.113.2\""),
        ("a name that is a number", 7, "name = 2"),
        ("a name that another has", 7, "name = \"srva\""),
        ("an empty name", 7, "name = \"\""),
        ("a name with a space", 7, "name = \"srv b\""),
        ("a name that looks like an option", 7, "name = \"--all\""),
        ("an address that is a number", 8, "private = 167772162"),
        ("an address that is a list of numbers", 8, "private = [10, 0]"),
        ("an empty list", 8, "private = []"),
        ("an empty address", 8, "private = \"\""),
        ("a host name", 9, "public = \"srvb.example.org\""),
        ("a part of 256", 8, "private = \"10.0.0.256\""),
        ("three parts", 8, "private = \"10.0.2\""),
        ("a port", 9, "public = \"203.0.113.2:24007\""),
        ("white space", 9, "public = \" 203.0.113.2\""),
        ("the wildcard", 8, "private = \"0.0.0.0\""),
        ("loopback", 8, "private = \"127.0.0.1\""),
        ("multicast", 9, "public = \"224.0.0.1\""),
        ("broadcast", 9, "public = \"255.255.255.255\""),
        ("host bits", 8, "private = \"10.0.0.2/24\""),
        ("more bits than there are", 8, "private = \"10.0.0.2/33\""),
        ("another's private address", 8, "private = \"10.0.0.1\""),
        ("another's public address", 9, "public = \"198.51.100.2\""),
        ("private that is public elsewhere", 8, "private = \"198.51.100.2\""),
        ("public that is private elsewhere", 9, "public = \"10.0.0.1\""),
        ("private that is public", 8, "private = \"203.0.113.2\""),
        ("two families", 9, "public = \"2001:db8::2\""),
        ("a rule without a port", 10, "bypass = [\"tcp\"]"),
        ("a rule of a protocol without ports", 10, "bypass = [\"icmp/8\"]"),
        ("the same key twice", 9, "name = \"srvc\""),
        ("direct that is a string", 10, "direct = \"yes\""),
        ("an underlay address that is no address", 10, "underlay = \"eth0\""),
    ]
    .into_iter()
    .map(|(what, line, text)| {
        let text = if line == 10 {
            [lab.cluster_toml().as_bytes(), text.as_bytes()].concat()
        } else {
            with_line(lab, line, text)
        };
        (what, line, text)
    })
    .collect()
}

fn wholes(lab: &Lab) -> Vec<Wrong> {
    let right = lab.cluster_toml();
    let srva: String = right.lines().take(4).map(|line| format!("{line}\n")).collect();
    vec![
        ("an empty file", 1, Vec::new()),
        ("nothing but a comment", 1, b"# to be written\n".to_vec()),
        ("one member", 1, srva.clone().into_bytes()),
        ("a member without addresses", 5, format!("{srva}[[member]]\nname = \"srvb\"\n").into()),
        ("not text", 1, vec![0xff, 0xfe, 0, 1]),
        ("another format", 1, b"{ \"member\": [".to_vec()),
        ("a binary", 1, b"\x7fELF\x02\x01\x01\0".to_vec()),
        ("a NUL in the middle", 10, [right.as_bytes(), b"\0\n"].concat()),
        ("a file that was cut off", 9, right.as_bytes()[..right.len() - 4].to_vec()),
    ]
}

/// Most of the state of `host` that determines the handling of packets. Omits, among other state, the sysctls, the IPv6
/// peers, the flows and the bypass rules.
fn running(scenario: &Scenario, host: &Namespace) -> Result<Vec<String>> {
    let mut state = Vec::new();
    for pin in ["peers_v4", "attachment", "members"] {
        state.push(dump_without_notes(&scenario.pin(host, pin)?)?.to_string());
    }
    state.push(host.run(&["ip", "-json", "route", "show", "table", "all"])?);
    state.push(host.run(&["ip", "-json", "address"])?);
    state.push(host.run(&["bpftool", "-j", "net", "show"])?);
    Ok(state)
}

#[test]
fn wrong_files_are_refused_and_what_runs_is_not_touched() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.attach_both(NOTHING_MORE)?;
    scenario.require_traffic()?;
    let hosts = [&scenario.lab.a, &scenario.lab.b];
    let before = hosts.map(|host| running(&scenario, host).ok());
    let wrong = [replaced(&scenario.lab), wholes(&scenario.lab)].concat();
    assert!(wrong.len() >= 30, "{}", wrong.len());

    let mut faults = Vec::new();
    for (number, (what, line, text)) in wrong.iter().enumerate() {
        let name = format!("wrong-{number}.toml");
        let path = scenario.file(&name, text)?.display().to_string();
        for (host, before) in hosts.into_iter().zip(&before) {
            let words = ["attach", PUBLIC_INTERFACE, "--config", &path];
            let ended = scenario.try_run(host, &words)?;
            if let Err(error) = ended.require(3, &[&format!("{path}:{line}: "), "\n  help: "]) {
                faults.push(format!("{what}: {error:#}"));
            }
            ensure!(before.is_some(), "the state before could not be read");
            if running(&scenario, host).ok() != *before {
                faults.push(format!("{what}: what runs in {} changed", host.name()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scenario.require_traffic()?;
    for host in hosts {
        scenario.require_healthy(host)?;
    }
    Ok(())
}

#[test]
fn a_refused_file_shows_each_faulty_line_with_carets_below_the_fault() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let text = with_line(&scenario.lab, 8, "private = \"10.0.0.1\"  # the cable");
    let text = [text, b"\ncolour = \"blue\"\n".to_vec()].concat();
    let path = scenario.file("wrong.toml", text)?.display().to_string();
    let ended = scenario.try_run(host, &["attach", PUBLIC_INTERFACE, "--config", &path])?;
    ended.require(3, &["\n10 | colour = \"blue\"\n   | ^^^^^^\n  help: "])?;
    let private = "\n8 | private = \"10.0.0.1\"  # the cable\n  |           ^^^^^^^^^^\n  help: ";
    ended.require(3, &[private])?;
    ensure!(!ended.stderr.contains('\u{1b}'), "{ended:?}");

    let text = with_line(&scenario.lab, 8, "private = \"10.0.0.3\" # \u{1b}[31m");
    let path = scenario.file("escape.toml", text)?.display().to_string();
    let ended = scenario.try_run(host, &["attach", PUBLIC_INTERFACE, "--config", &path])?;
    ended.require(3, &["\n8 | private = \"10.0.0.3\" #  [31m\n"])?;
    ensure!(!ended.stderr.contains('\u{1b}'), "{ended:?}");

    // This file has no newline: its only line is a megabyte long.
    let long = format!("member = [{}]", "{ name = \"a\" }, ".repeat(70_000));
    let path = scenario.file("long.toml", long)?.display().to_string();
    let ended = scenario.try_run(host, &["check", "--config", &path])?;
    ensure!(ended.code == Some(4) && ended.stdout.contains("^^^"), "{ended:?}");
    ensure!(ended.stdout.lines().all(|line| line.len() < 200), "{}", ended.stdout);
    Ok(())
}

#[test]
fn a_right_file_that_does_not_fit_the_host_leaves_what_runs() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    let before = running(&scenario, host)?;
    let more = format!(
        "{}[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.3\"\n",
        scenario.lab.cluster_toml()
    );
    let path = scenario.file("more.toml", more)?.display().to_string();
    let attach = ["attach", PUBLIC_INTERFACE, "--config", &path];
    for (prepare, take_back) in [
        ("ip route add 10.0.0.3/32 via 198.51.100.9", "ip route delete 10.0.0.3/32"),
        ("ip route add unreachable 192.0.2.3", "ip route delete unreachable 192.0.2.3"),
    ] {
        host.run(&prepare.split(' ').collect::<Vec<_>>())?;
        scenario.try_run(host, &attach)?.require(4, &["help: "])?;
        host.run(&take_back.split(' ').collect::<Vec<_>>())?;
        assert_eq!(running(&scenario, host)?, before, "{prepare}");
    }
    let clsact = [&attach[..], &["--hook", "clsact"]].concat();
    let ended = scenario.try_run(host, &clsact)?;
    ended.require(4, &["already attached by tcx", "help: ", "detach first"])?;
    assert_eq!(running(&scenario, host)?, before);
    scenario.require_traffic()
}
