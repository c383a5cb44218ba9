//! SHA-256 and HMAC-SHA-256.

use hmac::{KeyInit, Mac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac, Key, Tag};
use sha2::Digest;

/// Length of a hash in bytes.
const LENGTH: usize = 32;

pub(crate) struct Sha256;

struct HashContext(sha2::Sha256);

impl Hash for Sha256 {
    fn start(&self) -> Box<dyn Context> {
        Box::new(HashContext(sha2::Sha256::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&sha2::Sha256::digest(data))
    }

    fn output_len(&self) -> usize {
        LENGTH
    }

    fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }
}

impl Context for HashContext {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

pub(crate) struct HmacSha256;

struct HmacKey(hmac::Hmac<sha2::Sha256>);

impl Hmac for HmacSha256 {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        let key = hmac::Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        Box::new(HmacKey(key))
    }

    fn hash_output_len(&self) -> usize {
        LENGTH
    }
}

impl Key for HmacKey {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        for part in middle {
            mac.update(part);
        }
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        LENGTH
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::tls13::{Hkdf, HkdfUsingHmac};

    use super::*;
    use crate::hex;

    /// FIPS 180-4, the examples of NIST.
    #[test]
    fn sha256_matches_known_hashes() {
        let abc = hex("ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad");
        assert_eq!(Sha256.hash(b"abc").as_ref(), abc);
        let mut context = Sha256.start();
        context.update(b"a");
        let fork = context.fork();
        context.update(b"bc");
        assert_eq!(context.fork_finish().as_ref(), abc);
        assert_eq!(context.finish().as_ref(), abc);
        assert_eq!(fork.finish().as_ref(), Sha256.hash(b"a").as_ref());
        let empty = hex("e3b0c442 98fc1c14 9afbf4c8 996fb924 27ae41e4 649b934c a495991b 7852b855");
        assert_eq!(Sha256.hash(b"").as_ref(), empty);
    }

    /// RFC 4231, test cases 1, 2, 3 and 6.
    #[test]
    fn hmac_matches_rfc_4231() {
        for (key, data, expected) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (vec![0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let key = HmacSha256.with_key(&key);
            assert_eq!(key.sign(&[data]).as_ref(), hex(expected));
            let (first, last) = data.split_at(data.len() / 2);
            assert_eq!(key.sign_concat(first, &[b""], last).as_ref(), hex(expected));
        }
    }

    /// RFC 5869, test cases 1 and 3.
    #[test]
    fn hkdf_matches_rfc_5869() {
        let hkdf = HkdfUsingHmac(&HmacSha256);
        let secret = [0x0b; 22];
        let salt: Vec<u8> = (0x00..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut output = [0; 42];
        hkdf.extract_from_secret(Some(&salt), &secret).expand_slice(&[&info], &mut output).unwrap();
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(output[..], hex(expected));
        hkdf.extract_from_secret(None, &secret).expand_slice(&[], &mut output).unwrap();
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        assert_eq!(output[..], hex(expected));
    }
}
