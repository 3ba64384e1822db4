//! Files that a participant publishes.

use std::io::Cursor;

use bytes::Bytes;
use conclave_media::{ivf, opus, vp8};

use crate::Target;

/// Frames and packets read of one input; a file that goes on for ever is not a file.
const MOST: usize = 4_096;

fn pictures(bytes: &Bytes) -> bool {
    let Ok(mut reader) = ivf::Reader::new(Cursor::new(bytes)) else { return false };
    for _ in 0..MOST {
        match reader.next_frame() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    true
}

fn sound(bytes: &Bytes) -> bool {
    let Ok(mut reader) = opus::Reader::new(Cursor::new(bytes)) else { return false };
    for _ in 0..MOST {
        match reader.next_packet() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    true
}

/// A reader of files has buffers of its own: an Ogg page is at most 64 KiB, and a frame what its header says, if the file
/// is that long.
const fn buffered(len: usize) -> usize {
    64 * len + 512 * 1024
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "ivf", feed: pictures, memory: buffered },
    Target { name: "ogg-opus", feed: sound, memory: buffered },
    Target { name: "opus-packet", feed: |bytes| opus::packet::samples(bytes).is_ok(), memory: crate::modest },
    Target { name: "vp8-frame", feed: |bytes| vp8::Tag::read(bytes).is_ok(), memory: crate::modest },
];
