//! TLS 1.2 (RFC 5246) for clients of older servers: ephemeral key exchange and AEAD ciphers only.

use std::marker::PhantomData;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::KeySizeUser;
use aes_gcm::aead::array::typenum::Unsigned;
use chacha20poly1305::ChaCha20Poly1305;
use rustls::crypto::KeyExchangeAlgorithm;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload,
    Tls12AeadAlgorithm, UnsupportedOperationError, make_tls12_aad,
};
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::{
    CipherSuite, CipherSuiteCommon, ConnectionTrafficSecrets, Error, SignatureScheme, SupportedCipherSuite,
    Tls12CipherSuite,
};

use crate::aead::{Cipher, TAG};
use crate::hash;

/// The cipher suites, by preference.
pub(crate) const SUITES: [SupportedCipherSuite; 4] = [
    SupportedCipherSuite::Tls12(&ECDSA_AES),
    SupportedCipherSuite::Tls12(&RSA_AES),
    SupportedCipherSuite::Tls12(&ECDSA_CHACHA),
    SupportedCipherSuite::Tls12(&RSA_CHACHA),
];

static ECDSA_AES: Tls12CipherSuite =
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, ECDSA, &AES_128_GCM, 1 << 24);
static RSA_AES: Tls12CipherSuite =
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, RSA, &AES_128_GCM, 1 << 24);
static ECDSA_CHACHA: Tls12CipherSuite =
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, ECDSA, &CHACHA20_POLY1305, u64::MAX);
static RSA_CHACHA: Tls12CipherSuite =
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, RSA, &CHACHA20_POLY1305, u64::MAX);

const ECDSA: &[SignatureScheme] = &[
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
];

const RSA: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

const fn suite(
    suite: CipherSuite,
    sign: &'static [SignatureScheme],
    aead_alg: &'static dyn Tls12AeadAlgorithm,
    confidentiality_limit: u64,
) -> Tls12CipherSuite {
    Tls12CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider: &hash::Sha256, confidentiality_limit },
        prf_provider: &PrfUsingHmac(&hash::HmacSha256),
        kx: KeyExchangeAlgorithm::ECDHE,
        sign,
        aead_alg,
    }
}

/// RFC 5288: 8 bytes of the nonce are in the record.
static AES_128_GCM: RecordCipher<Aes128Gcm, 8> = RecordCipher(PhantomData);

/// RFC 7905: the nonce is not in the record.
static CHACHA20_POLY1305: RecordCipher<ChaCha20Poly1305, 0> = RecordCipher(PhantomData);

/// Length of a nonce in bytes.
const NONCE: usize = 12;

/// Maximum length of the content of a record in bytes.
const MAX_CONTENT: usize = 1 << 14;

/// Record encryption with the cipher `C`, with this number of bytes of the nonce in each record.
struct RecordCipher<C, const EXPLICIT: usize>(PhantomData<fn() -> C>);

/// Keys of one direction of a connection.
struct Direction<C, const EXPLICIT: usize> {
    cipher: C,
    /// For decryption, only the part that is not in the records.
    iv: [u8; NONCE],
}

impl<C: Cipher, const EXPLICIT: usize> Direction<C, EXPLICIT> {
    fn new(key: &AeadKey, iv: &[u8], explicit: &[u8]) -> Self {
        let cipher = C::new_from_slice(key.as_ref()).expect("rustls passes keys of `enc_key_len` bytes");
        let mut nonce = [0; NONCE];
        nonce[..iv.len()].copy_from_slice(iv);
        nonce[iv.len()..][..explicit.len()].copy_from_slice(explicit);
        Self { cipher, iv: nonce }
    }
}

impl<C: Cipher, const EXPLICIT: usize> Tls12AeadAlgorithm for RecordCipher<C, EXPLICIT> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], explicit: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Direction::<C, EXPLICIT>::new(&key, iv, explicit))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Direction::<C, EXPLICIT>::new(&key, iv, &[]))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape {
            enc_key_len: <C as KeySizeUser>::KeySize::USIZE,
            fixed_iv_len: NONCE - EXPLICIT,
            explicit_nonce_len: EXPLICIT,
        }
    }

    /// Kernel TLS is not supported.
    fn extract_keys(
        &self,
        _key: AeadKey,
        _iv: &[u8],
        _explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl<C: Cipher, const EXPLICIT: usize> MessageEncrypter for Direction<C, EXPLICIT> {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        sequence: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = message.payload.len();
        let mut payload = PrefixedPayload::with_capacity(self.encrypted_payload_len(length));
        let nonce = Nonce::new(&Iv::new(self.iv), sequence).0;
        payload.extend_from_slice(&nonce[NONCE - EXPLICIT..]);
        payload.extend_from_chunks(&message.payload);
        let aad = make_tls12_aad(sequence, message.typ, message.version, length);
        let content = &mut payload.as_mut()[EXPLICIT..];
        let tag = self.cipher.encrypt_inout_detached(&nonce.into(), &aad, content.into());
        payload.extend_from_slice(&tag.map_err(|_| Error::EncryptError)?);
        Ok(OutboundOpaqueMessage::new(message.typ, message.version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        EXPLICIT + payload_len + TAG
    }
}

impl<C: Cipher, const EXPLICIT: usize> MessageDecrypter for Direction<C, EXPLICIT> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        sequence: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let length = message.payload.len().checked_sub(EXPLICIT + TAG).ok_or(Error::DecryptError)?;
        if length > MAX_CONTENT {
            return Err(Error::PeerSentOversizedRecord);
        }
        let mut nonce = if EXPLICIT == 0 { Nonce::new(&Iv::new(self.iv), sequence).0 } else { self.iv };
        nonce[NONCE - EXPLICIT..].copy_from_slice(&message.payload[..EXPLICIT]);
        let aad = make_tls12_aad(sequence, message.typ, message.version, length);
        let (content, tag) = message.payload[EXPLICIT..].split_at_mut(length);
        let tag = <[u8; TAG]>::try_from(&*tag).map_err(|_| Error::DecryptError)?.into();
        self.cipher
            .decrypt_inout_detached(&nonce.into(), &aad, content.into(), &tag)
            .map_err(|_| Error::DecryptError)?;
        Ok(message.into_plain_message_range(EXPLICIT..EXPLICIT + length))
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::OutboundChunks;
    use rustls::{ContentType, ProtocolVersion};

    use super::*;

    fn decrypt<C: Cipher, const EXPLICIT: usize>(
        direction: &mut Direction<C, EXPLICIT>,
        record: &[u8],
        sequence: u64,
    ) -> Result<Vec<u8>, Error> {
        let (kind, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        let mut record = record.to_vec();
        let message = InboundOpaqueMessage::new(kind, version, &mut record);
        direction.decrypt(message, sequence).map(|message| message.payload.to_vec())
    }

    fn check<C: Cipher, const EXPLICIT: usize>(key: &[u8]) {
        let cipher = || C::new_from_slice(key).unwrap();
        let iv = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let mut known = iv;
        known[NONCE - EXPLICIT..].fill(0);
        let mut sender = Direction::<C, EXPLICIT> { cipher: cipher(), iv };
        let mut receiver = Direction::<C, EXPLICIT> { cipher: cipher(), iv: known };
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(b"hello"),
        };
        let record = sender.encrypt(message, 3).unwrap().payload.as_ref().to_vec();
        assert_eq!(record.len(), sender.encrypted_payload_len(5));
        assert_eq!(decrypt(&mut receiver, &record, 3), Ok(b"hello".to_vec()));
        assert_eq!(decrypt(&mut receiver, &record, 4), Err(Error::DecryptError), "other sequence number");
        for length in 0..record.len() {
            assert_eq!(decrypt(&mut receiver, &record[..length], 3), Err(Error::DecryptError), "{length}");
        }
        for index in 0..record.len() {
            let mut changed = record.clone();
            changed[index] ^= 1;
            assert_eq!(decrypt(&mut receiver, &changed, 3), Err(Error::DecryptError), "byte {index}");
        }
        let long = vec![0; EXPLICIT + MAX_CONTENT + 1 + TAG];
        assert_eq!(decrypt(&mut receiver, &long, 3), Err(Error::PeerSentOversizedRecord));
    }

    #[test]
    fn changed_records_are_rejected() {
        check::<Aes128Gcm, 8>(&[1; 16]);
        check::<ChaCha20Poly1305, 0>(&[1; 32]);
    }
}
