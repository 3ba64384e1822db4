//! A call between processes: real files, real relays of two operators, what is said, and what is recorded.

#[path = "../../native/tests/loopback/relay.rs"]
#[allow(dead_code, reason = "not all that relays can do is needed here")]
mod relay;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use conclave_media::{Codec, probe};
use relay::relays;
use serde_json::Value;

/// A participant's process, and what it says.
struct Participant {
    child: Child,
    lines: Receiver<Value>,
    /// Everything that was said so far.
    said: Vec<Value>,
}

const PATIENCE: Duration = Duration::from_secs(40);

impl Participant {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .args(args)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (told, lines) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                let line = serde_json::from_str(&line.expect("UTF-8")).expect("a JSON object on each line");
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits until something was said that `is` looks for.
    fn wait(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut seen = 0;
        loop {
            if let Some(found) = self.said.iter().skip(seen).find(|line| is(line)) {
                return found.clone();
            }
            seen = self.said.len();
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("nobody said {what}; the last words were {:?}", self.said.last())
                }
            }
        }
    }

    fn event(&mut self, event: &str) -> Value {
        self.wait(event, |line| line["event"] == event)
    }

    fn all(&self, event: &str) -> impl Iterator<Item = &Value> {
        self.said.iter().filter(move |line| line["event"] == event)
    }

    #[cfg(unix)]
    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill is there").success());
    }

    /// Reads to the last line.
    fn finish(&mut self) -> (ExitStatus, Value) {
        let report = self.event("report");
        self.event("ended");
        (self.child.wait().expect("a status"), report)
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // Only a test that failed leaves one behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sample(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../deploy/media", name].iter().collect();
    path.display().to_string()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The codes that a participant saw, by epoch.
fn codes(of: &Participant) -> std::collections::BTreeMap<u64, String> {
    let lines = of.all("joined").chain(of.all("epoch"));
    lines.map(|line| (line["epoch"].as_u64().unwrap_or(0), line["safety_code"].as_str().unwrap_or("").to_owned())).collect()
}

#[cfg(unix)]
#[test]
fn files_published_at_one_operator_are_recorded_at_the_other() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [alder, birch] = {
        let _inside = runtime.enter();
        relays()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (alder, birch) = (alder.entry().to_string(), birch.entry().to_string());
    let records = |name: &str| folder.path().join(name).display().to_string();

    let mut host = Participant::start(&[
        "create",
        "--relay",
        &alder,
        "--name",
        "Host",
        "--title",
        "Tea",
        "--chat-lines",
        "--record",
        &records("host"),
        "--publish",
        &sample("voice-1.ogg"),
        "--publish",
        &sample("camera-1.ivf"),
        "--screen",
        &sample("screen.ivf"),
    ]);
    let link = host.event("link")["link"].as_str().expect("a link").to_owned();
    assert_eq!(host.event("joined")["title"], "Tea");
    let mut guest = Participant::start(&[
        "join",
        &link,
        "--relay",
        &birch,
        "--name",
        "Guest",
        "--chat",
        "hello",
        "--record",
        &records("guest"),
        "--publish",
        &sample("voice-2.ogg"),
        "--publish",
        &sample("camera-2.ivf"),
    ]);

    // Everybody has everybody.
    let joined = guest.event("joined");
    let me = joined["me"].clone();
    assert_eq!(list(&joined, "roster").len(), 2);
    assert_eq!(host.event("participant_joined")["participant"], me);
    for kind in ["microphone", "camera", "screen"] {
        let first = guest.wait(kind, |line| line["event"] == "first_frame" && line["kind"] == kind);
        assert_eq!(first["name"], "Host");
    }
    for kind in ["microphone", "camera"] {
        host.wait(kind, |line| line["event"] == "first_frame" && line["kind"] == kind && line["participant"] == me);
    }

    // Words in both directions, each once.
    assert_eq!(host.event("chat")["text"], "hello");
    writeln!(host.child.stdin.as_mut().expect("piped"), "welcome").expect("the host listens");
    let chat = guest.event("chat");
    assert_eq!((chat["text"].as_str(), chat["name"].as_str()), (Some("welcome"), Some("Host")));

    // Two seconds of everything, then a goodbye.
    guest.wait("two seconds of pictures", |line| {
        line["event"] == "stats"
            && list(line, "receiving").len() == 3
            && list(line, "receiving")
                .iter()
                .all(|row| row["frames"].as_u64() > Some(if row["kind"] == "microphone" { 100 } else { 30 }))
    });
    guest.terminate();
    let (status, of_guest) = guest.finish();
    assert_eq!(status.code(), Some(0));
    let left = host.event("participant_left");
    assert_eq!((&left["participant"], left["how"].as_str()), (&me, Some("left")));
    host.terminate();
    let (status, of_host) = host.finish();
    assert_eq!(status.code(), Some(0));

    let (ours, theirs) = (codes(&host), codes(&guest));
    let shared: Vec<_> = ours.iter().filter_map(|(epoch, code)| Some((code, theirs.get(epoch)?))).collect();
    assert!(!shared.is_empty() && shared.iter().all(|(a, b)| a == b && a.len() == 30), "{ours:?} {theirs:?}");
    assert_eq!((host.all("chat").count(), guest.all("chat").count()), (1, 1));

    for (report, kinds) in [(&of_guest, 3), (&of_host, 2)] {
        assert_eq!(list(report, "receiving").len(), kinds);
        for row in list(report, "receiving") {
            let (frames, lost) = (row["frames"].as_u64().unwrap_or(0), row["lost"].as_u64());
            assert!(frames > 30 && lost == Some(0) && row["refused"] == 0 && row["unread"] == 0, "{row}");
            assert!(row["latency_p50_us"].as_u64() < row["latency_p99_us"].as_u64().map(|p99| p99 + 1), "{row}");
        }
        let recordings = list(report, "recordings");
        assert_eq!(recordings.len(), kinds);
        for recording in recordings {
            assert_eq!(recording["playable"], true, "{recording}");
            let summary = probe(Path::new(recording["file"].as_str().expect("a path"))).expect("a recording that plays");
            assert_eq!(Some(summary.frames), recording["frames"].as_u64());
            assert_eq!(summary.codec == Codec::Opus, recording["kind"] == "microphone");
            assert!(summary.duration > Duration::from_millis(1_000), "{recording}");
        }
    }
    // What a relay may not change: every picture of the camera that came is in the file.
    let camera = list(&of_guest, "receiving").iter().find(|row| row["kind"] == "camera").expect("a camera");
    let file = list(&of_guest, "recordings").iter().find(|recording| recording["kind"] == "camera").expect("its file");
    assert_eq!(camera["frames"], file["frames"], "nothing was lost, so nothing was left out");
}

/// The link with one letter changed, this many behind the `#`.
fn damaged(link: &str, at: usize) -> String {
    let at = link.find('#').expect("a secret part") + 1 + at;
    let other = if link.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &link[..at], &link[at + 1..])
}

#[test]
fn whoever_says_no_is_told_apart_by_the_exit_code() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ([alder, birch], [stranger]) = {
        let _inside = runtime.enter();
        (relays(), relays())
    };
    let pinned = alder.entry().to_string();
    let mut host = Participant::start(&["create", "--relay", &pinned]);
    let link = host.event("link")["link"].as_str().expect("a link").to_owned();

    let other_key = format!("{}@{}", birch.id.to_hex(), alder.address);
    // Letters of the room's id, and of its secret.
    let (other_room, other_secret) = (damaged(&link, 10), damaged(&link, 40));
    for (link, relay, code, words) in [
        (&link, &other_key, 76, "did not prove the expected key"),
        (&other_room, &pinned, 77, "the room is not known"),
        (&other_secret, &pinned, 77, "the link does not open this room"),
        (&link, &stranger.entry().to_string(), 77, "this relay does not know the room's hub"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .args(["join", link, "--relay", relay, "--for", "1s"])
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let said = String::from_utf8(output.stderr).expect("words");
        assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}
