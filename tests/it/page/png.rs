//! PNG, as small as it gets for drawings: <https://www.w3.org/TR/png-3/>.

use std::io::Read;

use flate2::read::{ZlibDecoder, ZlibEncoder};
use flate2::{Compression, Crc};

const SIGNATURE: usize = 8;

/// The same picture without the filters that browsers choose: those suit photographs. It has 8 bits by colour, and no
/// lines in between.
pub(super) fn smaller(png: &[u8]) -> Vec<u8> {
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
            let guess = match filter {
                0 => 0,
                1 => a,
                2 => b,
                3 => a.midpoint(b),
                _ => nearest(a, b, c),
            };
            row[at] = row[at].wrapping_add(guess);
        }
        rows.push(0);
        rows.extend_from_slice(&row);
        above = row;
    }
    let mut packed = Vec::new();
    ZlibEncoder::new(&rows[..], Compression::best()).read_to_end(&mut packed).unwrap();
    let mut smaller = png[..SIGNATURE].to_vec();
    for (name, content) in [(b"IHDR", &header), (b"IDAT", &packed), (b"IEND", &Vec::new())] {
        smaller.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(content);
        smaller.extend_from_slice(&[&name[..], content, &sum.sum().to_be_bytes()].concat());
    }
    smaller
}

/// Whichever of them is nearest to what they make together.
fn nearest(a: u8, b: u8, c: u8) -> u8 {
    let together = i16::from(a) + i16::from(b) - i16::from(c);
    let away = |one: u8| (together - i16::from(one)).abs();
    if away(a) <= away(b) && away(a) <= away(c) {
        a
    } else if away(b) <= away(c) {
        b
    } else {
        c
    }
}
