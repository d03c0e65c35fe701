//! Defines setters, which return the changed packet.

/// Methods that return the packet with one field changed. Each method has its field's name.
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

/// The method that sets both ports of a transport.
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
