//! Finds the shared libraries that a program of the host needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The paths of the program's shared libraries, including the dynamic loader. Empty for a static program or a
/// script.
///
/// # Errors
/// When a library is missing.
pub fn of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("starting ldd")?;
    // Ignore ldd's exit code: ldd fails for a static program, and says so in its output.
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("the shared libraries of {}", program.display()))
}

fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines() {
        if line.ends_with("not found") {
            bail!("{}", line.trim());
        }
        // A line has a name, an arrow and a path, or only the loader's path. The vDSO has no path.
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        libraries.extend(path.map(PathBuf::from));
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_and_missing_ones_reported() {
        let text = "\
\tlinux-vdso.so.1 (0x00007ffd5a5f2000)
\tlibelf.so.1 => /lib/x86_64-linux-gnu/libelf.so.1 (0x00007f1c5e5b4000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1c5e7b7000)
";
        let wanted =
            ["/lib/x86_64-linux-gnu/libelf.so.1", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(parse(text).expect("all are there"), wanted);
        assert_eq!(
            parse("\tnot a dynamic executable\n").expect("none"),
            [""; 0].map(PathBuf::from)
        );
        assert!(parse("\tlibelf.so.1 => not found\n").is_err());
    }
}
