//! The segment of shared memory through which ntpd's driver 28 takes samples (shmget(2)); gpsd and others fill it.

use std::io;
use std::mem::offset_of;
use std::ptr::NonNull;

use super::{check, named};

/// `struct shmTime` of ntpd's driver 28, as a program on this machine lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ShmTime {
    /// 0: the writer sets `valid` and the reader clears it; 1: the writer counts before and after.
    pub mode: i32,
    /// With mode 1: changed before and after each writing.
    pub count: i32,
    /// What the reference clock showed.
    pub clock_secs: libc::time_t,
    /// The rest of it, in microseconds.
    pub clock_micros: i32,
    /// What this machine's clock showed then.
    pub receive_secs: libc::time_t,
    /// The rest of it, in microseconds.
    pub receive_micros: i32,
    /// As in NTP's header.
    pub leap: i32,
    /// log2 of seconds.
    pub precision: i32,
    /// Not used.
    pub samples: i32,
    /// Not 0: there is a sample.
    pub valid: i32,
    /// Of `clock_micros`, in nanoseconds; 0 from writers that do not know of it.
    pub clock_nanos: u32,
    /// Of `receive_micros`, in nanoseconds.
    pub receive_nanos: u32,
    /// Room.
    pub spare: [i32; 8],
}

/// The attached segment. Other programs write into it whenever they like.
#[derive(Debug)]
pub struct SharedTime {
    segment: NonNull<ShmTime>,
}

// SAFETY: the segment belongs to no thread, and is read and written by single volatile accesses only.
unsafe impl Send for SharedTime {}

impl SharedTime {
    /// Attaches the segment of a key, which is made if it is not there.
    ///
    /// # Errors
    /// There is one of another size, or we may not read and write it.
    pub fn attach(key: i32, mode: u32) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | (mode & 0o777).cast_signed();
        // SAFETY: the call takes numbers and touches no memory of ours.
        let id = check(unsafe { libc::shmget(key, size_of::<ShmTime>(), flags) })
            .map_err(named("shmget"))?;
        // SAFETY: without an address the kernel chooses one at which nothing is mapped.
        let address = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        // shmat(2) answers -1 for an error.
        if address.addr() == usize::MAX {
            return Err(named("shmat")(io::Error::last_os_error()));
        }
        let segment = NonNull::new(address.cast::<ShmTime>());
        let segment = segment.ok_or_else(|| io::Error::other("shmat: no address"))?;
        Ok(Self { segment })
    }

    /// All of it, which a writer may be changing.
    pub fn read(&self) -> ShmTime {
        // SAFETY: the segment is mapped until `self` is dropped, on a page of its own, and at least as long as the struct,
        // which is plain integers. Others write to it: a torn value is a value, and `count` tells of it.
        unsafe { self.segment.as_ptr().read_volatile() }
    }

    /// The count of writings, now.
    pub fn count(&self) -> i32 {
        let count = self.field(offset_of!(ShmTime, count));
        // SAFETY: as in `read`; the field lies in the segment.
        unsafe { count.read_volatile() }
    }

    /// Whether the sample holds still: a writer says so when it is done.
    pub fn is_valid(&self) -> bool {
        let valid = self.field(offset_of!(ShmTime, valid));
        // SAFETY: as in `read`; the field lies in the segment.
        unsafe { valid.read_volatile() != 0 }
    }

    /// The sample was taken.
    pub fn clear_valid(&self) {
        let valid = self.field(offset_of!(ShmTime, valid));
        // SAFETY: as in `read`; the field lies in the segment, which is attached for writing.
        unsafe { valid.write_volatile(0) }
    }

    const fn field(&self, offset: usize) -> *mut i32 {
        self.segment.as_ptr().wrapping_byte_add(offset).cast()
    }

    /// Writes a sample, as a program that feeds us does.
    pub fn write(&self, time: &ShmTime) {
        // SAFETY: as in `read`; the segment is attached for writing.
        unsafe { self.segment.as_ptr().write_volatile(*time) }
    }

    /// Takes the segment of a key away when the last program detaches it.
    ///
    /// # Errors
    /// There is none, or it is somebody else's.
    pub fn remove(key: i32) -> io::Result<()> {
        // SAFETY: the call takes numbers and touches no memory of ours.
        let id = check(unsafe { libc::shmget(key, 0, 0) }).map_err(named("shmget"))?;
        // SAFETY: with IPC_RMID the third argument is not used.
        check(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) })
            .map_err(named("shmctl"))?;
        Ok(())
    }
}

impl Drop for SharedTime {
    fn drop(&mut self) {
        // SAFETY: it was attached at this address, and nothing else points into it.
        unsafe { libc::shmdt(self.segment.as_ptr().cast()) };
    }
}

/// Of the segment of unit 0; the others follow (ntpd's driver 28).
pub const KEY_OF_UNIT_0: i32 = 0x4e54_5030;

const _: () = assert!(!cfg!(target_pointer_width = "64") || size_of::<ShmTime>() == 96);
