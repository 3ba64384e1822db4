//! A camera and a microphone that are files: each picture says its number to a machine and to a person, and each second
//! begins with a beep. Made anew when they are missing; the same bytes on every machine.
//!
//! ```text
//!   0                     160       320
//!   +--+--+--+--+ .. +--+--+---------+  row of cells: number, most significant bit first, two parity bits;
//!   |n7|n6|n5| .. n0|p1|p0|   free   |  white is 1, black is 0. The right half is left black.
//!   +--------------------------------+
//!   |            1 2 3               |  the same number, legible, on a gradient that moves
//!   +--------------------------------+
//!   |   black: the page's test stamps its clock here |
//!   +--------------------------------+
//! ```
//! `client-core/web/tests/barcode.mjs` reads it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Pixels of a picture.
const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// Pictures in the loop: as many as the number's bits can count, so that the first follows on the last.
const PICTURES: usize = 256;

/// Bits of the number.
const BITS: usize = 8;

/// The side of a cell: a macroblock of VP8, so that no cell's edge is inside a transform.
const CELL: usize = 16;

/// Where the row for the page's clock begins.
const CLOCK: usize = 160;

const BLACK: u8 = 16;
const WHITE: u8 = 235;
const NO_COLOUR: u8 = 128;

/// Samples in a second.
const RATE: usize = 48_000;

/// A beep: 100 ms of 1 kHz, with ends that do not click.
const BEEP: usize = RATE / 10;
const TONE: usize = 1_000;
const FADE: usize = RATE / 500;
const LOUDNESS: f64 = 0.5;

/// How long the sound is before it begins again, in seconds.
const SECONDS: usize = 4;

/// Where the two files lie.
#[derive(Debug)]
pub(crate) struct Fakes {
    pub(crate) camera: PathBuf,
    pub(crate) microphone: PathBuf,
}

/// Makes both, unless they are there already.
pub(crate) fn make(folder: &Path) -> Result<Fakes> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let fakes = Fakes { camera: folder.join("camera.y4m"), microphone: folder.join("microphone.wav") };
    write(&fakes.camera, HEADER.len() + PICTURES * (FRAME.len() + WIDTH * HEIGHT * 3 / 2), camera)?;
    write(&fakes.microphone, WAV_HEADER + SECONDS * RATE * 2, microphone)?;
    Ok(fakes)
}

/// Two cameras that are nice to look at, for the pictures of the page: hills by day and in the evening.
pub(crate) fn sceneries(folder: &Path) -> Result<[PathBuf; 2]> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let places = [folder.join("day.y4m"), folder.join("evening.y4m")];
    for (path, evening) in places.iter().zip([false, true]) {
        write(path, HEADER.len() + VIEWS * (FRAME.len() + WIDTH * HEIGHT * 3 / 2), |file| scenery(file, evening))?;
    }
    Ok(places)
}

/// Under its own name only when it is whole. The length tells an older kind of file from this one.
fn write(path: &Path, length: usize, contents: impl Fn(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    if fs::metadata(path).is_ok_and(|known| known.len() == length as u64) {
        return Ok(());
    }
    let unfinished = path.with_extension("part");
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(&unfinished)?);
        contents(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

const HEADER: &[u8] = b"YUV4MPEG2 W320 H180 F30:1 Ip A1:1 C420jpeg\n";
const FRAME: &[u8] = b"FRAME\n";

fn camera(file: &mut dyn Write) -> std::io::Result<()> {
    file.write_all(HEADER)?;
    let colour = [NO_COLOUR; WIDTH * HEIGHT / 4];
    for number in 0..PICTURES {
        file.write_all(FRAME)?;
        file.write_all(&luma(number))?;
        // Blue and red difference: a colour that changes slowly, so that a person sees that it is one.
        let blue: Vec<u8> = colour.iter().map(|grey| grey - 20 + wave(number)).collect();
        file.write_all(&blue)?;
        let red: Vec<u8> = colour.iter().map(|grey| grey + 20 - wave(number)).collect();
        file.write_all(&red)?;
    }
    Ok(())
}

/// Pictures of a landscape before it begins again.
const VIEWS: usize = 30;

fn scenery(file: &mut dyn Write, evening: bool) -> std::io::Result<()> {
    file.write_all(HEADER)?;
    for view in 0..VIEWS {
        file.write_all(FRAME)?;
        let at = |x: usize, y: usize| colour(x, y, view, evening);
        let luma: Vec<u8> = (0..WIDTH * HEIGHT).map(|place| at(place % WIDTH, place / WIDTH)[0]).collect();
        file.write_all(&luma)?;
        for part in [1, 2] {
            let chroma: Vec<u8> =
                (0..WIDTH * HEIGHT / 4).map(|place| at(place % (WIDTH / 2) * 2, place / (WIDTH / 2) * 2)[part]).collect();
            file.write_all(&chroma)?;
        }
    }
    Ok(())
}

/// Brightness and the differences of blue and red: a sky, its sun, and three rows of hills, the nearest darkest.
fn colour(x: usize, y: usize, view: usize, evening: bool) -> [u8; 3] {
    let small = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    let (across, down) = (small(x), small(y));
    let [sun_x, sun_y] = if evening { [90.0, 92.0] } else { [235.0, 45.0] };
    for (row, [base, height, length]) in [[150.0, 16.0, 31.0], [126.0, 18.0, 47.0], [104.0, 14.0, 71.0]].into_iter().enumerate() {
        let drift = (small(view) / small(VIEWS) * std::f64::consts::TAU).sin() * 2.0;
        let edge = base + ((across + drift) / length + base).sin() * height;
        if down > edge {
            let row = u8::try_from(row).unwrap_or(0);
            return if evening { [38 + row * 20, 138, 134 + row * 4] } else { [62 + row * 24, 108 + row * 6, 112 + row * 3] };
        }
    }
    if (across - sun_x).hypot(down - sun_y) < 20.0 {
        return if evening { [190, 70, 190] } else { [232, 96, 138] };
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the height of a picture is below 256")]
    let depth = (down / 2.0) as u8;
    if evening { [70 + depth, 140 - depth / 2, 140 + depth / 3] } else { [150 + depth, 156 - depth / 4, 106 + depth / 4] }
}

/// Up and down between 0 and 32 in one loop.
fn wave(number: usize) -> u8 {
    u8::try_from(number.min(PICTURES - number) / 4).unwrap_or(0)
}

/// The brightness of a picture, row by row.
fn luma(number: usize) -> Vec<u8> {
    let mut picture: Vec<u8> = (0..WIDTH * HEIGHT).map(|at| gradient(at % WIDTH, at / WIDTH, number)).collect();
    let mut fill = |x: usize, y: usize, width: usize, height: usize, value: u8| {
        for row in picture.chunks_exact_mut(WIDTH).skip(y).take(height) {
            row.iter_mut().skip(x).take(width).for_each(|pixel| *pixel = value);
        }
    };
    fill(0, 0, WIDTH, CELL, BLACK);
    fill(0, CLOCK, WIDTH, HEIGHT - CLOCK, BLACK);
    for (cell, is_white) in cells(number).into_iter().enumerate() {
        if is_white {
            fill(cell * CELL, 0, CELL, CELL, WHITE);
        }
    }
    for (place, digit) in [number / 100, number / 10 % 10, number % 10].into_iter().enumerate() {
        for (x, y, width, height) in strokes(digit) {
            fill(85 + place * 55 + x, 53 + y, width, height, WHITE);
        }
    }
    picture
}

/// Slopes that move a pixel with each picture: something to predict, and nothing to wait for.
fn gradient(x: usize, y: usize, number: usize) -> u8 {
    let slope = (x + number) % 128;
    u8::try_from(60 + slope.min(127 - slope) / 2 + y / 4).unwrap_or(WHITE)
}

/// The number's bits, most significant first, then the parity of those at even places, turned round, and of those at odd ones:
/// neither a black picture nor a white one is a number.
fn cells(number: usize) -> [bool; BITS + 2] {
    let mut cells = [false; BITS + 2];
    cells[BITS] = true;
    for place in 0..BITS {
        let bit = number >> (BITS - 1 - place) & 1 == 1;
        cells[place] = bit;
        cells[BITS + place % 2] ^= bit;
    }
    cells
}

/// The lit bars of a digit as pocket calculators write it: x, y, width, height inside 40 x 74 pixels.
fn strokes(digit: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    const BARS: [(usize, usize, usize, usize); 7] =
        [(0, 0, 40, 8), (32, 0, 8, 37), (32, 37, 8, 37), (0, 66, 40, 8), (0, 37, 8, 37), (0, 0, 8, 37), (0, 33, 40, 8)];
    /// Which of the bars are lit, the first in the lowest bit.
    const LIT: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];
    let lit = LIT.get(digit).copied().unwrap_or(0);
    BARS.into_iter().enumerate().filter(move |(bar, _)| lit >> bar & 1 == 1).map(|(_, stroke)| stroke)
}

/// Bytes before the samples.
const WAV_HEADER: usize = 44;

fn microphone(file: &mut dyn Write) -> std::io::Result<()> {
    let bytes = u32::try_from(SECONDS * RATE * 2).unwrap_or(u32::MAX);
    let rate = u32::try_from(RATE).unwrap_or(u32::MAX);
    file.write_all(b"RIFF")?;
    file.write_all(&(bytes + 36).to_le_bytes())?;
    file.write_all(b"WAVEfmt ")?;
    file.write_all(&16_u32.to_le_bytes())?;
    file.write_all(&1_u16.to_le_bytes())?; // whole numbers
    file.write_all(&1_u16.to_le_bytes())?; // one channel
    file.write_all(&rate.to_le_bytes())?;
    file.write_all(&(rate * 2).to_le_bytes())?; // bytes in a second
    file.write_all(&2_u16.to_le_bytes())?; // bytes in a sample
    file.write_all(&16_u16.to_le_bytes())?; // bits in a sample
    file.write_all(b"data")?;
    file.write_all(&bytes.to_le_bytes())?;
    for at in 0..SECONDS * RATE {
        file.write_all(&sample(at % RATE).to_le_bytes())?;
    }
    Ok(())
}

/// The sample at this place of a second.
fn sample(at: usize) -> i16 {
    if at >= BEEP {
        return 0;
    }
    let number = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    let edge = number(at.min(BEEP - 1 - at)) / number(FADE);
    let turn = number(at * TONE) / number(RATE) * std::f64::consts::TAU;
    #[allow(clippy::cast_possible_truncation, reason = "between -1 and 1, scaled to the type's range")]
    let value = (turn.sin() * LOUDNESS * edge.min(1.0) * f64::from(i16::MAX)) as i16;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_in_its_cells_with_its_parity() {
        let word = |number| cells(number).map(|bit| if bit { '1' } else { '0' }).into_iter().collect::<String>();
        assert_eq!(word(0), "0000000010");
        assert_eq!(word(1), "0000000111");
        assert_eq!(word(0b1010_0000), "1010000010");
        assert_eq!(word(0b1000_0001), "1000000101");
    }

    #[test]
    fn a_picture_shows_black_and_white_where_the_reader_looks() {
        let picture = luma(0b1000_0001);
        let row: Vec<u8> = (0..20).map(|cell| picture[8 * WIDTH + cell * CELL + 8]).collect();
        let expected: Vec<u8> =
            cells(0b1000_0001).into_iter().chain([false; 10]).map(|bit| if bit { WHITE } else { BLACK }).collect();
        assert_eq!(row, expected);
        assert!(picture[(CLOCK + 8) * WIDTH..(CLOCK + 9) * WIDTH].iter().all(|pixel| *pixel == BLACK));
        assert!(luma(8).iter().zip(luma(9)).any(|(one, other)| *one != other), "a person sees another digit");
    }

    #[test]
    fn a_second_is_a_tenth_of_tone_and_nine_of_silence() {
        let signs: Vec<bool> = (0..BEEP).map(|at| sample(at) >= 0).collect();
        let turns = signs.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((198..=200).contains(&turns), "{turns} changes of sign are not 1 kHz for 100 ms");
        assert!((BEEP..RATE).all(|at| sample(at) == 0));
        assert_eq!((sample(0), sample(BEEP - 1)), (0, 0), "no click");
        assert!((0..BEEP).map(sample).max() > Some(16_000));
    }

    #[test]
    fn the_files_are_made_once_and_are_as_long_as_they_say() {
        let folder = std::env::temp_dir().join(format!("conclave-fakes-{}", std::process::id()));
        let fakes = make(&folder).expect("a temporary folder can be written to");
        let camera = fs::metadata(&fakes.camera).expect("it was made");
        assert_eq!(camera.len(), (HEADER.len() + PICTURES * (FRAME.len() + WIDTH * HEIGHT * 3 / 2)) as u64);
        let sound = fs::read(&fakes.microphone).expect("it was made");
        assert_eq!(sound.len(), WAV_HEADER + SECONDS * RATE * 2);
        assert_eq!(sound[40..44], u32::try_from(SECONDS * RATE * 2).expect("small").to_le_bytes());
        let made = camera.modified().expect("this system knows");
        make(&folder).expect("again");
        assert_eq!(fs::metadata(&fakes.camera).expect("it is there").modified().expect("as above"), made, "nothing to do");
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
