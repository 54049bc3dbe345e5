use super::*;
use proptest::prelude::*;

/// 2017-01-01 and 1972-07-01.
const LAST_S: i64 = 1_483_228_800;
const FIRST_LEAP_S: i64 = 78_796_800;

const LIST: &str = "\
#\tUpdated through IERS Bulletin C
#$\t3676924800
#@\t3928521600
2272060800\t10\t# 1 Jan 1972
2287785600\t11\t# 1 Jul 1972
3692217600\t37\t# 1 Jan 2017
#h\t62cf8c5d 8bbb6dcc c61e3b56 c308343 869bb80d
";

/// A file with leap records only: moments as they stand in the file, and corrections.
fn tzif(version: u8, records: &[(i64, i32)]) -> Vec<u8> {
    let header = |version: u8, leaps: usize| {
        let mut header = b"TZif".to_vec();
        header.push(version);
        header.extend([0; 15]);
        let leaps = u8::try_from(leaps).expect("few records");
        for count in [1, 1, leaps, 0, 1, 4] {
            header.extend([0, 0, 0, count]);
        }
        header
    };
    let block = |width: usize, records: &[(i64, i32)]| {
        let mut data = vec![0; 6];
        data.extend(b"UTC\0");
        for (moment, correction) in records {
            data.extend(&moment.to_be_bytes()[8 - width..]);
            data.extend(correction.to_be_bytes());
        }
        data.extend([0, 0]);
        data
    };
    let mut file = header(version, records.len());
    file.extend(block(4, records));
    if version != 0 {
        file.extend(header(version, records.len()));
        file.extend(block(8, records));
        file.extend(b"\nUTC0\n");
    }
    file
}

fn day(leap: LeapIndicator, tai_offset_s: i32) -> Option<LeapDay> {
    Some(LeapDay { leap, tai_offset_s })
}

#[test]
fn the_list_names_the_days() {
    let table = LeapTable::parse_list(LIST).expect("the form of IERS");
    let insert = LeapIndicator::InsertSecond;
    let none = LeapIndicator::NoWarning;
    assert_eq!(table.expires_s(), Some(3_928_521_600 - NTP_EPOCH_S));
    assert_eq!(table.day(FIRST_S - 1), None);
    assert_eq!(table.day(FIRST_LEAP_S - DAY_S - 1), day(none, 10));
    assert_eq!(table.day(FIRST_LEAP_S - DAY_S), day(insert, 10));
    assert_eq!(table.day(FIRST_LEAP_S - 1), day(insert, 10));
    assert_eq!(table.day(FIRST_LEAP_S), day(none, 11));
    // Its neighbours are left out of this list: a jump by more than one is no leap second.
    assert_eq!(table.day(LAST_S - 1), day(none, 11));
    assert_eq!(table.day(LAST_S), day(none, 37));
    assert_eq!(table.day(3_928_521_600 - NTP_EPOCH_S), None);
}

#[test]
fn s3_2_a_time_zones_file_counts_its_own_leap_seconds() {
    // The second one is 23:59:60 of 1972-12-31, with one before it.
    let records = [(FIRST_LEAP_S, 1), (94_694_401, 2)];
    for version in [0, b'2', b'4'] {
        let table = LeapTable::parse_tzif(&tzif(version, &records)).expect("a file");
        let insert = LeapIndicator::InsertSecond;
        assert_eq!(table.day(FIRST_LEAP_S - 1), day(insert, 10));
        assert_eq!(table.day(94_694_399), day(insert, 11));
        assert_eq!(table.day(94_694_400), day(LeapIndicator::NoWarning, 12));
        assert_eq!(table.expires_s(), None);
    }
    let deleted = [(FIRST_LEAP_S, 1), (94_694_400 - 1 + 1, 0)];
    let table = LeapTable::parse_tzif(&tzif(b'2', &deleted)).expect("a file");
    assert_eq!(table.day(94_694_399), day(LeapIndicator::DeleteSecond, 11));
    // Version 4: a last record that corrects nothing is the end of what is known.
    let expires = [(FIRST_LEAP_S, 1), (94_694_401, 1)];
    let table = LeapTable::parse_tzif(&tzif(b'4', &expires)).expect("a file");
    assert_eq!(table.expires_s(), Some(94_694_400));
}

#[test]
fn what_is_no_table_is_refused() {
    for text in [
        "",
        "# only comments",
        "3692217600",
        "3692217600 x",
        "x 37",
        "#@ x",
    ] {
        assert_eq!(LeapTable::parse_list(text), Err(BadLeapTable), "{text:?}");
    }
    let falling = "2287785600 11\n2272060800 10\n";
    assert_eq!(LeapTable::parse_list(falling), Err(BadLeapTable));
    assert_eq!(LeapTable::parse_list("2287785601 11\n"), Err(BadLeapTable));
    assert_eq!(LeapTable::parse_tzif(b"TZif"), Err(BadLeapTable));
    assert_eq!(LeapTable::parse_tzif(&tzif(b'2', &[])), Err(BadLeapTable));
    let whole = tzif(b'2', &[(FIRST_LEAP_S, 1)]);
    let data_end = whole.len() - b"\nUTC0\n".len();
    for length in 0..data_end {
        let cut = LeapTable::parse_tzif(&whole[..length]);
        assert_eq!(cut, Err(BadLeapTable), "{length}");
    }
}

#[test]
fn the_last_days_of_june_and_december() {
    let dates = [
        (1_483_142_400, true),          // 2016-12-31
        (1_483_228_799, true),          // its last second
        (1_483_228_800, false),         // 2017-01-01
        (1_435_622_400, true),          // 2015-06-30
        (1_435_708_800, false),         // 2015-07-01
        (1_456_704_000, false),         // 2016-02-29
        (78_710_400, true),             // 1972-06-30
        (951_782_400, false),           // 2000-02-29
        (978_220_800, true),            // 2000-12-31
        (4_102_358_400, true),          // 2099-12-31
        (4_118_083_200 - 86_400, true), // 2100-06-30
    ];
    for (unix_s, expected) in dates {
        assert_eq!(may_have_leap(unix_s), expected, "{unix_s}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>, text: String, moment: i64) {
        let as_file = [&b"TZif2"[..], &bytes].concat();
        for file in [&bytes, &as_file] {
            if let Ok(table) = LeapTable::parse_tzif(file) {
                table.day(moment);
            }
        }
        bytes.retain(|byte| b"0123456789 #@\n".contains(byte));
        for list in [text, String::from_utf8_lossy(&bytes).into_owned()] {
            if let Ok(table) = LeapTable::parse_list(&list) {
                table.day(moment);
            }
        }
    }
}
