//! Measures transactions on one TCP connection: one byte in each direction at a time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::traffic;
use testkit::wait::retry_eintr;

use super::{Link, per_second};

/// Measures the transactions per second.
pub fn measure(link: &Link<'_>, time: Duration) -> Result<f64> {
    let (listener, address) = link.listen()?;
    link.run(|| answer(&listener), || ask(address, time))
}

fn answer(listener: &TcpListener) -> Result<()> {
    let (mut stream, _) = retry_eintr(|| listener.accept()).context("accept")?;
    stream.set_nodelay(true).context("send bytes at once")?;
    let mut byte = [0];
    while retry_eintr(|| stream.read(&mut byte)).context("read a request")? > 0 {
        stream.write_all(&byte).context("write a response")?;
    }
    Ok(())
}

fn ask(address: SocketAddr, time: Duration) -> Result<f64> {
    let mut stream = traffic::dial(None, address)?;
    stream.set_nodelay(true).context("send bytes at once")?;
    let mut byte = [1];
    per_second(time, || {
        stream.write_all(&byte).context("write a request")?;
        stream.read_exact(&mut byte).context("read a response")?;
        Ok(1)
    })
}
