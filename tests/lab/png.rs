//! The pictures in docs/images, as smaller PNG files: <https://www.w3.org/TR/png-3/>.

use std::env;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::{ZlibDecoder, ZlibEncoder};
use flate2::{Compression, Crc};

const SIGNATURE: usize = 8;

/// Environment variable with a directory for pictures, relative to the root of the repository.
const PICTURES: &str = "SWARMLINGS_PICTURES";

/// Writes a screenshot as `NAME.png`, if a directory for pictures is set.
pub(super) fn save(name: &str, picture: &[u8]) {
    let Some(directory) = env::var_os(PICTURES).filter(|directory| !directory.is_empty()) else { return };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.png")), recompress(picture)).unwrap();
}

/// Compresses a picture again without the row filters of browsers, which suit photographs. It must have 8 bits per colour and
/// no interlacing.
fn recompress(png: &[u8]) -> Vec<u8> {
    let mut rest = &png[SIGNATURE..];
    let (mut header, mut data) = (Vec::new(), Vec::new());
    while let [a, b, c, d, kind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (name, content) = (&kind[..4], &kind[4..4 + length]);
        match name {
            b"IHDR" => header = content.to_vec(),
            b"IDAT" => data.extend_from_slice(content),
            _ => {}
        }
        rest = &kind[4 + length + 4..];
    }
    assert_eq!((header[8], header[12]), (8, 0), "8 bits, not interlaced");
    let bytes = if header[9] == 6 { 4 } else { 3 };
    let width = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize * bytes;
    let mut filtered = Vec::new();
    ZlibDecoder::new(&data[..]).read_to_end(&mut filtered).unwrap();
    let mut rows = Vec::with_capacity(filtered.len());
    let mut above = vec![0; width];
    for row in filtered.chunks_exact(width + 1) {
        let (filter, mut row) = (row[0], row[1..].to_vec());
        for at in 0..width {
            let left = at.checked_sub(bytes);
            let (a, b, c) = (left.map_or(0, |at| row[at]), above[at], left.map_or(0, |at| above[at]));
            let prediction = match filter {
                0 => 0,
                1 => a,
                2 => b,
                3 => a.midpoint(b),
                _ => paeth(a, b, c),
            };
            row[at] = row[at].wrapping_add(prediction);
        }
        rows.push(0);
        rows.extend_from_slice(&row);
        above = row;
    }
    let mut packed = Vec::new();
    ZlibEncoder::new(&rows[..], Compression::best()).read_to_end(&mut packed).unwrap();
    let mut recompressed = png[..SIGNATURE].to_vec();
    for (name, content) in [(b"IHDR", &header), (b"IDAT", &packed), (b"IEND", &Vec::new())] {
        recompressed.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(content);
        recompressed.extend_from_slice(&[&name[..], content, &sum.sum().to_be_bytes()].concat());
    }
    recompressed
}

/// The Paeth predictor.
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let estimate = i16::from(a) + i16::from(b) - i16::from(c);
    let distance = |one: u8| (estimate - i16::from(one)).abs();
    if distance(a) <= distance(b) && distance(a) <= distance(c) {
        a
    } else if distance(b) <= distance(c) {
        b
    } else {
        c
    }
}
