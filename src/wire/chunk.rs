//! Sealed bytes in pieces that a broker takes, each named by its digest, and one more piece that lists them.
//!
//! The *index* is a chunk too: the digests of the others, in order. A manifest names the index alone, so it stays small
//! however large the roster is. A receiver that knows the index's digest can check every chunk by itself, no matter who sent it.

use super::digest::Digest;

/// Longest chunk, bytes. As long as an event's body may be, so a broker that takes events takes chunks.
pub const MAX_CHUNK: usize = 32 * 1024;

/// Most chunks of one whole: as many digests as one chunk holds.
pub const MAX_CHUNKS: usize = MAX_CHUNK / 32;

/// Longest whole, bytes: 32 MiB, about 15,000 students with one template of 512 components each.
pub const MAX_WHOLE: usize = MAX_CHUNK * MAX_CHUNKS;

/// Why pieces are not the whole that was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// More than fits into one index.
    #[error("{len} bytes are more than the {MAX_WHOLE} that travel in one piece: split the room")]
    TooLong {
        /// Its length, bytes.
        len: usize,
    },
    /// The index is not a list of as many digests as the size needs.
    #[error("the index does not list the pieces that {size} bytes need")]
    Index {
        /// The promised size, bytes.
        size: u64,
    },
    /// The pieces together are not the promised whole.
    #[error("the pieces together are not what the manifest names")]
    Whole,
}

/// Sealed bytes, cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The digest of the whole.
    pub whole: Digest,
    /// The length of the whole, bytes.
    pub size: u64,
    /// The digest of the index.
    pub index: Digest,
    /// The index, then every piece in order. A piece that occurs twice is listed twice.
    pub chunks: Vec<(Digest, Vec<u8>)>,
}

/// Cuts `sealed` into chunks.
///
/// ```
/// use examgate::wire::chunk::{assemble, cut, index};
///
/// let sealed = vec![7; 100_000];
/// let cut = cut(&sealed)?;
/// let listed = index(&cut.chunks[0].1, cut.size)?;
/// let pieces: Vec<&[u8]> = cut.chunks[1..].iter().map(|(_, bytes)| bytes.as_slice()).collect();
/// assert_eq!((listed.len(), assemble(&pieces, cut.whole, cut.size)?), (4, sealed));
/// # Ok::<(), examgate::wire::chunk::ChunkError>(())
/// ```
///
/// # Errors
/// When it is longer than [`MAX_WHOLE`].
pub fn cut(sealed: &[u8]) -> Result<Cut, ChunkError> {
    if sealed.len() > MAX_WHOLE {
        return Err(ChunkError::TooLong { len: sealed.len() });
    }
    let pieces: Vec<_> = sealed.chunks(MAX_CHUNK).map(|piece| (Digest::of(piece), piece.to_vec())).collect();
    let listed: Vec<u8> = pieces.iter().flat_map(|(digest, _)| *digest.as_bytes()).collect();
    let index = Digest::of(&listed);
    let chunks = std::iter::once((index, listed)).chain(pieces).collect();
    Ok(Cut { whole: Digest::of(sealed), size: sealed.len() as u64, index, chunks })
}

/// The pieces that an index lists for a whole of `size` bytes.
///
/// # Errors
/// When it lists fewer or more than that.
pub fn index(bytes: &[u8], size: u64) -> Result<Vec<Digest>, ChunkError> {
    let (digests, rest) = bytes.as_chunks::<32>();
    let needed = size.div_ceil(MAX_CHUNK as u64);
    if size == 0 || size > MAX_WHOLE as u64 || !rest.is_empty() || digests.len() as u64 != needed {
        return Err(ChunkError::Index { size });
    }
    Ok(digests.iter().copied().map(Digest::from_bytes).collect())
}

/// The whole, out of its pieces in order.
///
/// # Errors
/// When its size or digest is another one.
pub fn assemble(pieces: &[impl AsRef<[u8]>], whole: Digest, size: u64) -> Result<Vec<u8>, ChunkError> {
    let length: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    if length as u64 != size || length > MAX_WHOLE {
        return Err(ChunkError::Whole);
    }
    let mut sealed = Vec::with_capacity(length);
    pieces.iter().for_each(|piece| sealed.extend_from_slice(piece.as_ref()));
    if Digest::of(&sealed) == whole { Ok(sealed) } else { Err(ChunkError::Whole) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_long_or_listed_wrongly_is_refused() {
        assert_eq!(cut(&vec![0; MAX_WHOLE + 1]), Err(ChunkError::TooLong { len: MAX_WHOLE + 1 }));
        let longest = cut(&vec![1; MAX_WHOLE]).expect("it fits");
        assert_eq!(longest.chunks[0].1.len(), MAX_CHUNK, "its index fits, too");
        for (listed, size) in [(0, 1), (1, 0), (2, 1), (1, MAX_CHUNK as u64 + 1), (1, u64::MAX)] {
            assert_eq!(index(&vec![0; 32 * listed], size), Err(ChunkError::Index { size }), "{listed} for {size}");
        }
        assert!(index(&[0; 33], 1).is_err());
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole_and_nothing_else_does(
            len in 1usize..200_000, seed in any::<u8>(), lost in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let sealed: Vec<u8> = (0..len).map(|n| (n as u8).wrapping_mul(31) ^ seed ^ (n >> 8) as u8).collect();
            let cut = cut(&sealed).expect("short enough");
            prop_assert!(cut.chunks.iter().all(|(digest, bytes)| bytes.len() <= MAX_CHUNK && Digest::of(bytes) == *digest));
            let listed = index(&cut.chunks[0].1, cut.size).expect("its own");
            prop_assert!(listed.iter().eq(cut.chunks[1..].iter().map(|(digest, _)| digest)));
            let mut pieces: Vec<Vec<u8>> = cut.chunks[1..].iter().map(|(_, bytes)| bytes.clone()).collect();
            prop_assert_eq!(assemble(&pieces, cut.whole, cut.size), Ok(sealed));
            let at = lost.index(pieces.len());
            let mut shorter = pieces.clone();
            shorter.remove(at);
            prop_assert_eq!(assemble(&shorter, cut.whole, cut.size), Err(ChunkError::Whole));
            pieces[at][0] ^= 1 << bit;
            prop_assert_eq!(assemble(&pieces, cut.whole, cut.size), Err(ChunkError::Whole));
        }
    }
}
