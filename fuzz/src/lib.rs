//! The expectations that several fuzz targets share. A target panics where a property is
//! broken: that is how it tells the fuzzer.

pub mod bytes;
pub mod expect;
pub mod expected;
pub mod maps;
pub mod render;
