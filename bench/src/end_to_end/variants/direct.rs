//! Public addresses, and nothing set up.

use testkit::lab::{A_PUBLIC, B_PUBLIC};

use super::Way;

/// The routes that a lab has anyway.
pub fn way() -> Way {
    Way { a: A_PUBLIC, b: B_PUBLIC, _running: None }
}
