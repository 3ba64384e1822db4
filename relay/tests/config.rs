//! Wrong configurations are refused by the real process: exit code 78, the place, and what was meant.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// A file that is in order but for what a test changes.
const RIGHT: &str = r#"[relay]
listen = "127.0.0.1:0"
addresses = ["127.0.0.1:0"]
[operator]
name = "Alder"
[metrics]
listen = "127.0.0.1:0"
"#;

struct Relay {
    folder: tempfile::TempDir,
}

impl Relay {
    /// A folder as `init` leaves it, with this file.
    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made =
            command().args(["init", "relay", "--operator", "Alder", "--listen", "127.0.0.1:0"]).current_dir(&folder).output();
        assert!(made.unwrap().status.success());
        fs::write(folder.path().join("relay/conclave-relay.toml"), config).unwrap();
        Self { folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("relay")
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = command();
        command.arg("--check-config").args(arguments).envs(environment.iter().copied()).current_dir(self.path());
        command.output().unwrap()
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-relay"));
    for (name, _) in std::env::vars() {
        if name.starts_with("CONCLAVE_RELAY_") {
            command.env_remove(name);
        }
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code 78, and on standard error these words.
fn assert_refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(said.contains(word), "not said: {word}\nsaid: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Wrong files: what is added after [`RIGHT`] (which has 7 lines), or replaced in it, and what is said.
#[test]
fn wrong_files_are_refused_with_file_and_line() {
    let added: &[(&str, &[&str])] = &[
        ("[relay2]\nlisten = 1\n", &[":8: ", "unknown key \"relay2\" at the top level"]),
        ("[store]\ncahce = \"64MiB\"\n", &[":9: ", "unknown key \"cahce\" in [store]", "did you mean \"cache\"?"]),
        ("[log]\nlisten = \"debug\"\n", &[":9: ", "unknown key \"listen\" in [log]", "did you mean \"listen\" in ["]),
        ("[log]\nlevel = \"loud\"\n", &[":9: ", "loud", "debug"]),
        ("[log]\nlevel = 3\n", &[":9: "]),
        ("[store]\ncache = \"64 megabytes\"\n", &[":9: ", "32MiB"]),
        ("[store]\ncache = 64\n", &[":9: ", "expected a string"]),
        ("[store]\ncache = \"1KiB\"\n", &[":9: ", "between 1MiB and 4GiB"]),
        ("[store]\ndurability = \"never\"\n", &[":9: ", "never", "fsync"]),
        ("[limits]\nsessions = 0\n", &[":9: ", "between 1 and 1000000", "nothing is unlimited"]),
        ("[limits]\nsessions = -1\n", &[":9: "]),
        ("[limits]\nsessions = \"many\"\n", &[":9: ", "many"]),
        ("[limits]\negress_age = \"0s\"\n", &[":9: ", "between 10ms and 1h"]),
        ("[limits]\negress_age = \"soon\"\n", &[":9: ", "15s"]),
        ("[limits]\ncontrol = \"20 a second\"\n", &[":9: ", "20/s burst 60"]),
        ("[limits]\ncontrol = \"0/s burst 0\"\n", &[":9: ", "1/s burst 1"]),
        ("[limits]\nsesions = 10\n", &[":9: ", "did you mean \"sessions\"?"]),
        ("[federation]\npolicy = \"closed\"\n", &[":9: ", "closed", "open"]),
        ("[federation]\noperators = [\"00\"]\n", &[":9: ", "64 hexadecimal digits"]),
        (
            "[federation]\noperators = [\"0000000000000000000000000000000000000000000000000000000000000000\"]\n",
            &[":9: ", "reads no list"],
        ),
        ("[web]\nroots = \"/srv\"\n", &[":9: ", "unknown key \"roots\" in [web]", "did you mean \"root\"?"]),
        ("[web]\nlisten = \"everywhere\"\n", &[":9: ", "\"relay\" for the relay's own address", "0.0.0.0:443"]),
        ("[web]\nenabled = \"yes\"\n", &[":9: ", "boolean"]),
        ("[web]\ncertificate = \"a.pem\"\n", &[":9: ", "of no use without its key", "web.key"]),
        ("[web]\nkey = \"a.pem\"\n", &[":9: ", "a certificate that is not named", "web.certificate"]),
        ("[web]\nconnections = 0\n", &[":9: ", "between 1 and 65536"]),
        ("[web]\nheader_timeout = \"1ms\"\n", &[":9: ", "between 100ms and 1h"]),
        ("[web]\nconnection_time = \"0s\"\n", &[":9: ", "between 100ms and 1h"]),
        ("[web]\nmax_page = \"2GiB\"\n", &[":9: ", "between 1KiB and 1GiB"]),
        (
            "[web]\nkey = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\ncertificate = \"a.pem\"\n",
            &[":9: ", "looks like a key itself"],
        ),
        ("[[peers]]\nname = \"Birch\"\n", &[":8: ", "missing field `relay`"]),
        ("[[peers]]\nname = \"Birch\"\nrelay = \"zz\"\naddresses = [\"a:1\"]\n", &[":10: ", "64 hexadecimal digits"]),
        (
            "[[peers]]\nname = \"Birch\"\nrelay = \"0000000000000000000000000000000000000000000000000000000000000000\"\naddresses = \
             [\"birch.example\"]\n",
            &[":11: ", "host:port"],
        ),
        (
            "[[peers]]\nname = \"Birch\"\nadress = []\nrelay = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
            &[":10: ", "unknown key \"adress\" in [[peers]]", "did you mean \"addresses\"?"],
        ),
        ("[log]\nlevel = \"info\n", &[":9: "]),
        ("[log\n", &[":8: "]),
        ("[log]\nlevel = \"info\"\nlevel = \"info\"\n", &[":10: ", "duplicate"]),
    ];
    for (addition, words) in added {
        let relay = Relay::with(&format!("{RIGHT}{addition}"));
        let words: Vec<&str> = ["conclave-relay.toml"].iter().chain(words.iter()).copied().collect();
        assert_refused(&relay.run(&[], &[]), &words);
    }
    let changed: &[(&str, &str, &[&str])] = &[
        ("listen = \"127.0.0.1:0\"\naddresses", "listn = \"127.0.0.1:0\"\naddresses", &[":2: ", "did you mean \"listen\"?"]),
        ("listen = \"127.0.0.1:0\"\naddresses", "listen = \"127.0.0.1\"\naddresses", &[":2: ", "socket address"]),
        ("addresses = [\"127.0.0.1:0\"]", "addresses = []", &[":3: ", "at least one address"]),
        ("addresses = [\"127.0.0.1:0\"]", "addresses = [\"a:1\", \"b:1\", \"c:1\", \"d:1\", \"e:1\"]", &[":3: ", "at most 4"]),
        ("name = \"Alder\"", "name = \"\"", &[":5: ", "needs a name"]),
        ("name = \"Alder\"", "name = [\"Alder\"]", &[":5: ", "string"]),
        ("[metrics]\nlisten = \"127.0.0.1:0\"", "[metrics]\nlisten = \"0.0.0.0:9101\"", &[":7: ", "metrics.allow = true"]),
        (
            "[operator]",
            "[operator]\nkey = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
            &[":5: ", "mode 600"],
        ),
    ];
    for (from, to, words) in changed {
        assert!(RIGHT.contains(from), "{from}");
        let relay = Relay::with(&RIGHT.replacen(from, to, 1));
        assert_refused(&relay.run(&[], &[]), words);
    }
}

#[test]
fn a_key_in_the_configuration_is_never_repeated() {
    let key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let relay = Relay::with(&RIGHT.replacen("[operator]", &format!("[operator]\nkey = \"{key}\""), 1));
    let output = relay.run(&[], &[]);
    assert_refused(&output, &["looks like a key itself"]);
    assert!(!text(&output.stderr).contains(key));
}

#[test]
fn every_wrong_key_of_a_file_is_named_at_once() {
    let relay = Relay::with(&format!("{RIGHT}[store]\ncahce = \"1MiB\"\n[log]\nlvel = \"info\"\n"));
    assert_refused(&relay.run(&[], &[]), &[":9: unknown key \"cahce\"", ":11: unknown key \"lvel\""]);
}

#[test]
fn wrong_environment_and_flags_are_refused_by_name() {
    let relay = Relay::with(RIGHT);
    let environment: &[(&str, &str, &[&str])] = &[
        ("CONCLAVE_RELAY_STORE__CAHCE", "64MiB", &["CONCLAVE_RELAY_STORE__CAHCE: ", "did you mean CONCLAVE_RELAY_STORE__CACHE?"]),
        ("CONCLAVE_RELAY_STORE_CACHE", "64MiB", &["CONCLAVE_RELAY_STORE_CACHE: ", "did you mean CONCLAVE_RELAY_STORE__CACHE?"]),
        ("CONCLAVE_RELAY_STORE__CACHE", "lots", &["CONCLAVE_RELAY_STORE__CACHE: ", "32MiB"]),
        ("CONCLAVE_RELAY_STORE__CACHE", "1B", &["CONCLAVE_RELAY_STORE__CACHE: ", "between 1MiB and 4GiB"]),
        ("CONCLAVE_RELAY_LIMITS__SESSIONS", "many", &["CONCLAVE_RELAY_LIMITS__SESSIONS: ", "many"]),
        ("CONCLAVE_RELAY_METRICS__ALLOW", "perhaps", &["CONCLAVE_RELAY_METRICS__ALLOW: ", "perhaps"]),
        ("CONCLAVE_RELAY_PEERS__NAME", "Birch", &["CONCLAVE_RELAY_PEERS__NAME: "]),
        ("CONCLAVE_RELAY_COLOUR", "green", &["CONCLAVE_RELAY_COLOUR: ", "no setting of this name"]),
    ];
    for (name, value, words) in environment {
        assert_refused(&relay.run(&[], &[(name, value)]), words);
    }
    let flags: &[(&str, &[&str])] = &[
        ("store.cahce=64MiB", &["--set store.cahce: ", "did you mean --set store.cache=64MiB?"]),
        ("store.cache=lots", &["--set store.cache: ", "32MiB"]),
        ("store.cache", &["--set store.cache: ", "section.key=value"]),
        ("metrics.listen=0.0.0.0:0", &["--set metrics.listen: ", "metrics.allow = true"]),
        ("peers[].name=Birch", &["--set peers[].name: "]),
    ];
    for (flag, words) in flags {
        assert_refused(&relay.run(&["--set", flag], &[]), words);
    }
}

#[test]
fn wrong_command_lines_are_refused() {
    let relay = Relay::with(RIGHT);
    assert_refused(&relay.run(&["--colour"], &[]), &["--colour"]);
    assert_refused(&relay.run(&["--config", "missing.toml"], &[]), &["missing.toml: there is no such file", "init"]);
    assert_refused(&relay.run(&["--config", "."], &[]), &["cannot be read"]);
    assert!(command().arg("--help").output().unwrap().status.success());
}

#[test]
fn later_layers_win_and_each_value_says_where_it_came_from() {
    let relay = Relay::with(&format!("{RIGHT}[store]\ncache = \"2MiB\"\n[log]\nlevel = \"warn\"\n"));
    let environment = [
        ("CONCLAVE_RELAY_STORE__CACHE", "3MiB"),
        ("CONCLAVE_RELAY_LIMITS__ROOMS", "7"),
        ("CONCLAVE_RELAY_OPERATOR__NAME", "007"),
    ];
    let output = relay.run(&["--set", "limits.rooms=8", "--set", "relay.addresses=localhost:0, [::1]:0"], &environment);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for line in [
        "cache = \"3MiB\"  # environment CONCLAVE_RELAY_STORE__CACHE",
        "level = \"warn\"  # line 11",
        "rooms = 8  # --set limits.rooms",
        "durability = \"fsync\"  # default",
        "name = \"007\"  # environment CONCLAVE_RELAY_OPERATOR__NAME",
        "addresses = [\"localhost:0\", \"[::1]:0\"]  # --set relay.addresses",
    ] {
        assert!(said.lines().any(|found| found == line), "missing: {line}\n{said}");
    }
    let key = said.lines().find(|line| line.starts_with("key = ") && line.contains("relay.key")).unwrap();
    assert!(key.ends_with("# default, the file holds ***"), "{key}");

    // What is shown can be used.
    fs::write(relay.path().join("conclave-relay.toml"), &said).unwrap();
    assert_eq!(relay.run(&[], &[]).status.code(), Some(0));
}

fn secret(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split(' ').next_back().unwrap().trim().to_owned()
}

#[test]
fn wrong_key_files_are_refused_without_showing_what_is_in_them() {
    let relay = Relay::with(RIGHT);
    let key = relay.path().join("relay.key");
    let right = fs::read_to_string(&key).unwrap();
    let hex = secret(&key);
    for (wrong, words) in [
        ("hello", "this is no relay key"),
        ("", "this is no relay key"),
        (&right.replace("relay key", "operator key"), "something else than a relay key"),
        (&right.replace(" 1 ", " 9 "), "another version"),
        (&right.trim_end()[..right.len() - 3], "cut or too long"),
        (&right.trim_end()[..right.len() - 2], "damaged"),
        (&right.replace(&hex, &"xy".repeat(32)), "damaged"),
    ] {
        fs::write(&key, wrong).unwrap();
        let output = relay.run(&[], &[]);
        assert_refused(&output, &["relay.key: ", words]);
        assert!(!text(&output.stderr).contains(&hex[..16]), "the key was shown");
    }
    fs::remove_file(&key).unwrap();
    assert_refused(&relay.run(&[], &[]), &["relay.key: there is no relay key here", "init"]);
}

#[cfg(unix)]
#[test]
fn key_files_that_others_may_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let relay = Relay::with(RIGHT);
    let key = relay.path().join("relay.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(relay.path().join("operator.key")).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert_refused(&relay.run(&[], &[]), &["relay.key: others may read this relay key (mode 640)", "chmod 600"]);
}

#[test]
fn init_overwrites_nothing_and_prints_what_peers_need() {
    let folder = tempfile::tempdir().unwrap();
    let init = || {
        command()
            .args(["init", "relay", "--operator", "Alder \"& Co\"", "--address", "relay.example.org:4433"])
            .current_dir(&folder)
            .output()
            .unwrap()
    };
    let first = init();
    let said = text(&first.stdout);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let id = said.lines().find_map(|line| line.strip_prefix("relay id ")).unwrap().trim().to_owned();
    assert_eq!(id.len(), 64);
    let block = said.split("\n\n").find(|part| part.starts_with("[[peers]]")).unwrap();
    assert!(block.contains(&id) && block.contains("relay.example.org:4433"));
    assert!(!said.contains(&secret(&folder.path().join("relay/relay.key"))), "a secret was printed");

    // Another relay takes the block as it is.
    let other = Relay::with(&format!("{RIGHT}\n{block}\n[federation]\npolicy = \"allow\"\n"));
    let output = other.run(&[], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    // And the fresh relay's own file is in order.
    let check =
        command().args(["--config", "relay/conclave-relay.toml", "--check-config"]).current_dir(&folder).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));

    let key = fs::read(folder.path().join("relay/relay.key")).unwrap();
    assert_refused(&init(), &["is there already and is not overwritten"]);
    assert_eq!(fs::read(folder.path().join("relay/relay.key")).unwrap(), key);
    fs::remove_file(folder.path().join("relay/conclave-relay.toml")).unwrap();
    assert_refused(&init(), &["relay.key: is there already"]);
}

#[test]
fn init_wants_to_know_where_others_reach_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let output = command().args(["init", "relay", "--operator", "Alder"]).current_dir(&folder).output().unwrap();
    assert_refused(&output, &["--address", "relay.example.org:4433"]);
    assert!(!folder.path().join("relay").exists(), "nothing was made");
}

#[test]
fn changed_addresses_have_to_be_signed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| command().args(arguments).current_dir(folder.path()).output().unwrap();
    assert!(run(&["init", "relay", "--operator", "Alder", "--address", "old.example.org:4433"]).status.success());
    let file = folder.path().join("relay/conclave-relay.toml");
    let text_before = fs::read_to_string(&file).unwrap();
    fs::write(&file, text_before.replace("old.example.org", "new.example.org")).unwrap();
    let config = ["--config", "relay/conclave-relay.toml"];

    assert_refused(&run(&[&config[..], &["--check-config"]].concat()), &["relay.descriptor: ", "conclave-relay sign"]);
    let signed = run(&[&["sign"], &config[..]].concat());
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    assert!(text(&signed.stdout).contains("new.example.org:4433"));
    // The operator's key may be gone from the machine now.
    fs::remove_file(folder.path().join("relay/operator.key")).unwrap();
    assert_eq!(run(&[&config[..], &["--check-config"]].concat()).status.code(), Some(0));

    assert_refused(&run(&[&["sign"], &config[..]].concat()), &["operator.key: there is no operator key here"]);
    let descriptor = folder.path().join("relay/relay.descriptor");
    let mut damaged = fs::read_to_string(&descriptor).unwrap().trim_end().to_owned();
    let last = damaged.pop();
    damaged.push(if last == Some('0') { '1' } else { '0' });
    fs::write(&descriptor, damaged).unwrap();
    assert_refused(&run(&[&config[..], &["--check-config"]].concat()), &["relay.descriptor: "]);
    fs::remove_file(&descriptor).unwrap();
    assert_refused(&run(&[&config[..], &["--check-config"]].concat()), &["there is no relay descriptor here", "sign"]);
}
