//! Measures TCP connections one after the other: connect, send one byte in each direction, close.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use testkit::traffic;
use testkit::wait::retry_eintr;

use super::{Link, per_second};

/// The byte that is sent on every connection but the last, and the byte that is sent on the last connection.
const NEXT: u8 = 1;
const LAST: u8 = 0;
/// Linger 0: closing the socket sends a reset at once.
const RESET: linger = linger { l_onoff: 1, l_linger: 0 };

/// Measures the connections per second.
pub fn measure(link: &Link<'_>, time: Duration) -> Result<f64> {
    let (listener, address) = link.listen()?;
    link.run(
        || answer(&listener),
        || {
            let rate = per_second(time, || connect(address, NEXT).map(|()| 1));
            connect(address, LAST)?;
            rate
        },
    )
}

fn answer(listener: &TcpListener) -> Result<()> {
    let mut byte = [NEXT];
    while byte != [LAST] {
        let (mut stream, _) = retry_eintr(|| listener.accept()).context("accept")?;
        stream.read_exact(&mut byte).context("read a byte")?;
        stream.write_all(&byte).context("write a byte")?;
    }
    Ok(())
}

/// Makes one connection. The server closes first and the client answers with a reset: no port stays in
/// TIME_WAIT, and no timer expires during a later measurement.
fn connect(address: SocketAddr, byte: u8) -> Result<()> {
    let mut stream = traffic::dial(None, address)?;
    setsockopt(&stream, sockopt::Linger, &RESET).context("close with a reset")?;
    stream.write_all(&[byte]).context("write a byte")?;
    let mut answer = [0];
    stream.read_exact(&mut answer).context("read a byte")?;
    ensure!(answer == [byte], "received {answer:?} instead of {byte}");
    let rest = retry_eintr(|| stream.read(&mut answer)).context("wait for the end")?;
    ensure!(rest == 0, "received more bytes than were sent");
    Ok(())
}
