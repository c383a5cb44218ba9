//! How both sides agree on a secret.

use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

#[derive(Debug)]
pub(super) struct X25519;

#[derive(Debug)]
pub(super) struct P256;

/// A secret of this side's, for one connection.
struct Half<S> {
    secret: S,
    public: Vec<u8>,
}

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = random()?;
        let public = x25519(secret, X25519_BASEPOINT_BYTES).to_vec();
        Ok(Box::new(Half { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Half<[u8; 32]> {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let shared = x25519(self.secret, peer.try_into().map_err(|_| invalid())?);
        // A point of small order, by which the peer alone would determine the secret.
        if shared == [0; 32] {
            return Err(invalid());
        }
        Ok(SharedSecret::from(&shared[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl SupportedKxGroup for P256 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        // Of 2³² random numbers about one is none of the curve's.
        let secret = loop {
            if let Ok(secret) = SecretKey::from_slice(&random()?) {
                break secret;
            }
        };
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(Half { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }
}

impl ActiveKeyExchange for Half<SecretKey> {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        // Only the uncompressed form is allowed, and only points that are on the curve.
        if peer.first() != Some(&4) {
            return Err(invalid());
        }
        let peer = p256::PublicKey::from_sec1_bytes(peer).map_err(|_| invalid())?;
        Ok(SharedSecret::from(&self.secret.diffie_hellman(&peer).raw_secret_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp256r1
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
