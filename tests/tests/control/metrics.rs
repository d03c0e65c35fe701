//! Tests the metrics of `rewrite run` and `rewrite stats --prometheus`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::lab::{A_PRIVATE, B_PRIVATE, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::traffic::ping;
use testkit::wait::wait_until;

use crate::batches::members;
use crate::bpffs::bpftool;
use crate::daemon::Daemon;
use crate::process::Process;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario};

const ADDRESS: &str = "127.0.0.1:9114";
pub const SERVED: &[&str] = &["--metrics", ADDRESS];
/// Longer than the daemon serves a slow client.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the daemon of a host.
pub fn connect(host: &Namespace) -> Result<TcpStream> {
    let address: SocketAddr = ADDRESS.parse()?;
    let stream = wait_until("the port of the metrics", PATIENCE, || {
        Ok(host.enter(|| TcpStream::connect(address))?.ok())
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The head and the body of the answer to a request.
fn ask(mut stream: impl Read + Write, method: &str, path: &str) -> Result<(String, String)> {
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context(answer.clone())?;
    Ok((head.to_owned(), body.to_owned()))
}

pub fn scrape(stream: impl Read + Write) -> Result<String> {
    let (head, body) = ask(stream, "GET", "/metrics")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
    ensure!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    Ok(body)
}

/// The value of a series.
pub fn value(text: &str, series: &str) -> Result<f64> {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(found.with_context(|| format!("{series} is not in {text}"))?.parse()?)
}

fn packets(stats: &Value, direction: &str) -> Result<f64> {
    let peer = &stats["interfaces"][0]["peers"][0][direction]["packets"];
    peer.as_f64().with_context(|| format!("no packets: {stats:#}"))
}

fn series(direction: &str) -> String {
    format!(
        "rewrite_peer_packets_total{{interface=\"eth0\",peer=\"srvb\",direction=\"{direction}\"}}"
    )
}

#[test]
fn a_scrape_has_the_numbers_of_stats_while_traffic_flows() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let _daemon = Daemon::ready(&scenario, host, SERVED)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let peer = B_PRIVATE.to_string();
    let mut pings = Process::start(host.command("ping").args(["-n", "-i", "0.02", &peer]))?;
    pings.wait_for_line("icmp_seq=5")?;
    let stats = || scenario.json(host, &["stats", "--json"]);
    for _ in 0..5 {
        let before = stats()?;
        let text = scrape(connect(host)?)?;
        let after = stats()?;
        for direction in ["egress", "ingress"] {
            let seen = value(&text, &series(direction))?;
            let (least, most) = (packets(&before, direction)?, packets(&after, direction)?);
            ensure!(least <= seen && seen <= most, "{least}, {seen}, {most}");
        }
    }
    pings.signal(Signal::SIGINT)?;
    pings.ends_within(PATIENCE)?;
    let (text, stats) = (scrape(connect(host)?)?, stats()?);
    let interface = &stats["interfaces"][0];
    for direction in ["egress", "ingress"] {
        let wanted = &interface["peers"][0][direction];
        ensure!(value(&text, &series(direction))? == wanted["packets"].as_f64().unwrap_or(-1.0));
        let bytes = series(direction).replace("packets", "bytes");
        ensure!(value(&text, &bytes)? == wanted["bytes"].as_f64().unwrap_or(-1.0));
    }
    for reason in interface["not_rewritten"].as_array().context("no list")? {
        let labels = ["direction", "reason", "verdict"]
            .map(|name| format!("{name}=\"{}\"", reason[name].as_str().unwrap_or_default()));
        for unit in ["packets", "bytes"] {
            let series = format!(
                "rewrite_not_rewritten_{unit}_total{{interface=\"eth0\",{}}}",
                labels.join(",")
            );
            ensure!(value(&text, &series)? == reason[unit].as_f64().unwrap_or(-1.0), "{series}");
        }
    }
    let heard = "rewrite_peer_last_heard_timestamp_seconds{interface=\"eth0\",peer=\"srvb\"}";
    let at = interface["peers"][0]["last_heard"]["at"].as_str().context("never heard")?;
    let at = humantime::parse_rfc3339(at)?.duration_since(std::time::UNIX_EPOCH)?;
    ensure!((value(&text, heard)? - at.as_secs_f64()).abs() < 0.1, "{text}");
    ensure!(value(&text, "rewrite_peers{interface=\"eth0\",state=\"heard\"}")? == 1.0, "{text}");
    ensure!(value(&text, "rewrite_daemon_follows_file{interface=\"eth0\"}")? == 1.0, "{text}");
    // The command shows the same, without the daemon's own.
    let said = scenario.rewrite.run(host, &["stats", "--prometheus"])?;
    for name in [series("egress"), series("ingress"), heard.to_owned()] {
        ensure!((value(&said, &name)? - value(&text, &name)?).abs() < 0.1, "{name}: {said}");
    }
    ensure!(!said.contains("rewrite_daemon"), "{said}");
    Ok(())
}

#[test]
fn clients_that_hang_are_cut_off_and_hold_up_neither_others_nor_the_daemon() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let daemon = Daemon::ready(&scenario, host, SERVED)?;
    let mut hanging = Vec::new();
    // All connections but one: some say nothing, some begin a request.
    for number in 0..7 {
        let mut client = connect(host)?;
        if number % 2 == 0 {
            client.write_all(b"GET /metrics HTTP/1.1\r\nHo")?;
        }
        hanging.push(client);
    }
    let start = Instant::now();
    scrape(connect(host)?)?;
    ensure!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    // More clients than connections: the last is served when the others are cut off.
    for _ in 0..3 {
        hanging.push(connect(host)?);
    }
    daemon.reload()?;
    scrape(connect(host)?)?;
    for mut client in hanging {
        let _ = client.read_to_end(&mut Vec::new()).context("a hanging client stays connected")?;
    }
    daemon.require_attaches(1)
}

#[test]
fn only_get_metrics_is_served() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let _daemon = Daemon::ready(&scenario, host, SERVED)?;
    let status = |method: &str, path: &str| -> Result<String> {
        let (head, _) = ask(connect(host)?, method, path)?;
        Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
    };
    assert_eq!(status("POST", "/metrics")?, "405");
    assert_eq!(status("GET", "/")?, "404");
    assert_eq!(status("GET", "/../etc/passwd")?, "404");
    assert_eq!(status("GET", "/metrics")?, "200");
    Ok(())
}

#[test]
fn no_port_is_open_unless_it_is_asked_for() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let _daemon = Daemon::ready(&scenario, host, NOTHING_MORE)?;
    let sockets = host.run(&["ss", "--no-header", "--listening", "--tcp", "--udp"])?;
    ensure!(sockets.is_empty(), "{sockets}");
    let wrong = scenario.try_run(host, &["run", PUBLIC_INTERFACE, "--metrics", "9114"])?;
    wrong.require(2, &["give an address with its port"])
}

#[test]
fn a_unix_socket_serves_the_metrics_and_goes_with_the_daemon() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = scenario.path("metrics.sock");
    let address = format!("unix:{path}");
    for _ in 0..2 {
        let killed = Daemon::ready(&scenario, &scenario.lab.a, &["--metrics", &address])?;
        let text = wait_until("the socket", PATIENCE, || {
            UnixStream::connect(&path).ok().map(scrape).transpose()
        })?;
        ensure!(value(&text, "rewrite_attached{interface=\"eth0\"}")? == 1.0, "{text}");
        // The next daemon replaces the socket that the killed daemon leaves.
        killed.kill()?;
        ensure!(Path::new(&path).exists(), "the socket is gone");
    }
    let daemon = Daemon::ready(&scenario, &scenario.lab.a, &["--metrics", &address])?;
    wait_until("the socket", PATIENCE, || Ok(UnixStream::connect(&path).ok()))?;
    daemon.terminate()?;
    ensure!(!Path::new(&path).exists(), "the socket is still there");
    Ok(())
}

#[test]
fn a_text_file_is_replaced_and_goes_with_the_daemon() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let folder = scenario.path("textfile");
    fs::create_dir(&folder)?;
    let path = format!("{folder}/rewrite.prom");
    let more = ["--metrics-textfile", &path, "--metrics-interval", "1s"];
    let daemon = Daemon::ready(&scenario, host, &more)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    ensure!(ping(host, B_PRIVATE, 3, 56)?.returned == 3);
    let counted = wait_until("the packets in the file", PATIENCE, || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        Ok(value(&text, &series("egress")).is_ok_and(|count| count == 3.0).then_some(text))
    })?;
    ensure!(
        counted.ends_with('\n') && value(&counted, "rewrite_attached{interface=\"eth0\"}")? == 1.0
    );
    let metadata = fs::metadata(&path)?;
    assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
    wait_until("another file in its place", PATIENCE, || {
        Ok((fs::metadata(&path)?.ino() != metadata.ino()).then_some(()))
    })?;
    daemon.terminate()?;
    ensure!(fs::read_dir(&folder)?.count() == 0, "files are left in {folder}");
    Ok(())
}

/// node_exporter shows the file's time of change, by which the alert RewriteTextfileStale finds it.
#[test]
fn a_text_file_keeps_its_content_and_time_while_the_maps_can_not_be_read() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let path = scenario.path("rewrite.prom");
    let more = ["--metrics-textfile", &path, "--metrics-interval", "1s"];
    let daemon = Daemon::ready(&scenario, host, &more)?;
    wait_until("the file", PATIENCE, || Ok(Path::new(&path).exists().then_some(())))?;
    let pin = scenario.pin(host, "somebodys")?;
    let made = pin.display().to_string();
    bpftool(&[
        "map", "create", &made, "type", "hash", "key", "4", "value", "4", "entries", "1", "name",
        "x",
    ])?;
    daemon.process().wait_for_line("the metrics are not written to the file: ")?;
    let (text, before) = (fs::read_to_string(&path)?, fs::metadata(&path)?);
    // The file is due twice.
    thread::sleep(Duration::from_secs(2));
    let after = fs::metadata(&path)?;
    ensure!(after.modified()? == before.modified()? && fs::read_to_string(&path)? == text);
    fs::remove_file(pin)?;
    wait_until("another file in its place", PATIENCE, || {
        Ok((fs::metadata(&path)?.ino() != before.ino()).then_some(()))
    })
}

#[test]
fn an_interface_without_its_programs_is_not_attached_in_the_metrics() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let _daemon = Daemon::ready(&scenario, host, &[SERVED, CLSACT].concat())?;
    let attached = || value(&scrape(connect(host)?)?, "rewrite_attached{interface=\"eth0\"}");
    ensure!(attached()? == 1.0, "not attached at first");
    // The daemon leaves the interface alone while a trial is pending.
    let change = ["peer", "set", "srvb", "--direct", "true", "--confirm-within", "10m"];
    scenario.rewrite.run(host, &change)?;
    host.run(&["tc", "filter", "del", "dev", PUBLIC_INTERFACE, "egress"])?;
    let status = scenario.try_run(host, &["status"])?;
    ensure!(status.stdout.contains("the egress program is not attached"), "{status:?}");
    ensure!(attached()? == 0.0, "attached without the egress program");
    scenario.rewrite.run(host, &["apply", "--revert"])?;
    wait_until("the repair by the daemon", PATIENCE, || Ok((attached()? == 1.0).then_some(())))
}

#[test]
fn peers_above_the_limit_are_one_sum() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.file("cluster.toml", members(&scenario.lab.cluster_toml(), 0..3, "172.20"))?;
    let _daemon = Daemon::ready(&scenario, host, &[SERVED, &["--metrics-peers", "3"]].concat())?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    ensure!(ping(host, B_PRIVATE, 3, 56)?.returned == 3);
    ensure!(ping(&scenario.lab.b, A_PRIVATE, 2, 56)?.returned == 2);
    let text = scrape(connect(host)?)?;
    ensure!(!text.contains("peer=\""), "{text}");
    let sum = "rewrite_peer_packets_total{interface=\"eth0\",direction=\"egress\"}";
    ensure!(value(&text, sum)? == 5.0, "{text}");
    ensure!(value(&text, "rewrite_peers{interface=\"eth0\",state=\"unknown\"}")? == 3.0, "{text}");
    ensure!(value(&text, "rewrite_peers{interface=\"eth0\",state=\"heard\"}")? == 1.0, "{text}");
    ensure!(
        value(&text, "rewrite_map_entries{interface=\"eth0\",map=\"members\"}")? == 4.0,
        "{text}"
    );
    Ok(())
}

#[test]
fn ten_thousand_peers_have_their_series_and_one_more_has_not() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let cluster = scenario.lab.cluster_toml();
    for (more, wanted) in [(9_999, 10_000), (10_000, 0)] {
        scenario.file("cluster.toml", members(&cluster, 0..more, "172.20"))?;
        scenario.attach(host, &["--no-routes"])?;
        let start = Instant::now();
        let text = scenario.rewrite.run(host, &["stats", "--prometheus"])?;
        let took = start.elapsed();
        let read = value(&text, "rewrite_read_duration_seconds")?;
        eprintln!("{} peers: {took:?}, of which {read} s read, {} bytes", more + 1, text.len());
        let with = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(with("rewrite_peer_router_errors_total{"), wanted.max(1));
        assert_eq!(with("rewrite_peer_packets_total{"), 2 * wanted.max(1));
        assert_eq!(with("rewrite_peer_silent{"), wanted);
        let unknown = value(&text, "rewrite_peers{interface=\"eth0\",state=\"unknown\"}")?;
        assert_eq!(unknown as u32, more + 1);
    }
    Ok(())
}
