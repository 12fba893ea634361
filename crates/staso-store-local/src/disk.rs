//! Bytes of a record on disk: a header with a format number and a checksum, and a body that is
//! compressed where that pays.
//!
//! `[format: 1][codec: 1][crc32 of the body: 4, LE][length before compression: 4, LE][body]`

use serde::Serialize;
use serde::de::DeserializeOwned;
use staso_store::StoreError;
use zstd::bulk::Compressor;

use crate::decompressor;

/// The format of every record this program writes.
const FORMAT: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const HEADER: usize = 10;

/// Smaller bodies are not worth a compressor's set-up.
const COMPRESS_ABOVE: usize = 512;
const LEVEL: i32 = 1;

/// No record is larger: the server takes 64 MiB a request. A greater length is damage.
const MAX_BODY: usize = 1 << 30;

/// Writes records; keeps the compressor's tables between them.
pub(crate) struct Encoder {
    compressor: Compressor<'static>,
    plain: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Result<Self, StoreError> {
        let compressor =
            Compressor::new(LEVEL).map_err(|e| StoreError::Engine(format!("zstd: {e}")))?;
        Ok(Self { compressor, plain: Vec::new() })
    }

    /// The bytes of a record.
    pub(crate) fn encode<T: Serialize>(&mut self, record: &T) -> Result<Vec<u8>, StoreError> {
        self.plain.clear();
        let mut serializer = rmp_serde::Serializer::new(&mut self.plain).with_struct_map();
        record
            .serialize(&mut serializer)
            .map_err(|e| StoreError::Engine(format!("cannot encode a record: {e}")))?;
        if self.plain.len() > MAX_BODY {
            return Err(StoreError::Engine("a record is larger than 1 GiB".to_owned()));
        }
        let packed = (self.plain.len() > COMPRESS_ABOVE)
            .then(|| self.compressor.compress(&self.plain))
            .and_then(Result::ok)
            .filter(|packed| packed.len() < self.plain.len());
        Ok(match packed {
            Some(packed) => frame(ZSTD, &packed, self.plain.len()),
            None => frame(PLAIN, &self.plain, self.plain.len()),
        })
    }
}

fn frame(codec: u8, body: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend([FORMAT, codec]);
    bytes.extend(crc32fast::hash(body).to_le_bytes());
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// Reads a record back; the error says what is wrong with the bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, &'static str> {
    let (header, body) = bytes.split_at_checked(HEADER).ok_or("the record is cut off")?;
    if header[0] != FORMAT {
        return Err("the record has an unknown format");
    }
    let number = |at: usize| {
        header[at..at + 4].iter().rev().fold(0_u32, |n, byte| (n << 8) | u32::from(*byte))
    };
    if crc32fast::hash(body) != number(2) {
        return Err("the checksum does not match");
    }
    let read = |plain: &[u8]| rmp_serde::from_slice(plain).map_err(|_| "the body is not a record");
    match header[1] {
        PLAIN => read(body),
        ZSTD => {
            let length = number(6) as usize;
            if length > MAX_BODY {
                return Err("the length is impossible");
            }
            let plain = decompressor::with(|it| it.decompress(body, length));
            read(&plain.map_err(|_| "it does not decompress")?)
        }
        _ => Err("the record has an unknown codec"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_noticed() {
        let text = "a long text that repeats itself; ".repeat(40);
        let bytes = Encoder::new().unwrap().encode(&text).unwrap();
        assert!(bytes.len() < text.len());
        assert_eq!(decode::<String>(&bytes).as_deref(), Ok(text.as_str()));
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_ne!(decode::<String>(&broken).as_deref(), Ok("x"), "byte {at}");
            // The length field is a bound, not content: only its upper bits can go unnoticed.
            assert!(decode::<String>(&broken).is_err() || (6..10).contains(&at), "byte {at}");
        }
        assert!(decode::<String>(&bytes[..HEADER - 1]).is_err());
    }
}
