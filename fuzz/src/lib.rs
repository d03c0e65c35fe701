//! The expectations that several fuzz targets share. A panic of a target reports a broken property to the
//! fuzzer.

pub mod bytes;
pub mod expect;
pub mod expected;
