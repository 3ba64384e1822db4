#![allow(unreachable_pub, reason = "shared by several tests")]
//! Starts the real process, waits for its readiness line, asks its window, ends it.

#![allow(dead_code, reason = "each test uses the part it needs")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-relay"));
    for (name, _) in std::env::vars() {
        if name.starts_with("CONCLAVE_RELAY_") {
            command.env_remove(name);
        }
    }
    command
}

/// A fresh relay in `folder`, on loopback and ports that the system chooses.
pub fn init(folder: &Path) {
    let made = command()
        .args(["init", ".", "--operator", "Alder", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A command that is no relay: its exit code, what it told, and what it complained of.
pub fn tell(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command().args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A relay that said that it is ready.
pub struct Relay {
    child: Child,
    line: String,
    log: Option<JoinHandle<String>>,
}

impl Relay {
    /// Starts it and waits for its readiness line.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments).current_dir(folder);
        Self::spawn(command)
    }

    /// The same for a command of the caller's own.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            panic!("it did not start ({status}):\n{}", log.join().unwrap());
        }
        Self { child, line, log: Some(log) }
    }

    /// Starts one that must not start: its exit code and what it said.
    pub fn fail(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let output = command().args(arguments).current_dir(folder).output().unwrap();
        assert!(output.stdout.is_empty(), "it said that it is ready: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The readiness line.
    pub fn line(&self) -> &str {
        self.line.trim_end()
    }

    /// One value of it.
    pub fn ready(&self, name: &str) -> String {
        let value = self.line().split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.line)).to_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end: the exit code, and its log.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        (status.code(), log)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ended with this code, in order, and said these words.
pub fn assert_ended(status: Option<i32>, code: i32, said: &str, words: &[&str]) {
    assert_eq!(status, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "not said: {word}\nsaid: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// One request to its window: status and body.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or_else(|| panic!("no status in {answer}")), body.unwrap_or_default())
}
