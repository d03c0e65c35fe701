//! What shall be, worked out from the file and from what is. Pure: nothing here asks the kernel.

pub mod identity;
pub mod peers;
pub mod routes;
pub mod slots;
