//! Checks that tunnel-common's ABI equals the recorded ABI of its version: a change of a map's shape, a
//! constant or the order of reasons needs a new version.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Fails if the ABI differs from `tunnel-common/abi/VERSION.txt`.
pub fn check(workspace: &Path) -> Result<()> {
    let common = workspace.join("tunnel-common");
    let text = text(&common.join("src"))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("const ABI_VERSION: u32 = "))
        .context("tunnel-common has no ABI_VERSION")?;
    let path = common.join("abi").join(format!("{version}.txt"));
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    if recorded == text {
        return Ok(());
    }
    let new = workspace.join("target/abi.txt");
    fs::write(&new, &text).with_context(|| format!("writing {}", new.display()))?;
    let difference = recorded.lines().find(|line| !text.lines().any(|other| other == *line));
    bail!(
        "the ABI differs from {}{}\n  help: where hosts run ABI {version} already, raise ABI_VERSION and add the way \
         from {version} (tunnel-user/src/dataplane/upgrade); then copy target/abi.txt to tunnel-common/abi/VERSION.txt",
        path.display(),
        difference.map_or_else(String::new, |line| format!(": it has `{}`", line.trim())),
    )
}

/// The files whose items only one binary uses. The binary's programs and maps that use the items end with its process.
const OF_ONE_BINARY: [&str; 1] = ["trace.rs"];

/// The ABI's items in all files except [`OF_ONE_BINARY`], without comments.
fn text(source: &Path) -> Result<String> {
    let mut files: Vec<_> = fs::read_dir(source)
        .with_context(|| format!("reading {}", source.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| !OF_ONE_BINARY.iter().any(|name| path.ends_with(name)));
    files.sort();
    let mut text = String::new();
    for path in files {
        let content =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let items = items(&content);
        if !items.is_empty() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let _ = write!(text, "[{name}]\n{items}");
        }
    }
    Ok(text)
}

/// The constants, the structs with a fixed layout, and the order of reasons. The maps' capacities are left
/// out, because the loader chooses them.
fn items(source: &str) -> String {
    let mut items = String::new();
    let mut lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    while let Some(line) = lines.next() {
        if let Some(constant) = line.strip_prefix("pub const ")
            && !constant.starts_with("fn ")
            && !constant.contains("_CAPACITY: ")
            && line.ends_with(';')
        {
            let _ = writeln!(items, "const {}", constant.trim_end_matches(';'));
        } else if line.starts_with("#[repr(C") {
            let body = lines.by_ref().skip_while(|line| !line.starts_with("pub struct "));
            for line in body.take_while(|line| *line != "}") {
                let _ = writeln!(items, "{}", line.trim_start_matches("pub "));
            }
        } else if line == "reasons! {" {
            let lines = lines.by_ref().take_while(|line| *line != "}");
            // A remedy has a line of its own, and is no part of the ABI.
            for line in lines.filter(|line| !line.starts_with("Some(")) {
                let field = line.split(',').nth(1).unwrap_or_default();
                let _ = writeln!(items, "reason {}", field.trim());
            }
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
        /// A role.\n\
        pub const ROLE: u8 = 1;\n\
        pub const PEERS_CAPACITY: usize = 1024;\n\
        pub const fn mark(of: u8) -> u8 {\n\
        #[repr(C)]\n\
        #[derive(Clone)]\n\
        pub struct Key<A> {\n\
        \x20   /// The address.\n\
        \x20   pub address: A,\n\
        }\n\
        pub struct Other {\n\
        \x20   pub here: u8,\n\
        }\n\
        reasons! {\n\
        \x20   /// Too short.\n\
        \x20   Truncated, truncated, \"truncated\", Pass,\n\
        \x20       Some(\"look at the sender, or at the link\");\n\
        }\n";

    #[test]
    fn what_both_sides_agree_on_is_listed_and_nothing_else() {
        assert_eq!(
            items(SOURCE),
            "const ROLE: u8 = 1\nKey<A> {\naddress: A,\nreason truncated\n"
                .replace("Key", "struct Key")
        );
    }

    #[test]
    fn another_field_or_another_order_is_another_text() {
        assert_ne!(items(SOURCE), items(&SOURCE.replace("pub address: A", "pub address: [A; 2]")));
        assert_ne!(
            items(SOURCE),
            items(&SOURCE.replace("Truncated, truncated", "X, x, \"x\", Pass;\nT, truncated"))
        );
        assert_eq!(items(SOURCE), items(&SOURCE.replace("The address", "Another comment")));
    }
}
