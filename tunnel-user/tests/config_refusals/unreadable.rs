//! Tests files that can't be read, or that are not valid UTF-8.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tunnel_user::config::load;

fn refused(path: &Path) -> String {
    match load(path) {
        Ok(cluster) => panic!("{}: taken as {cluster:?}", path.display()),
        Err(error) => {
            assert_eq!(error.file(), path);
            error.to_string()
        }
    }
}

fn directory() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let directory = directory();
    let path = directory.path().join("cluster.toml");
    assert_eq!(
        refused(&path),
        format!(
            "{}: there is no such file\n  help: write the cluster file there, or name another one \
             with --config FILE",
            path.display()
        )
    );
}

#[test]
fn a_directory_is_refused() {
    let directory = directory();
    let printed = refused(directory.path());
    assert!(printed.contains(": the path is a directory, not a file\n  help: name"), "{printed}");
}

#[test]
fn a_path_through_a_file_is_refused() {
    let directory = directory();
    let file = directory.path().join("cluster.toml");
    fs::write(&file, "").expect("the file is written");
    let printed = refused(&file.join("more"));
    assert!(printed.contains("rewrite can't read the file"), "{printed}");
}

#[test]
fn a_file_that_is_not_text_is_refused_on_its_line() {
    let directory = directory();
    let path = directory.path().join("cluster.toml");
    fs::write(&path, b"# one\n# two\n# \xe4\n").expect("the file is written");
    let printed = refused(&path);
    let start = format!("{}:3: the file is not UTF-8 text\n  help: save", path.display());
    assert!(printed.starts_with(&start), "{printed}");
}

#[test]
fn a_wrong_file_is_refused_by_its_own_name_and_line() {
    let directory = directory();
    let path = directory.path().join("cluster.toml");
    fs::write(&path, "\n\nversion = 1\n").expect("the file is written");
    let printed = refused(&path);
    let start = format!("{}:3: unknown key \"version\"\n  help: ", path.display());
    assert!(printed.starts_with(&start), "{printed}");
}
