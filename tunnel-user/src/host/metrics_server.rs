//! Answers `GET /metrics` over HTTP/1.1, on a TCP or a Unix socket. A client that is slow or silent is cut off, and the
//! number of connections is bounded.

use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::error::Error;

/// The largest number of open connections. Further clients wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 8;
/// The longest time of a connection, from its first byte to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time that a client may take for its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// The pause after a failed accept, such as one without a free file descriptor.
const PAUSE: Duration = Duration::from_secs(1);

/// The address at which metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match Path::new(path).is_absolute() {
                true => Ok(Self::Unix(path.into())),
                false => Err("give the absolute path of the socket: unix:/run/…".into()),
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            "give an address with its port, such as 127.0.0.1:9114 or [::1]:9114, or unix:/PATH"
                .into()
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/metrics"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Binds the address. Replaces a Unix socket that a killed process has left.
    ///
    /// # Errors
    /// The kernel's errors; `AddrInUse` if another process serves the address.
    pub async fn bind(address: &ServerAddress) -> io::Result<Self> {
        match address {
            ServerAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            ServerAddress::Unix(path) => {
                remove_abandoned(path);
                UnixListener::bind(path).map(Self::Unix)
            }
        }
    }
}

/// Removes a socket at which no process listens.
fn remove_abandoned(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refuses = || {
        let connected = BlockingUnixStream::connect(path);
        connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && refuses() {
        let _ = fs::remove_file(path);
    }
}

/// Text for a client, and its media type.
#[derive(Clone, Debug)]
pub struct Content {
    /// The text.
    pub text: String,
    /// The media type.
    pub media_type: &'static str,
}

/// Serves `content` for ever. Each request gets new content; a failure becomes an answer with status 500. Needs a
/// [`tokio::task::LocalSet`].
pub async fn serve<F>(listener: Listener, content: Rc<dyn Fn() -> F>) -> Infallible
where
    F: Future<Output = Result<Content, Error>> + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let content = Rc::clone(&content);
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                spawn_local(async move {
                    connection(stream, content).await;
                    drop(slot);
                });
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                spawn_local(async move {
                    connection(stream, content).await;
                    drop(slot);
                });
            }),
        };
        if let Err(error) = accepted {
            tracing::debug!("accepting a client of the metrics failed: {error}");
            sleep(PAUSE).await;
        }
    }
}

/// Answers one request of a client, and closes the connection.
async fn connection<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    content: Rc<dyn Fn() -> F>,
) where
    F: Future<Output = Result<Content, Error>> + 'static,
{
    let service = service_fn(|request| {
        let content = Rc::clone(&content);
        async move { Ok::<_, Infallible>(answer(&request, &*content).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a client of the metrics went away: {error}"),
        Err(_) => tracing::debug!("a client of the metrics was too slow"),
    }
}

async fn answer<F>(
    request: &Request<Incoming>,
    content: &(impl Fn() -> F + ?Sized),
) -> Response<Full<Bytes>>
where
    F: Future<Output = Result<Content, Error>>,
{
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    if request.method() != Method::GET {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refusal;
    }
    match content().await {
        Ok(content) => of_type(StatusCode::OK, content.text, content.media_type),
        Err(failure) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("rewrite: {failure}\n")),
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    of_type(status, text.into(), "text/plain; charset=utf-8")
}

fn of_type(status: StatusCode, text: String, media_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tcp_or_a_path() {
        let tcp = "127.0.0.1:9114".parse::<ServerAddress>().unwrap();
        assert_eq!(tcp.to_string(), "http://127.0.0.1:9114/metrics");
        assert!("[::1]:9114".parse::<ServerAddress>().is_ok());
        let unix = "unix:/run/rewrite/metrics.sock".parse();
        assert_eq!(unix, Ok(ServerAddress::Unix("/run/rewrite/metrics.sock".into())));
        for wrong in ["unix:metrics.sock", "9114", "127.0.0.1", ""] {
            assert!(wrong.parse::<ServerAddress>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_abandoned_socket_is_replaced_and_a_served_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.sock");
        let address = ServerAddress::Unix(path.clone());
        drop(Listener::bind(&address).await.unwrap());
        let _listener = Listener::bind(&address).await.unwrap();
        let again = Listener::bind(&address).await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let file = ServerAddress::Unix(folder.path().join("file"));
        fs::write(folder.path().join("file"), "kept").unwrap();
        assert!(Listener::bind(&file).await.is_err());
        assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "kept");
    }
}
