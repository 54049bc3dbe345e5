//! An array that stays where it is, so that the kernel may be told its address once.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A boxed slice that is only ever reached through one raw pointer.
///
/// A `Box` may not be pointed into while it is used directly; this may: every borrow is made anew from the
/// same raw pointer that [`at`](Self::at) hands out.
pub(super) struct FixedArray<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T: Clone> FixedArray<T> {
    pub(super) fn new(len: usize, value: &T) -> Self {
        let array: Box<[T]> = vec![value.clone(); len].into();
        let start = NonNull::from(Box::leak(array)).cast();
        Self { start, len }
    }
}

impl<T> FixedArray<T> {
    /// The address of element `index`, good for as long as the array lives.
    pub(super) fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len);
        // SAFETY: the index lies within the one allocation that `start` points to.
        unsafe { self.start.as_ptr().add(index) }
    }
}

impl<T> Deref for FixedArray<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` and `len` are those of a boxed slice that this value owns; the kernel writes to
        // it only during a call that borrows this value mutably.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for FixedArray<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for FixedArray<T> {
    fn drop(&mut self) {
        let array = std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len);
        // SAFETY: the parts are those of the box leaked in `new`, and nothing uses them after this.
        drop(unsafe { Box::from_raw(array) });
    }
}
