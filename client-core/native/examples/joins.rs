//! A storm of joins in real time: a hundred people come into a room of two within ten seconds, over a real relay on loopback.
//!
//! ```text
//! cargo xtask bench joins
//! ```
//!
//! Everybody runs in this one process, with a port of their own each, so the machine's cores are shared by all of them: what is
//! measured is an upper bound of what a participant waits for.

#![allow(dead_code, reason = "the relay of the tests does more than is needed here")]

#[path = "../tests/loopback/relay.rs"]
mod relay;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use conclave::{CreateOptions, Options, Room};
use tokio::{task::JoinSet, time::sleep};

use crate::relay::relays;

/// What the project promises of a join in virtual time; shown beside the measurement.
const PROMISED: Duration = Duration::from_secs(2);
/// Commits for all of them, at most.
const COMMITS: u64 = 30;
/// Somebody who is not in by then does not come in.
const PATIENCE: Duration = Duration::from_secs(60);

struct Wanted {
    people: u32,
    within: Duration,
    json: bool,
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { people: 100, within: Duration::from_secs(10), json: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().and_then(|number| number.parse::<u32>().ok()).filter(|number| (1..=900).contains(number));
        match argument.as_str() {
            "--people" => wanted.people = number().ok_or("--people has to be 1 to 900")?,
            "--seconds" => wanted.within = Duration::from_secs(number().ok_or("--seconds has to be 1 to 900")?.into()),
            "--json" => wanted.json = true,
            other => return Err(format!("{other}: there are --people N, --seconds N and --json")),
        }
    }
    Ok(wanted)
}

/// Reads what a room says until its call is over: nobody is put out for not reading.
async fn listen(room: Room) {
    while room.next_event().await.is_some() {}
}

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(words) => {
            eprintln!("joins: {words}");
            return ExitCode::FAILURE;
        }
    };
    let [alder] = relays();
    let host = Room::create(CreateOptions::at(alder.entry(), Options::named("Host"))).await.expect("a room");
    let link = host.link().to_string();
    let mut listening = JoinSet::new();
    listening.spawn(listen(host));
    let guest = Room::join(&link, Options::named("Guest").through(alder.entry())).await.expect("the second one comes in");
    listening.spawn(listen(guest));
    let before = alder.stats().await.appends;

    let begun = Instant::now();
    let mut coming = JoinSet::new();
    for number in 0..wanted.people {
        let (link, entry) = (link.clone(), alder.entry());
        let at = wanted.within * number / wanted.people;
        coming.spawn(async move {
            sleep(at.saturating_sub(begun.elapsed())).await;
            let asked = Instant::now();
            let joining = Room::join(&link, Options::named(format!("Person {number}")).through(entry));
            match tokio::time::timeout(PATIENCE, joining).await {
                Ok(Ok(room)) => Ok((asked.elapsed(), room)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("nobody answered within a minute".to_owned()),
            }
        });
    }
    let (mut took, mut failed) = (Vec::new(), Vec::new());
    while let Some(came) = coming.join_next().await {
        match came.expect("no bug in a join") {
            Ok((time, room)) => {
                took.push(time);
                listening.spawn(listen(room));
            }
            Err(words) => failed.push(words),
        }
    }
    let whole = begun.elapsed();
    let after = alder.stats().await;
    let commits = after.appends.accepted - before.accepted;
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default();
    let (median, most, worst) = (at(50), at(95), at(100));
    if wanted.json {
        println!(
            "{{\"people\":{},\"came_in\":{},\"seconds\":{:.1},\"median_ms\":{},\"p95_ms\":{},\"worst_ms\":{},\"commits\":{commits}}}",
            wanted.people,
            took.len(),
            whole.as_secs_f64(),
            median.as_millis(),
            most.as_millis(),
            worst.as_millis()
        );
    } else {
        println!("| people | came in | all of it | median join | 95 % | worst | commits |\n|---|---|---|---|---|---|---|");
        println!(
            "| {} | {} | {:.1} s | {} ms | {} ms | {} ms | {commits} |",
            wanted.people,
            took.len(),
            whole.as_secs_f64(),
            median.as_millis(),
            most.as_millis(),
            worst.as_millis()
        );
        let said = |holds: bool| if holds { "holds" } else { "does not hold here" };
        println!("\nworst join under {} s: {}", PROMISED.as_secs(), said(worst < PROMISED));
        println!("at most {COMMITS} commits: {}", said(commits <= COMMITS));
    }
    if !failed.is_empty() {
        eprintln!("joins: {} did not come in, the first because: {}", failed.len(), failed.first().map_or("", String::as_str));
        eprintln!("joins: entries {:?}, requests {:?}, bounds {:?}", after.appends, after.joins, after.limit_hits);
    }
    listening.abort_all();
    alder.stop().await;
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
