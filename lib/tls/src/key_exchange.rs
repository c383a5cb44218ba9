//! Key exchange groups.

use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

pub(crate) const X25519: Group = Group { name: NamedGroup::X25519, start: || Ok(x25519_pair(random()?)) };

pub(crate) const P256: Group = Group {
    name: NamedGroup::secp256r1,
    start: || loop {
        // About one in 2³² random numbers is not a scalar of the curve.
        if let Ok(secret) = SecretKey::from_slice(&random()?) {
            return Ok(p256_pair(secret));
        }
    },
};

/// A group, and the function that generates a key pair in it.
#[derive(Debug)]
pub(crate) struct Group {
    name: NamedGroup,
    start: fn() -> Result<KeyPair, Error>,
}

/// This side's ephemeral key pair.
struct KeyPair {
    group: NamedGroup,
    public: Vec<u8>,
    complete: Box<Complete>,
}

/// Computes the shared secret from the peer's public key, unless that is invalid.
type Complete = dyn FnOnce(&[u8]) -> Option<SharedSecret> + Send + Sync;

fn x25519_pair(secret: [u8; 32]) -> KeyPair {
    let public = x25519(secret, X25519_BASEPOINT_BYTES).to_vec();
    let complete = move |peer: &[u8]| {
        let shared = x25519(secret, peer.try_into().ok()?);
        // RFC 8446, section 7.4.2: a peer key of small order yields zeros for every secret.
        (shared != [0; 32]).then(|| SharedSecret::from(&shared[..]))
    };
    KeyPair { group: NamedGroup::X25519, public, complete: Box::new(complete) }
}

fn p256_pair(secret: SecretKey) -> KeyPair {
    let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
    let complete = move |peer: &[u8]| {
        // TLS 1.3 allows the uncompressed form only; `from_sec1_bytes` rejects points off the curve.
        let peer = p256::PublicKey::from_sec1_bytes(peer).ok().filter(|_| peer.first() == Some(&4))?;
        Some(SharedSecret::from(&secret.diffie_hellman(&peer).raw_secret_bytes()[..]))
    };
    KeyPair { group: NamedGroup::secp256r1, public, complete: Box::new(complete) }
}

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new((self.start)()?))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        self.name
    }
}

impl ActiveKeyExchange for KeyPair {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        (self.complete)(peer).ok_or_else(invalid)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

fn random() -> Result<[u8; 32], GetRandomFailed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| GetRandomFailed)?;
    Ok(bytes)
}

fn invalid() -> Error {
    PeerMisbehaved::InvalidKeyShare.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn shared(pair: impl ActiveKeyExchange + 'static, peer: &[u8]) -> Result<Vec<u8>, Error> {
        (Box::new(pair) as Box<dyn ActiveKeyExchange>)
            .complete(peer)
            .map(|secret| secret.secret_bytes().to_vec())
    }

    fn x25519_pair(secret: &str) -> KeyPair {
        super::x25519_pair(hex(secret).try_into().unwrap())
    }

    fn p256_pair(secret: &str) -> KeyPair {
        super::p256_pair(SecretKey::from_slice(&hex(secret)).unwrap())
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn x25519_matches_rfc_7748() {
        let alice = x25519_pair("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = x25519_pair("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let alice_public = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let bob_public = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        assert_eq!((alice.pub_key(), bob.pub_key()), (&*alice_public, &*bob_public));
        let secret = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(shared(alice, &bob_public), Ok(secret.clone()));
        assert_eq!(shared(bob, &alice_public), Ok(secret));
    }

    /// RFC 5903, section 8.1.
    #[test]
    fn p256_matches_rfc_5903() {
        let initiator = p256_pair("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
        let responder = p256_pair("c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53");
        let initiator_public = hex("04 dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180
             5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3");
        let responder_public = hex("04 d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63
             56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab");
        assert_eq!((initiator.pub_key(), responder.pub_key()), (&*initiator_public, &*responder_public));
        let secret = hex("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
        assert_eq!(shared(initiator, &responder_public), Ok(secret.clone()));
        assert_eq!(shared(responder, &initiator_public), Ok(secret));
    }

    #[test]
    fn both_sides_agree_on_a_fresh_secret() {
        for group in [&X25519 as &dyn SupportedKxGroup, &P256] {
            let (one, other) = (group.start().unwrap(), group.start().unwrap());
            assert_ne!(one.pub_key(), other.pub_key());
            assert_eq!((one.group(), other.group()), (group.name(), group.name()));
            let (one_public, other_public) = (one.pub_key().to_vec(), other.pub_key().to_vec());
            let secret = one.complete(&other_public).unwrap();
            assert_eq!(secret.secret_bytes(), other.complete(&one_public).unwrap().secret_bytes());
        }
    }

    #[test]
    fn invalid_peer_keys_are_rejected() {
        let valid = P256.start().unwrap().pub_key().to_vec();
        let mut off_curve = valid.clone();
        off_curve[64] ^= 1;
        let compressed = [&[2 + (valid[64] & 1)], &valid[1..33]].concat();
        for peer in [&valid[..64], &off_curve, &compressed, &[0], &[]] {
            assert_eq!(P256.start().unwrap().complete(peer).err(), Some(invalid()), "{peer:?}");
        }
        let one = [&[1][..], &[0; 31]].concat();
        for (peer, why) in
            [(&[9; 31][..], "length"), (&[9; 33], "length"), (&[0; 32], "order"), (&one, "order")]
        {
            assert_eq!(X25519.start().unwrap().complete(peer).err(), Some(invalid()), "{why}");
        }
    }
}
