//! The pictures of the page in `deploy/pictures`: taken when somebody asks for it, and looked at by a person.

use std::path::Path;

use anyhow::{Result, bail};

use super::script::{Line, Next, Script};
use super::{LOOK, SILENCE, Stage, fakes};
use crate::progress::Task;
use crate::shell;

/// The largest that is kept in the repository.
const LARGEST: u64 = 120 * 1024;

/// Takes them all.
pub(super) fn take(stage: &Stage, folder: &Path) -> Result<()> {
    let relays = stage.relays(folder)?;
    let album = shell::root().join("deploy/pictures");
    let mut settings = stage.settings(&relays, folder)?;
    settings["album"] = serde_json::json!(album);
    settings["cameras"] = serde_json::json!(fakes::sceneries(stage.fakes.camera.parent().unwrap_or(folder))?);
    let mut script = Script::start("pictures.mjs", &folder.join("script.log"))?;
    script.answer(&settings)?;
    let mut task = Task::start("the browser starts");
    let names = loop {
        match script.next(LOOK)? {
            Next::Nothing if task.age() > SILENCE => bail!("the script said nothing for {} s", SILENCE.as_secs()),
            Next::Nothing => task.tick(),
            Next::Line(Line::Say { say }) => {
                task.done();
                task = Task::start(say);
            }
            Next::Line(Line::Report { report }) => {
                task.done();
                break serde_json::from_value::<Vec<String>>(report)?;
            }
            Next::Line(Line::Failed { failed, r#where, .. }) => bail!("{failed}\n{}", r#where),
            Next::Line(Line::Ask(_)) => bail!("nobody here does anything for the pictures"),
            Next::Gone => {
                let log = std::fs::read_to_string(folder.join("script.log")).unwrap_or_default();
                bail!("the script ended before its end: {}", log.trim());
            }
        }
    };
    for name in names {
        let length = std::fs::metadata(album.join(&name))?.len();
        if length > LARGEST {
            bail!("{name} has {length} bytes, and at most {LARGEST} are kept");
        }
        println!("deploy/pictures/{name}: {length} bytes");
    }
    drop(script);
    relays.stop()
}
