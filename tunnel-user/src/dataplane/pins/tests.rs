//! Tests the paths of pins and lock files.

use super::*;

#[test]
fn each_network_namespace_and_interface_has_a_lock_of_its_own() {
    let runtime = Path::new("/run/rewrite");
    let lock = |namespace, interface| Folder::of(namespace, interface).instance(runtime);
    let path = |path: &str| PathBuf::from(path);
    assert_eq!(lock(NetworkNamespace::Host, "eth0.7"), path("/run/rewrite/eth0%2e7.lock"));
    let other = NetworkNamespace::Other(7);
    assert_eq!(lock(other, "eth0"), path("/run/rewrite/netns-7/eth0.lock"));
    assert_eq!(lock(other, ".."), path("/run/rewrite/netns-7/%2e%2e.lock"));
    // No daemon's lock has this path: the names of an interface's files encode the dots of the interface's name.
    let change = Folder::of(other, "eth0").change_lock(runtime);
    assert_eq!(change, path("/run/rewrite/netns-7/eth0.change.lock"));
    assert_ne!(change, lock(other, "eth0.change"));
}

#[test]
fn every_name_of_an_interface_has_a_folder_that_bpffs_allows() {
    for (interface, folder) in [
        ("eth0", "eth0"),
        ("eth0.100", "eth0%2e100"),
        ("a%2eb", "a%252eb"),
        ("a%.b", "a%25%2eb"),
        ("..", "%2e%2e"),
    ] {
        assert_eq!(folder_name(interface), folder);
        assert_eq!(interface_name(folder), interface);
    }
}
