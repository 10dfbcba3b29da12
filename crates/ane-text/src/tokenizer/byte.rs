//! `byte`: one id for each byte of UTF-8, 256 in all.

use super::{Part, Rules, record::TokenizerRecord};
use crate::TextError;
use sha2::{Digest, Sha256};

#[derive(Debug)]
pub(super) struct Byte;

impl Rules for Byte {
    fn vocabulary(&self) -> usize {
        256
    }

    fn encode(&self, text: &str, _: Part, ids: &mut Vec<u32>) -> Result<(), TextError> {
        ids.extend(text.bytes().map(u32::from));
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        text.len()
    }

    fn spell(&self, id: u32, _: bool, bytes: &mut Vec<u8>) -> bool {
        bytes.extend(u8::try_from(id));
        true
    }

    fn record(&self, _: &str) -> TokenizerRecord {
        TokenizerRecord::Byte
    }

    fn digest(&self, hash: &mut Sha256) {
        hash.update("byte");
    }
}
