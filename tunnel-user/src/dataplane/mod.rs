//! What is in the kernel: the object, its pins, its maps and the hooks that run it.

pub mod hook;
pub mod load;
pub mod maps;
pub mod object;
pub mod pins;
