//! Measures one TCP stream at full speed with iperf3.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use testkit::process::command_line;

use super::Link;
use crate::daemon::Daemon;

/// The message of iperf3's server when it accepts connections.
const READY: &str = "Server listening";

/// Measures the receiver's bits per second. `time` is rounded up to whole seconds for iperf3.
pub fn measure(link: &Link<'_>, time: Duration) -> Result<f64> {
    let folder = tempfile::tempdir().context("create a folder for iperf3's log")?;
    let address = link.address.to_string();
    let mut serve = link.processor.command(link.server, "iperf3");
    serve.args(["--server", "--one-off", "--forceflush", "--bind", &address]);
    let mut server = Daemon::start(&mut serve, folder.path().join("log"))?;
    server.wait_until(|output| output.contains(READY))?;
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let mut client = link.processor.command(link.client, "iperf3");
    client.args(["--client", &address, "--json", "--connect-timeout", "5000"]);
    client.args(["--time", &seconds.to_string()]);
    run(&mut client)
}

/// Runs iperf3, which reports errors in its JSON and not on standard error.
fn run(client: &mut Command) -> Result<f64> {
    let line = command_line(client);
    let output = client.output().with_context(|| format!("start `{line}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    bits_per_second(&stdout).with_context(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("`{line}` ended with {} {}", output.status, stderr.trim())
    })
}

#[derive(Deserialize)]
struct Report {
    error: Option<String>,
    #[serde(default)]
    end: End,
}

#[derive(Default, Deserialize)]
struct End {
    sum_received: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    bits_per_second: f64,
}

fn bits_per_second(json: &str) -> Result<f64> {
    let report: Report = serde_json::from_str(json).context("parse iperf3's report")?;
    if let Some(error) = report.error {
        bail!("iperf3: {error}");
    }
    let received = report.end.sum_received.context("iperf3's report has no sum of the receiver")?;
    Ok(received.bits_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receivers_rate_counts() {
        let json = r#"{
            "start": {"version": "iperf 3.12"},
            "end": {
                "sum_sent": {"bytes": 2000, "bits_per_second": 16000.5, "sender": true},
                "sum_received": {"bytes": 1900, "bits_per_second": 15200.25, "sender": true}
            }
        }"#;
        assert_eq!(bits_per_second(json).unwrap(), 15200.25);
    }

    #[test]
    fn an_error_is_reported() {
        let json = r#"{
            "start": {},
            "intervals": [],
            "end": {},
            "error": "error - unable to connect to server"
        }"#;
        let error = bits_per_second(json).unwrap_err().to_string();
        assert!(error.contains("unable to connect"), "{error}");
        let error = bits_per_second(r#"{"end": {}}"#).unwrap_err().to_string();
        assert!(error.contains("no sum of the receiver"), "{error}");
        assert!(bits_per_second("").is_err());
    }
}
