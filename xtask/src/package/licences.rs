//! Collects the licences of the crates in the binary: the text of each licence file, with the crates that contain it.
//!
//! The texts come from the crates themselves, since they name the holders of the copyright.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::architecture::Architecture;
use crate::{cargo, workspace};

/// The crates whose dependencies are in the binary: the command, and the eBPF programs in it.
const ROOTS: [&str; 2] = ["tunnel-user", "tunnel-ebpf"];
/// The beginnings of the names of licence files, in capitals.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The list of crates in the binary of an architecture, with their licences, and the text of every licence file.
pub fn text(architecture: Architecture) -> Result<String> {
    let mut metadata = cargo::command();
    metadata.args([
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--filter-platform",
        architecture.static_target(),
    ]);
    let output = metadata.output().context("starting cargo metadata")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let crates = linked(&metadata)?;
    let mut list = String::new();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in crates {
        let (name, version) = (field(package, "name")?, field(package, "version")?);
        let licence = field(package, "license").unwrap_or("see the texts");
        list += &format!("{name} {version}: {licence}\n");
        let manifest = Path::new(field(package, "manifest_path")?);
        for text in licence_files(manifest.parent().context("a manifest has a folder")?)? {
            texts.entry(text).or_default().insert(format!("{name} {version}"));
        }
    }
    let path = workspace().join("packaging/debian/static-libraries.txt");
    let libraries =
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut text = format!("The crates in the binary, and their licences:\n\n{list}\n{libraries}");
    for (licence, crates) in texts {
        let crates: Vec<_> = crates.into_iter().collect();
        text += &format!("\n{}\n{}\n\n{}\n", "-".repeat(80), crates.join(", "), licence.trim_end());
    }
    Ok(text)
}

/// The packages of `metadata` that the roots link, sorted by name and version. The workspace's own crates and macros are
/// left out: a macro runs in the compiler.
fn linked(metadata: &Value) -> Result<Vec<&Value>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let by_id = |id: &str| packages.iter().find(|package| package["id"] == id);
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no graph")?;
    let roots = packages.iter().filter(|package| {
        package["source"].is_null() && ROOTS.iter().any(|root| package["name"] == *root)
    });
    let mut waiting: Vec<&str> = roots.filter_map(|package| package["id"].as_str()).collect();
    ensure!(waiting.len() == ROOTS.len(), "cargo metadata lacks one of {}", ROOTS.join(", "));
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let package = by_id(id).with_context(|| format!("cargo metadata lacks {id}"))?;
        if is_macro(package) || !found.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id);
        let dependencies = node.and_then(|node| node["deps"].as_array()).into_iter().flatten();
        let linked = dependencies.filter(|of| is_linked(of));
        waiting.extend(linked.filter_map(|of| of["pkg"].as_str()));
    }
    let mut crates: Vec<_> = found.into_iter().filter_map(by_id).collect();
    crates.retain(|package| !package["source"].is_null());
    crates.sort_by_key(|of| (of["name"].to_string(), of["version"].to_string()));
    Ok(crates)
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.into_iter().any(|target| target["kind"][0] == "proc-macro")
}

/// True for a dependency that is neither for tests nor for build scripts.
fn is_linked(dependency: &Value) -> bool {
    let kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
    kinds.into_iter().any(|kind| kind["kind"].is_null())
}

fn field<'a>(package: &'a Value, name: &str) -> Result<&'a str> {
    package[name].as_str().with_context(|| format!("cargo metadata lacks {name}"))
}

/// The texts of the licence files directly in a folder.
fn licence_files(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|known| name.starts_with(known)) {
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            texts.push(String::from_utf8_lossy(&text).replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_linked_crate_is_listed_and_a_macro_and_a_crate_of_the_tests_are_not() {
        let package = |name: &str, source: Value, kind: &str| json!({ "id": name, "name": name, "version": "1", "source": source, "targets": [{ "kind": [kind] }] });
        let registry = json!("registry");
        let needs = |id: &str, kind: Value| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                package("tunnel-user", Value::Null, "lib"),
                package("tunnel-ebpf", Value::Null, "bin"),
                package("linked", registry.clone(), "lib"),
                package("derive", registry.clone(), "proc-macro"),
                package("tested", registry, "lib"),
            ],
            "resolve": { "nodes": [
                { "id": "tunnel-user", "deps": [
                    needs("linked", Value::Null), needs("derive", Value::Null), needs("tested", json!("dev")),
                ] },
            ] },
        });
        let linked = linked(&metadata).expect("a graph");
        let names: Vec<_> = linked.iter().filter_map(|of| of["name"].as_str()).collect();
        assert_eq!(names, ["linked"]);
    }
}
