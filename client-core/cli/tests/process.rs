//! What the program says and returns when something is wrong with what it was given.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn conclave(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conclave"))
        .args(args)
        .env_remove("CONCLAVE_RELAY")
        .env_remove("CONCLAVE_LINK")
        .env_remove("CONCLAVE_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("words")
}

/// One line that begins with the program's name, and nothing of a program that fell over.
fn sentence(output: &Output) -> String {
    let text = stderr(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    text.strip_prefix("conclave: ").expect("the program's name").trim_end().to_owned()
}

fn sample(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../deploy/media", name].iter().collect();
    path.display().to_string()
}

/// Well formed as far as the program can see before it asks anybody.
const RELAY: &str = "127.0.0.1:9";

#[test]
fn a_media_file_that_is_not_what_it_says_is_66() {
    let output = conclave(&["create", "--relay", RELAY, "--publish", &sample("README.md")]);
    assert_eq!(output.status.code(), Some(66));
    let words = sentence(&output);
    assert!(words.contains("README.md is not an IVF or Ogg Opus file") && words.contains("ffmpeg"), "{words}");

    let output = conclave(&["create", "--relay", RELAY, "--publish", "gone.ivf"]);
    assert_eq!(output.status.code(), Some(66));
    assert!(sentence(&output).contains("cannot read gone.ivf"));

    let output = conclave(&["create", "--relay", RELAY, "--screen", &sample("voice-1.ogg")]);
    assert_eq!(output.status.code(), Some(66));
    assert!(sentence(&output).contains("is sound"));
}

#[test]
fn a_link_that_is_none_is_a_usage_error_that_does_not_repeat_it() {
    for link in ["hello", "https://relay.example/r", "https://relay.example/r#c2VjcmV0"] {
        let output = conclave(&["join", link, "--relay", RELAY]);
        assert_eq!(output.status.code(), Some(2), "{link}");
        let words = sentence(&output);
        assert!(words.contains("link") && !words.contains("c2VjcmV0"), "{words}");
    }
    let output = conclave(&["join", "hello", "--relay", RELAY, "--json"]);
    let line = String::from_utf8(output.stdout).expect("words");
    assert!(line.contains(r#""event":"ended""#) && line.contains(r#""ok":false"#), "{line}");
}

#[test]
fn a_wrong_command_line_is_2_and_says_what_is_wrong() {
    for (args, word) in [
        (&["create"][..], "--relay"),
        (&["create", "--relay", "relay.example.org"], "the port is missing"),
        (&["create", "--relay", "abc@relay.example.org:1"], "not a relay id"),
        (&["join", "l", "--for", "soon"], "a time is a number with a unit"),
        (&["sing"], "unrecognized subcommand"),
        (&[], "Usage"),
    ] {
        let output = conclave(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    }
    let output = conclave(&["--help"]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_relay_that_is_not_there_is_69() {
    // Bound and silent: nobody else can take it meanwhile, and nobody answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let relay = silent.local_addr().expect("its address").to_string();
    let output = conclave(&["create", "--relay", &relay, "--publish", &sample("voice-1.ogg")]);
    assert_eq!(output.status.code(), Some(69));
    let words = sentence(&output);
    assert!(words.contains("the relay cannot be reached") && words.contains("check the address"), "{words}");
    assert_eq!(output.stdout, b"", "in words, all of it is on standard error");

    let output = conclave(&["create", "--relay", "no-such-host.invalid:4433"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(sentence(&output).contains("check the spelling"));
}

#[test]
fn a_folder_that_cannot_be_made_is_said_before_anybody_is_called() {
    let folder = format!("{}/sub", sample("README.md"));
    let output = conclave(&["create", "--relay", RELAY, "--record", &folder]);
    assert_eq!(output.status.code(), Some(1));
    assert!(sentence(&output).contains("choose another folder"));
}
