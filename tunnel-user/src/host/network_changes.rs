//! Reports when interfaces, addresses, routes, rules or filters of this network namespace change.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rtnetlink::{MulticastGroup, new_multicast_connection};

use crate::error::{Context as _, Error};

/// The multicast groups whose messages report changes that can make the host differ from the cluster file.
const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    // Changes of clsact's filters.
    MulticastGroup::Tc,
];

/// Listens for changes of the network.
pub struct NetworkChanges {
    messages: BoxStream<'static, ()>,
}

impl NetworkChanges {
    /// Starts to listen. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn listen() -> Result<Self, Error> {
        let (connection, _, messages) = new_multicast_connection(GROUPS)
            .context(|| "subscribing to changes of the network".into())?;
        tokio::spawn(connection);
        Ok(Self { messages: messages.map(|_| ()).boxed() })
    }

    /// Waits until something changes, or so much has changed that the kernel dropped messages.
    ///
    /// # Errors
    /// If the kernel has closed the connection.
    pub async fn changed(&mut self) -> Result<(), Error> {
        let closed = || anyhow::anyhow!("the netlink socket is closed");
        self.messages
            .next()
            .await
            .ok_or_else(closed)
            .context(|| "subscribing to changes of the network".into())
    }
}
