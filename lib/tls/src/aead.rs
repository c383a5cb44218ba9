//! Encryption of TLS 1.3 records.

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

/// Length of an authentication tag in bytes.
pub(crate) const TAG: usize = 16;

pub(crate) const AES_128_GCM: RecordCipher<Aes128Gcm> = RecordCipher(PhantomData);
pub(crate) const CHACHA20_POLY1305: RecordCipher<ChaCha20Poly1305> = RecordCipher(PhantomData);

/// Record encryption with the cipher `C`.
pub(crate) struct RecordCipher<C>(PhantomData<fn() -> C>);

/// Keys of one direction of a connection.
struct Direction<C> {
    cipher: C,
    iv: Iv,
}

/// A cipher that TLS can use.
pub(crate) trait Cipher:
    AeadInOut + AeadCore<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static
{
}

impl<C> Cipher for C where
    C: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static
{
}

impl<C: Cipher> Direction<C> {
    fn new(key: &AeadKey, iv: Iv) -> Self {
        let cipher = C::new_from_slice(key.as_ref()).expect("rustls passes keys of `key_len` bytes");
        Self { cipher, iv }
    }
}

impl<C: Cipher> Tls13AeadAlgorithm for RecordCipher<C> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Direction::<C>::new(&key, iv))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Direction::<C>::new(&key, iv))
    }

    fn key_len(&self) -> usize {
        <C as KeySizeUser>::KeySize::USIZE
    }

    /// Kernel TLS is not supported.
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
        let length = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&[message.typ.into()]);
        let nonce = Nonce::new(&self.iv, sequence).0.into();
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &make_tls13_aad(length), payload.as_mut().into())
            .map_err(|_| Error::EncryptError)?;
        payload.extend_from_slice(&tag);
        // TLS 1.3 names version 1.2 in the unencrypted header.
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
        let aad = make_tls13_aad(message.payload.len());
        let Some((bytes, tag)) = message.payload.split_last_chunk_mut::<TAG>() else {
            return Err(Error::DecryptError);
        };
        let (nonce, tag) = (Nonce::new(&self.iv, sequence).0.into(), (*tag).into());
        let length = bytes.len();
        self.cipher
            .decrypt_inout_detached(&nonce, &aad, bytes.into(), &tag)
            .map_err(|_| Error::DecryptError)?;
        message.payload.truncate(length);
        message.into_tls13_unpadded_message()
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::{InboundOpaqueMessage, OutboundChunks};

    use super::*;
    use crate::hex;

    /// Encrypts `plain` in place and returns the tag.
    fn seal<C: Cipher>(key: &str, nonce: &str, aad: &[u8], plain: &mut [u8]) -> Vec<u8> {
        let cipher = C::new_from_slice(&hex(key)).unwrap();
        let nonce = <[u8; 12]>::try_from(hex(nonce)).unwrap().into();
        cipher.encrypt_inout_detached(&nonce, aad, plain.into()).unwrap().to_vec()
    }

    /// Test case 4 of the specification of GCM.
    #[test]
    fn aes_128_gcm_matches_the_gcm_specification() {
        let mut text = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let (key, nonce) = ("feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888");
        let tag = seal::<Aes128Gcm>(key, nonce, &aad, &mut text);
        let expected = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091";
        assert_eq!(text, hex(expected));
        assert_eq!(tag, hex("5bc94fbc3221a5db94fae95ae7121a47"));
    }

    /// RFC 8439, section 2.8.2.
    #[test]
    fn chacha20_poly1305_matches_rfc_8439() {
        let mut text =
            *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                          future, sunscreen would be it.";
        let key = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
        let aad = hex("50515253c0c1c2c3c4c5c6c7");
        let tag = seal::<ChaCha20Poly1305>(key, "070000004041424344454647", &aad, &mut text);
        let expected = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
             3ff4def08e4b7a9de576d26586cec64b6116";
        assert_eq!(text[..], hex(expected));
        assert_eq!(tag, hex("1ae10b594f09e26a7e902ecbd0600691"));
    }

    fn direction<C: Cipher>(key: &[u8], iv: [u8; 12]) -> Direction<C> {
        Direction { cipher: C::new_from_slice(key).unwrap(), iv: Iv::from(iv) }
    }

    /// Encrypts a record and returns it without its header.
    fn encrypt<C: Cipher>(direction: &mut Direction<C>, payload: &[u8], sequence: u64) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(payload),
        };
        direction.encrypt(message, sequence).unwrap().payload.as_ref().to_vec()
    }

    fn decrypt<C: Cipher>(
        direction: &mut Direction<C>,
        record: &[u8],
        sequence: u64,
    ) -> Result<Vec<u8>, Error> {
        let mut record = record.to_vec();
        let message =
            InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, &mut record);
        direction.decrypt(message, sequence).map(|message| message.payload.to_vec())
    }

    /// RFC 8448, section 3: the first application data of the client.
    #[test]
    fn record_matches_rfc_8448() {
        let key = hex("17422dda596ed5d9acd890e3c63f5051");
        let mut client = direction::<Aes128Gcm>(&key, hex("5b78923dee08579033e523d9").try_into().unwrap());
        let payload: Vec<u8> = (0..50).collect();
        let expected = hex("a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5
             b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4");
        assert_eq!(encrypt(&mut client, &payload, 0), expected);
        assert_eq!(decrypt(&mut client, &expected, 0), Ok(payload));
    }

    fn reject_changed_records<C: Cipher>(key: &[u8]) {
        let mut direction = direction::<C>(key, [7; 12]);
        let record = encrypt(&mut direction, b"hello", 3);
        assert_eq!(record.len(), direction.encrypted_payload_len(5));
        assert_eq!(decrypt(&mut direction, &record, 3), Ok(b"hello".to_vec()));
        assert_eq!(decrypt(&mut direction, &record, 4), Err(Error::DecryptError), "other sequence number");
        for length in 0..record.len() {
            assert_eq!(decrypt(&mut direction, &record[..length], 3), Err(Error::DecryptError), "{length}");
        }
        for index in 0..record.len() {
            let mut changed = record.clone();
            changed[index] ^= 1;
            assert_eq!(decrypt(&mut direction, &changed, 3), Err(Error::DecryptError), "byte {index}");
        }
    }

    #[test]
    fn changed_records_are_rejected() {
        reject_changed_records::<Aes128Gcm>(&[1; 16]);
        reject_changed_records::<ChaCha20Poly1305>(&[1; 32]);
    }
}
