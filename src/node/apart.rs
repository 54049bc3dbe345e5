//! What stands on cache lines of its own.

use std::ops::Deref;

/// A value that shares no cache line with another, and none with the neighbour line that the processor
/// fetches beside it.
///
/// 128 bytes, not 64: Intel's cores fetch lines in pairs (Optimization Reference Manual, "spatial
/// prefetcher"), and some ARM cores have lines of 128, so a writer 64 bytes away still takes the line from
/// its readers. In an [`Arc`](std::sync::Arc) the counts of references come before the value and are padded
/// to the same boundary.
///
/// Only what one thread writes while others use it, or its neighbour, needs this; what a worker alone owns
/// (its stack, and what it allocated itself) is apart from others' by pages and by the allocator's arenas.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(pub T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Whether a type begins and ends on the boundaries of [`Apart`].
pub(super) const fn stands_apart<T>() -> bool {
    let boundary = align_of::<Apart<u8>>();
    align_of::<T>() >= boundary && size_of::<T>().is_multiple_of(boundary)
}

const _: () = assert!(stands_apart::<Apart<u8>>() && !stands_apart::<[u64; 16]>());
