//! Where an answer's body ends.

use crate::fault::Fault;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// It has so many bytes.
    Length(u64),
    /// In chunks that say how long they are.
    Chunked,
    /// It ends where the connection does.
    UntilClose,
}

/// A body on its way.
#[derive(Clone, Debug)]
pub struct Body {
    framing: Framing,
    /// Bytes that are still missing, of all or of the chunk.
    left: u64,
    chunk: Chunk,
    /// How many bytes of content there were.
    length: u64,
    is_whole: bool,
}

/// Where in a chunked body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In a line that says a length, of which so many digits were there; or behind the digits.
    Size { digits: u8, ended: bool },
    /// In the content.
    Content,
    /// In the end of line after the content.
    End,
    /// In a line of the trailer that has so far so many bytes.
    Trailer(u32),
}

/// The most hexadecimal digits of a chunk's length.
const DIGITS: u8 = 15;

/// The longest line of a trailer.
const LINE: u32 = 16 * 1024;

impl Body {
    /// One that is delimited so.
    pub fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let is_whole = matches!(framing, Framing::None | Framing::Length(0));
        Self { framing, left, chunk: Chunk::Size { digits: 0, ended: false }, length: 0, is_whole }
    }

    /// Whether nothing more belongs to it.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// How many bytes of content there were.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes what belongs to it from the beginning of `bytes`, and says how many that are. The content is shown to `see`.
    pub fn take(&mut self, bytes: &[u8], mut see: impl FnMut(&[u8])) -> Result<usize, Fault> {
        let mut at = 0;
        while at < bytes.len() && !self.is_whole {
            at += match self.framing {
                Framing::None => 0,
                Framing::UntilClose => self.content(&bytes[at..], u64::MAX, &mut see),
                Framing::Length(_) => {
                    let taken = self.content(&bytes[at..], self.left, &mut see);
                    self.left -= taken as u64;
                    self.is_whole = self.left == 0;
                    taken
                }
                Framing::Chunked => self.chunked(&bytes[at..], &mut see)?,
            };
        }
        Ok(at)
    }

    /// The connection was closed: whether that is the end.
    pub fn end(&mut self) -> bool {
        self.is_whole |= self.framing == Framing::UntilClose;
        self.is_whole
    }

    fn content(&mut self, bytes: &[u8], most: u64, see: &mut impl FnMut(&[u8])) -> usize {
        let taken = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
        see(&bytes[..taken]);
        self.length += taken as u64;
        taken
    }

    fn chunked(&mut self, bytes: &[u8], see: &mut impl FnMut(&[u8])) -> Result<usize, Fault> {
        if self.chunk == Chunk::Content {
            let taken = self.content(bytes, self.left, see);
            self.left -= taken as u64;
            if self.left == 0 {
                self.chunk = Chunk::End;
            }
            return Ok(taken);
        }
        let byte = bytes[0];
        self.chunk = match (self.chunk, byte) {
            (Chunk::Size { digits: 1.., .. }, b'\n') if self.left > 0 => Chunk::Content,
            (Chunk::Size { digits: 1.., .. }, b'\n') => Chunk::Trailer(0),
            (Chunk::Size { digits, ended: false }, byte) if byte.is_ascii_hexdigit() && digits < DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left * 16 + u64::from(digit);
                Chunk::Size { digits: digits + 1, ended: false }
            }
            // What comes after the length is an extension, which is nobody's concern.
            (Chunk::Size { digits: digits @ 1.., ended }, byte)
                if ended || matches!(byte, b';' | b' ' | b'\t' | b'\r') =>
            {
                Chunk::Size { digits, ended: true }
            }
            (Chunk::End, b'\r') => Chunk::End,
            (Chunk::End, b'\n') => Chunk::Size { digits: 0, ended: false },
            (Chunk::Trailer(0), b'\n') => {
                self.is_whole = true;
                Chunk::Trailer(0)
            }
            (Chunk::Trailer(_), b'\n') => Chunk::Trailer(0),
            (Chunk::Trailer(length), b'\r') => Chunk::Trailer(length),
            (Chunk::Trailer(length), _) if length < LINE => Chunk::Trailer(length + 1),
            _ => return Err(Fault::protocol("an answer's chunks are broken")),
        };
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that comes in pieces of this size: its content, how much was taken, and whether it was whole.
    fn read(framing: Framing, text: &str, size: usize) -> Result<(String, usize, bool), Fault> {
        let (mut body, mut content, mut taken) = (Body::new(framing), Vec::new(), 0);
        for piece in text.as_bytes().chunks(size) {
            taken += body.take(piece, |bytes| content.extend_from_slice(bytes))?;
        }
        assert_eq!(body.length(), content.len() as u64);
        Ok((String::from_utf8(content).unwrap(), taken, body.is_whole()))
    }

    #[test]
    fn a_body_ends_where_it_says_however_it_comes() {
        let chunked = "5\r\nHello\r\n00A;why=not\r\n, swarm of\r\n1 \r\n!\r\n0\r\nx-trailer: 1\r\n\r\n";
        for size in [1, 2, 3, 7, 1000] {
            let whole = |framing, text: &str, content: &str, rest: usize| {
                let expected = (content.to_owned(), text.len() - rest, true);
                assert_eq!(read(framing, text, size).unwrap(), expected, "{size}");
            };
            whole(Framing::Length(5), "Hellomore", "Hello", 4);
            whole(Framing::None, "more", "", 4);
            whole(Framing::Chunked, &format!("{chunked}more"), "Hello, swarm of!", 4);
            for length in 0..chunked.len() {
                assert!(!read(Framing::Chunked, &chunked[..length], size).unwrap().2, "{length}");
            }
        }
    }

    #[test]
    fn only_a_body_without_a_length_may_end_with_its_connection() {
        for (framing, is_end) in
            [(Framing::UntilClose, true), (Framing::Length(9), false), (Framing::Chunked, false)]
        {
            let mut body = Body::new(framing);
            body.take(b"1", |_| {}).unwrap();
            assert_eq!((body.is_whole(), body.end()), (false, is_end), "{framing:?}");
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        for bad in ["\r\n", "x\r\n", "5x\r\n", "5\r\nHelloX", "-1\r\n", "1111111111111111\r\n", " 5\r\n"] {
            assert!(read(Framing::Chunked, bad, 1000).is_err(), "{bad:?}");
        }
        assert!(read(Framing::Chunked, &format!("0\r\n{}", "x".repeat(20_000)), 1000).is_err());
    }
}
