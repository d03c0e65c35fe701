//! Checks that each crate's `rust-version`, the oldest Rust that builds the crate, equals the toolchain in
//! `rust-toolchain.toml`. Every build then proves that `rust-version` is right.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cargo;

/// Fails if a crate's `rust-version` differs from the toolchain.
pub fn check(workspace: &Path) -> Result<()> {
    let path = workspace.join("rust-toolchain.toml");
    let toolchain =
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let channel = channel(&toolchain).context("rust-toolchain.toml has no channel")?;
    let metadata = cargo::command()
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .output()
        .context("starting cargo metadata")?;
    ensure!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata = serde_json::from_slice(&metadata.stdout).context("reading cargo metadata")?;
    let others = others(&metadata, channel)?;
    ensure!(
        others.is_empty(),
        "rust-version differs from rust-toolchain.toml's {channel} in {}\n  help: write \
         `rust-version.workspace = true` in the crate, and the same version in Cargo.toml and rust-toolchain.toml",
        others.join(", ")
    );
    Ok(())
}

/// The value of `channel` in the text of `rust-toolchain.toml`.
fn channel(toolchain: &str) -> Option<&str> {
    let line = toolchain.lines().find_map(|line| line.strip_prefix("channel = "))?;
    Some(line.trim_matches('"'))
}

/// The packages of `metadata` whose `rust-version` is missing or differs from `channel`.
fn others(metadata: &Value, channel: &str) -> Result<Vec<String>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let differs = |package: &&Value| {
        let stated = package["rust_version"].as_str();
        stated.is_none_or(|stated| !is_same(stated, channel))
    };
    let name = |package: &Value| package["name"].as_str().unwrap_or_default().to_owned();
    Ok(packages.iter().filter(differs).map(name).collect())
}

/// True if both texts name the same version. A missing last number is 0.
fn is_same(stated: &str, channel: &str) -> bool {
    let numbers = |text: &str| {
        let mut numbers = text.split('.').map(str::to_owned).collect::<Vec<_>>();
        numbers.resize(3, "0".to_owned());
        numbers
    };
    numbers(stated) == numbers(channel)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_crate_with_another_version_or_without_one_is_found() {
        let metadata = json!({"packages": [
            {"name": "same", "rust_version": "1.95"},
            {"name": "same-in-full", "rust_version": "1.95.0"},
            {"name": "older", "rust_version": "1.94"},
            {"name": "silent", "rust_version": null},
        ]});
        assert_eq!(others(&metadata, "1.95.0").ok(), Some(vec!["older".into(), "silent".into()]));
    }

    #[test]
    fn the_channel_stands_between_quotes() {
        assert_eq!(channel("# why\n[toolchain]\nchannel = \"1.95.0\"\n"), Some("1.95.0"));
        assert_eq!(channel("[toolchain]\n"), None);
    }
}
