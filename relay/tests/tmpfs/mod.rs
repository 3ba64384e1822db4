#![allow(unreachable_pub, reason = "shared by several tests")]
//! A small disk that can be full.

use std::{path::Path, process::Command};

/// Mounts a small tmpfs on a folder as long as it lives.
pub struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None`, and a loud line, where mounting is not permitted.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "conclave-test"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            refused => {
                eprintln!(
                    "NOT RUN on a tmpfs, mounting is not permitted here: {refused:?}; the limit on file sizes stands in for it"
                );
                None
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
