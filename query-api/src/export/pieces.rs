//! The body of an export: whole only if its sender says so.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// What the sender of an export says.
pub(super) enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// Nothing more comes, and nothing is missing.
    Whole,
}

/// Aborts the answer: a client sees that it is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the export broke off")]
pub(super) struct BrokenOff;

/// The bytes of an export.
pub(super) struct Pieces {
    inbox: mpsc::Receiver<Piece>,
}

impl Pieces {
    pub(super) fn new(inbox: mpsc::Receiver<Piece>) -> Self {
        Self { inbox }
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        Poll::Ready(match ready!(self.inbox.poll_recv(context)) {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::Whole) => None,
            // However the sender ended: an error, the end of its time, a shutdown, a panic.
            None => Some(Err(BrokenOff)),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    async fn sent(pieces: Vec<Piece>) -> Vec<Result<Bytes, &'static str>> {
        let (client, inbox) = mpsc::channel(pieces.len());
        for piece in pieces {
            client.send(piece).await.map_err(drop).unwrap();
        }
        drop(client);
        let pieces = Pieces::new(inbox).map(|piece| piece.map_err(|BrokenOff| "broken off"));
        pieces.take(3).collect().await
    }

    #[tokio::test]
    async fn an_export_ends_well_only_where_its_sender_says_so() {
        let bytes = || Piece::Bytes(Bytes::from_static(b"a"));
        assert_eq!(sent(vec![bytes(), Piece::Whole]).await, [Ok(Bytes::from_static(b"a"))]);
        let broken = sent(vec![bytes()]).await;
        assert_eq!(broken[..2], [Ok(Bytes::from_static(b"a")), Err("broken off")]);
    }
}
