//! Generates input for the fuzz targets and defines their assertions. A target's panic reports a broken property
//! to the fuzzer.

pub mod bytes;
pub mod expect;
pub mod expected;
