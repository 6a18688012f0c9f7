//! CBOR as the signed messages use it: one item, nothing behind it, hashes and ciphertexts as byte strings.

use serde::{Serialize, de::DeserializeOwned};

/// The CBOR of `value`.
pub(super) fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)
        .expect("writing into memory cannot fail, and no value here is unserialisable");
    bytes
}

/// The one item in `bytes`; `None` if it is not of this shape or something follows it.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).ok()?;
    rest.is_empty().then_some(value)
}

/// A field of bytes as a CBOR byte string (serde's own choice would be an array of numbers).
pub(super) mod bytes {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    /// Serialises as a byte string.
    pub(in crate::wire) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes.as_ref())
    }

    /// Deserialises a byte string into anything made of bytes; an array wants its exact length.
    pub(in crate::wire) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: TryFrom<Vec<u8>>,
    {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        let bytes = deserializer.deserialize_byte_buf(Bytes)?;
        let len = bytes.len();
        T::try_from(bytes).map_err(|_| de::Error::invalid_length(len, &"a byte string of the field's length"))
    }
}
