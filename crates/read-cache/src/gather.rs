//! Many reads in few calls: those that wait are asked for together.
//!
//! One call is under way at a time. Alone a read waits for nothing; under load the reads that come
//! meanwhile share the next call, and so its cost: most of what a read costs here and in Redis is the
//! call, not the key. A call is sent after each of its reads asked, so that it shows no less than a
//! call of their own would.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::key::{CacheKey, TrustKey};
use crate::reader::Asking;

/// Reads in one call.
const AT_ONCE: usize = 128;

/// Reads that may wait; one more is a miss at once.
const WAITING: usize = 4_096;

/// The texts at a key and at its trust key, of one moment; `None` where Redis did not say.
pub(crate) type Texts = Option<[Option<Bytes>; 2]>;

struct Wanted {
    key: CacheKey,
    trust: TrustKey,
    answer: oneshot::Sender<Texts>,
}

/// The front of the queue. The task behind it ends when it is dropped.
pub(crate) struct Gather {
    queue: mpsc::Sender<Wanted>,
    task: JoinHandle<()>,
}

impl Gather {
    pub(crate) fn start(asking: Arc<Asking>) -> Self {
        let (queue, wanted) = mpsc::channel(WAITING);
        Self { queue, task: tokio::spawn(serve(asking, wanted)) }
    }

    pub(crate) async fn read(&self, key: &CacheKey, trust: &TrustKey) -> Texts {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted { key: key.clone(), trust: trust.clone(), answer };
        self.queue.try_send(wanted).ok()?;
        answered.await.ok()?
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(asking: Arc<Asking>, mut queue: mpsc::Receiver<Wanted>) {
    let mut wanted = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut wanted, AT_ONCE).await > 0 {
        // Who has gone away is not asked for.
        wanted.retain(|wanted| !wanted.answer.is_closed());
        if !wanted.is_empty() {
            answer(&asking, &mut wanted).await;
        }
    }
}

/// Asks for bodies and trust keys in one call; trust keys that several reads need stand there once.
async fn answer(asking: &Asking, wanted: &mut Vec<Wanted>) {
    let mut trusts: Vec<&TrustKey> = Vec::new();
    let places: Vec<usize> = wanted
        .iter()
        .map(|wanted| {
            trusts.iter().position(|trust| **trust == wanted.trust).unwrap_or_else(|| {
                trusts.push(&wanted.trust);
                trusts.len() - 1
            })
        })
        .collect();
    let keys = wanted.iter().map(|wanted| wanted.key.as_str());
    let keys = keys.chain(trusts.iter().map(|trust| trust.as_str())).collect();
    let texts = asking.ask(asking.redis.many(keys)).await;
    let bodies = wanted.len();
    for (number, (wanted, place)) in wanted.drain(..).zip(places).enumerate() {
        let text = |at: usize| texts.as_ref().and_then(|texts| texts.get(at)).cloned();
        let found = text(number).zip(text(bodies + place));
        let _ = wanted.answer.send(found.map(|(body, trust)| [body, trust]));
    }
}
