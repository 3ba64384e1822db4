//! The samples with a marker behind every frame, where decoders do not look: a frame that crossed a relay in clear would
//! carry it.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result};
use conclave_media::{Written, ivf};

use super::cast::{CAST, marker};

/// Copies everything that is published into `to`: videos with the marker, sounds as they are.
pub(crate) fn mark(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).context("the folder for the samples cannot be made")?;
    for name in CAST.iter().flat_map(|part| part.publishes.iter().copied().chain(part.screen)) {
        let (source, target) = (from.join(name), to.join(name));
        if name.ends_with(".ivf") {
            video(&source, &target).with_context(|| format!("{name} cannot be marked"))?;
        } else {
            std::fs::copy(&source, &target).with_context(|| format!("{name} cannot be copied"))?;
        }
    }
    Ok(())
}

fn video(from: &Path, to: &Path) -> Result<()> {
    let mut reader = ivf::Reader::new(BufReader::new(File::open(from)?))?;
    let dimensions = reader.header().dimensions;
    let mut writer = ivf::Writer::new(File::create(to)?, dimensions)?;
    while let Some(frame) = reader.next_frame()? {
        let mut marked = frame.data.to_vec();
        marked.extend_from_slice(marker::MEDIA.as_bytes());
        anyhow::ensure!(matches!(writer.write(frame.at, &marked)?, Written::Kept), "a frame of the sample was not taken");
    }
    writer.finish()?;
    Ok(())
}
