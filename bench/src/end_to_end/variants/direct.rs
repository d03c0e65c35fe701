//! Plain traffic between public addresses, without any setup.

use testkit::lab::{A_PUBLIC, B_PUBLIC};

use super::Way;

/// The addresses of a plain lab.
pub fn way() -> Way {
    Way { a: A_PUBLIC, b: B_PUBLIC, _running: None }
}
