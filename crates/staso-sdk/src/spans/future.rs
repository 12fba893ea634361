//! Futures that are spans: current while they are polled, on whatever thread that is, and at no other time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::spans::{DetachedSpan, Span};

/// Gives futures a span.
///
/// ```
/// use staso_sdk::Instrument;
///
/// async fn fetch(id: u32) -> String {
///     format!("order {id}")
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// let order = fetch(7).instrument(staso_sdk::span("fetch")).await;
/// assert_eq!(order, "order 7");
/// # });
/// ```
pub trait Instrument: Future + Sized {
    /// Begins a span here and now, and makes it the innermost one while this future is polled. It ends when
    /// the future is ready; one that is dropped before says `staso.cancelled`. A task that is spawned with it
    /// is a child of where it was made. Inside, [`current`](crate::current) is a handle on it.
    ///
    /// ```
    /// use staso_sdk::{Instrument, SpanKind};
    ///
    /// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
    /// let search = async {
    ///     staso_sdk::current().set_output(&["a", "b"]);
    /// };
    /// let span = staso_sdk::span("search").kind(SpanKind::Tool);
    /// tokio::spawn(search.instrument(span)).await.unwrap();
    /// # });
    /// ```
    fn instrument(self, span: impl Into<DetachedSpan>) -> Instrumented<Self> {
        Instrumented { future: Some(self), span: span.into(), is_over: false }
    }
}

impl<F: Future> Instrument for F {}

pin_project! {
    /// A future with a span; see [`Instrument::instrument`].
    ///
    /// ```
    /// use staso_sdk::{Instrument, Instrumented};
    ///
    /// let future: Instrumented<_> = std::future::ready(1).instrument(staso_sdk::span("one"));
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Instrumented<F> {
        // There until this is dropped.
        #[pin]
        future: Option<F>,
        span: DetachedSpan,
        is_over: bool,
    }

    impl<F> PinnedDrop for Instrumented<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !*this.is_over {
                this.span.set_metadata("staso.cancelled", &true);
            }
            // What the future still holds ends where it began: in the context of the span.
            this.span.in_scope(|| this.future.set(None));
        }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else { return Poll::Pending };
        let DetachedSpan { span, here, .. } = this.span;
        let is_over = this.is_over;
        here.run(|| {
            let _unwound = Unwound { span, is_over };
            future.poll(task)
        })
        .map(|output| {
            *is_over = true;
            this.span.close(false);
            output
        })
    }
}

/// Ends the span of a future that panics: a runtime catches the panic and drops the future later, when
/// nothing tells any more that it panicked.
struct Unwound<'s> {
    span: &'s Span,
    is_over: &'s mut bool,
}

impl Drop for Unwound<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.is_over = true;
            self.span.close(true);
        }
    }
}
