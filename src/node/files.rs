//! The files and names that a configuration leads to.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use crate::config::Outside;

/// The machine's own files, and its resolver, which blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Outside for Files {
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(file)?;
        file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LEN_MAX {
            return Err(io::Error::other("the file has more than 64 MiB"));
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses: Vec<_> = (host, 0)
            .to_socket_addrs()?
            .map(|found| found.ip())
            .collect();
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }
}

/// More than any configuration has, less than a device that never ends.
const FILE_LEN_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_end_is_refused() {
        assert!(Files.read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn what_is_not_there_is_said_to_be_absent() {
        let absent = Path::new("/nonexistent/maser");
        assert_eq!(
            Files.read(absent).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            Files.list(absent).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn an_address_resolves_to_itself_once() {
        let found = Files.resolve("127.0.0.1").unwrap();
        assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
    }
}
