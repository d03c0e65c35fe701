//! Checks that the Rust files that ARCHITECTURE.md names exist, and that ARCHITECTURE.md names every map.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The folders that the document's paths are relative to.
const BELOW: [&str; 3] = ["", "tunnel-ebpf/src", "tunnel-user/src"];

/// Fails if ARCHITECTURE.md names a file that does not exist, or does not name a map.
pub fn check(workspace: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = workspace.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let text = read("ARCHITECTURE.md")?;
    let is_there = |path: &&str| BELOW.iter().any(|top| workspace.join(top).join(path).exists());
    let missing: Vec<_> = files(&text).filter(|path| !is_there(path)).collect();
    ensure!(missing.is_empty(), "ARCHITECTURE.md names files that do not exist: {missing:?}");
    let maps = read("tunnel-common/src/maps.rs")?;
    let left_out: Vec<_> = maps_of(&maps).filter(|map| !names(&text, map)).collect();
    ensure!(left_out.is_empty(), "ARCHITECTURE.md does not say who writes {left_out:?}");
    Ok(())
}

/// The words in backticks that end in `.rs`.
fn files(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs"))
}

/// The names of the maps in tunnel-common, without the programs' names, which begin with `rewrite_`.
fn maps_of(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().filter(|line| line.starts_with("pub const "));
    let names = lines.filter_map(|line| line.split('"').nth(1));
    names.filter(|name| !name.starts_with("rewrite_"))
}

/// True if `text` names the map. `peers_*` stands for `peers_v4` and `peers_v6`.
fn names(text: &str, map: &str) -> bool {
    let family = map.strip_suffix("_v4").or_else(|| map.strip_suffix("_v6"));
    text.contains(&format!("`{map}`"))
        || family.is_some_and(|both| text.contains(&format!("`{both}_*`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_distinguished_from_other_words() {
        let text = "`tc.rs` and `decide/flow.rs` of `tunnel-ebpf`, not main.rs";
        assert_eq!(files(text).collect::<Vec<_>>(), ["tc.rs", "decide/flow.rs"]);
    }

    #[test]
    fn maps_of_both_families_have_one_name() {
        let maps = "/// Peers.\npub const PEERS_V4: &str = \"peers_v4\";\n\
                    pub const XDP_PROGRAM: &str = \"rewrite_xdp\";\nconst X: u8 = 1;\n";
        assert_eq!(maps_of(maps).collect::<Vec<_>>(), ["peers_v4"]);
        assert!(names("| `peers_*` |", "peers_v4"));
        assert!(!names("| `peers_*` |", "members"));
    }
}
