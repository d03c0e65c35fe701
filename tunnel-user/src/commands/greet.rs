//! A datagram without data to a peer's private address: what counts is how it arrives, and that the
//! peer's kernel answers.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Nothing listens there, and nothing that does would answer (RFC 863): the peer's kernel says that
/// the port is closed.
const DISCARD: u16 = 9;
/// How long a peer may take to say it.
const ANSWER: Duration = Duration::from_millis(200);

/// From whom to whom: two private addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting {
    /// This host's.
    pub own: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
}

/// Sends one, and waits for what comes of it.
pub(super) async fn greet(greeting: Greeting) {
    let exchange = async {
        let socket = UdpSocket::bind((greeting.own, 0)).await?;
        socket.connect((greeting.peer, DISCARD)).await?;
        socket.send(&[]).await?;
        socket.recv(&mut [0]).await
    };
    // Whatever it is: what counts is that the peer has heard.
    let _ = timeout(ANSWER, exchange).await;
}
