//! What the stories ask of a framework: a server with one handler behind a stack of layers.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use sessile_core::Sessions;
use sessile_core::store::BoxStore;
use sessile_web::Transports;

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves the stories.
///
/// | target | what its handler does |
/// |---|---|
/// | `/socket` | opens the session and upgrades to a WebSocket that is driven by [`live`](super::live) |
/// | `/events` | opens the session and streams the [events](super::live::event) of it |
/// | `/anyhow?..` | as below, but a [`SessionError`](sessile_web::SessionError) becomes an error of `anyhow` and, by the application, a plain 500 |
/// | `/own?..` | the same with an error type of the application |
/// | any other | opens the [named](super::perform::named) sessions and [performs](super::perform::perform) the query on each |
pub(crate) trait Framework: Send + Sync {
    /// Starts a server on a free port.
    fn serve(&self, stack: Vec<Layer>) -> Boxed<Running>;
}

/// A layer; a stack of them begins with the outermost.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    /// The layer under test.
    Session(Sessions<BoxStore>, Transports),
    /// Answers 500 in place of a panic.
    CatchPanic,
    /// Answers with a status in place of a handler that takes longer.
    Timeout(Duration, u16),
    /// Puts a field of the form in the body beside the request, as a
    /// [`FoundToken`](sessile_web::FoundToken).
    FormToken(&'static str),
}

/// A server; it accepts no more when this is dropped.
pub(crate) struct Running {
    port: u16,
    stop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Running {
    pub(crate) fn new(port: u16, stop: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { port, stop: Some(Box::new(stop)) }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Returns the value of a field of a form; for the layer that finds tokens there.
pub(crate) fn field(form: &str, name: &str) -> Option<String> {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}
