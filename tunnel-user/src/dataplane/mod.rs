//! What is in the kernel: the object, the pins, the maps, the hooks.

pub mod object;
