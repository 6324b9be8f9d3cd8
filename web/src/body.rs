//! The body of a response that went through the layer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response that went through the layer: what the handler made, or the text of an
    /// error.
    ///
    /// So the layer asks nothing of the bodies below it, and can still say what went wrong. By
    /// default it is empty, which is what some layers around this one ask of a body.
    #[derive(Debug)]
    pub struct SessionBody<B> {
        #[pin]
        inner: Option<B>,
        text: Option<Bytes>,
    }
}

impl<B> SessionBody<B> {
    pub(crate) const fn of(inner: B) -> Self {
        Self { inner: Some(inner), text: None }
    }

    pub(crate) fn text(text: String) -> Self {
        Self { inner: None, text: Some(text.into()).filter(|text: &Bytes| !text.is_empty()) }
    }
}

impl<B> Body for SessionBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(context),
            None => Poll::Ready(this.text.take().map(|text| Ok(Frame::data(text.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => {
                let len = self.text.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(len).unwrap_or(u64::MAX))
            }
        }
    }
}

/// An empty body.
impl<B> Default for SessionBody<B> {
    fn default() -> Self {
        Self { inner: None, text: None }
    }
}
