//! How records are encrypted.

use std::marker::PhantomData;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::array::typenum::Unsigned;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadCore, AeadInOut, KeyInit, KeySizeUser};
use chacha20poly1305::ChaCha20Poly1305;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter, Nonce,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

/// How much longer a record is than what is encrypted.
const TAG: usize = 16;

pub(super) const AES_128_GCM: Records<Aes128Gcm> = Records(PhantomData);
pub(super) const CHACHA20_POLY1305: Records<ChaCha20Poly1305> = Records(PhantomData);

/// The records of a suite with this cipher.
pub(super) struct Records<C>(PhantomData<fn() -> C>);

/// One direction of one connection.
struct Direction<C> {
    /// Nothing if the key was not as long as the cipher wants it, which rustls sees to.
    cipher: Option<C>,
    iv: Iv,
}

/// A cipher as TLS 1.3 wants it.
trait Cipher: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static {}

impl<C> Cipher for C where
    C: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static
{
}

impl<C: Cipher> Direction<C> {
    fn new(key: &AeadKey, iv: Iv) -> Self {
        Self { cipher: C::new_from_slice(key.as_ref()).ok(), iv }
    }
}

impl<C: Cipher> Tls13AeadAlgorithm for Records<C> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Direction::<C>::new(&key, iv))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Direction::<C>::new(&key, iv))
    }

    fn key_len(&self) -> usize {
        <C as KeySizeUser>::KeySize::USIZE
    }

    /// For kernels that encrypt by themselves, which is not made use of.
    fn extract_keys(
        &self,
        _key: AeadKey,
        _iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl<C: Cipher> MessageEncrypter for Direction<C> {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        sequence: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let cipher = self.cipher.as_ref().ok_or(Error::EncryptError)?;
        let length = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&[message.typ.into()]);
        let nonce = Nonce::new(&self.iv, sequence).0.into();
        let tag = cipher
            .encrypt_inout_detached(&nonce, &make_tls13_aad(length), payload.as_mut().into())
            .map_err(|_| Error::EncryptError)?;
        payload.extend_from_slice(&tag);
        // What TLS 1.3 says of itself outside of the encryption.
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + TAG
    }
}

impl<C: Cipher> MessageDecrypter for Direction<C> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        sequence: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let cipher = self.cipher.as_ref().ok_or(Error::DecryptError)?;
        let aad = make_tls13_aad(message.payload.len());
        let Some((bytes, tag)) = message.payload.split_last_chunk_mut::<TAG>() else {
            return Err(Error::DecryptError);
        };
        let (nonce, tag) = (Nonce::new(&self.iv, sequence).0.into(), (*tag).into());
        let length = bytes.len();
        cipher.decrypt_inout_detached(&nonce, &aad, bytes.into(), &tag).map_err(|_| Error::DecryptError)?;
        message.payload.truncate(length);
        message.into_tls13_unpadded_message()
    }
}
