//! Defines macros that generate setter methods.

/// Generates setters. Each setter has its field's name, and returns the packet with this field changed.
macro_rules! setters {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty;)+) => {$(
        $(#[doc = $doc])+
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )+};
}

/// Generates the setter of a transport's two ports.
macro_rules! port_setter {
    () => {
        /// Sets both ports.
        #[must_use]
        pub fn ports(mut self, source: u16, destination: u16) -> Self {
            self.source = source;
            self.destination = destination;
            self
        }
    };
}

pub(crate) use {port_setter, setters};
