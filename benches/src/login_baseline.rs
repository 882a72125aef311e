//! The baseline of `login`: the hash that each login takes, and nothing else. Nobody sends a request, nothing is
//! looked up, counted or written, and no session begins.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::cpu;
use crate::report::Measured;

/// What a hash of the command API's begins with: what both sides pay for.
pub(crate) const PARAMETERS: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// Makes so many hashes of a password on as many threads as the command API hashes on at once.
pub(crate) async fn measure(
    password: &'static str,
    threads: usize,
    hashes: u64,
) -> Result<Measured> {
    let measured = tokio::task::spawn_blocking(move || {
        // Threads and their memory are not what is compared.
        hash_all(password, threads, hashes / 10)?;
        let us = std::process::id();
        let (before, began) = (cpu::of_tree(us), Instant::now());
        hash_all(password, threads, hashes)?;
        let wall = began.elapsed();
        let cpu = vec![("process", cpu::of_tree(us).saturating_sub(before))];
        let name = format!("bare Argon2id hash, {threads} threads");
        anyhow::Ok(Measured { name, units: hashes, wall, cpu, rows: None })
    });
    measured.await.context("hashing")?
}

fn hash_all(password: &str, threads: usize, hashes: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let hash_some = || hash_some(password, &next, hashes);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(hash_some)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a thread that hashes has panicked"))?
        })
    })
}

fn hash_some(password: &str, next: &AtomicU64, hashes: u64) -> Result<()> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(refused)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= hashes {
            return Ok(());
        }
        let salt = u128::from(number).to_be_bytes();
        let mut hash = [0; 32];
        argon2.hash_password_into(password.as_bytes(), &salt, &mut hash).map_err(refused)?;
        black_box(hash);
    }
}

fn refused(error: argon2::Error) -> anyhow::Error {
    anyhow!("a password cannot be hashed: {error}")
}
