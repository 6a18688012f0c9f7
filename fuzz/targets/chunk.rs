//! Chunks: an index for a whole of the size in the first bytes, and the pieces that it lists. What is put together is what the digest names.
#![no_main]

use examgate::wire::{
    chunk::{MAX_CHUNK, assemble, cut, index},
    digest::Digest,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, u8, &[u8])| {
    let (size, piece, bytes) = input;
    if let Ok(listed) = index(bytes, size.into()) {
        assert_eq!(listed.len() * 32, bytes.len());
        assert_eq!(listed.len(), (size as usize).div_ceil(MAX_CHUNK));
    }
    // Cut anywhere, pieces that make up the size are the whole if the digest is theirs.
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(piece) + 1).collect();
    let whole = Digest::of(bytes);
    assert_eq!(assemble(&pieces, whole, bytes.len() as u64).as_deref(), Ok(bytes));
    assert!(assemble(&pieces, whole, u64::from(size) + bytes.len() as u64 + 1).is_err());
    if let Some((_, others)) = pieces.split_first() {
        assert!(assemble(others, whole, bytes.len() as u64).is_err());
    }
    let again = cut(bytes).expect("it is short");
    if !bytes.is_empty() {
        assert_eq!(index(&again.chunks[0].1, again.size).expect("its own").len() + 1, again.chunks.len());
    }
});
