//! Reports of a line for each source: `sources`, `sourcestats`, `selectdata`, `authdata`; and `activity`, `sourcename`.

use serde_json::json;

use super::figures::{age, bits, ppm, signed, unsigned};
use super::names::Name;
use super::session::Session;
use super::sheet::Sheet;
use super::{Failure, json};
use crate::auth::KeyType;
use crate::client::SelectOptions;
use crate::control::{
    AuthMode, AuthReport, Question, Reply, SelectDataReport, SourceAddress, SourceMode,
    SourceReport, SourcestatsReport, Status,
};
use crate::wire::LeapIndicator;

/// Which lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Sources without an address too.
    pub(super) all: bool,
    /// What the columns mean.
    pub(super) verbose: bool,
}

impl Wanted {
    fn has(self, source: SourceAddress) -> bool {
        self.all
            || !matches!(
                source,
                SourceAddress::Unresolved(_) | SourceAddress::Unspecified
            )
    }

    fn explain(self, sheet: &mut Sheet, legend: &str) {
        if self.verbose {
            sheet.say(legend);
        }
    }
}

/// `sources`
pub(super) fn sources(session: &mut Session, wanted: Wanted) -> Result<(), Failure> {
    let replies = session.each_source(Question::Source)?;
    session.begin_list();
    wanted.explain(&mut session.sheet, SOURCES_LEGEND);
    session
        .sheet
        .title("MS Name/IP address         Stratum Poll Reach LastRx Last sample               ");
    for reply in replies {
        let Reply::Source(report) = reply else {
            return Err(Failure::Astray);
        };
        if !wanted.has(report.source) {
            continue;
        }
        let name = session.source_name(report.source);
        session.record(
            |sheet| write_source(sheet, &report, &name),
            || {
                json!({
                    "mode": match report.mode {
                        SourceMode::Client => "server",
                        SourceMode::Peer => "peer",
                        SourceMode::Refclock => "refclock",
                    },
                    "state": report.state.sign().to_string(),
                    "name": name.text,
                    "address": json::address(report.source),
                    "stratum": report.stratum,
                    "poll_log2_s": report.poll,
                    "reach": report.reach,
                    "last_rx_age_s": report.age_s,
                    "adjusted_offset_s": 0.0 - report.adjusted_s,
                    "measured_offset_s": 0.0 - report.measured_s,
                    "error_s": report.error_s,
                })
            },
        );
    }
    Ok(())
}

fn write_source(sheet: &mut Sheet, report: &SourceReport, name: &Name) {
    let mode = match report.mode {
        SourceMode::Client => '^',
        SourceMode::Peer => '=',
        SourceMode::Refclock => '#',
    };
    let (adjusted_s, measured_s) = (0.0 - report.adjusted_s, 0.0 - report.measured_s);
    sheet
        .both(mode)
        .both(report.state.sign())
        .field(format_args!(" {}", name.column(27)), &name.text)
        .field(format_args!("  {:2}", report.stratum), report.stratum)
        .field(format_args!("  {:2}", report.poll), report.poll)
        .field(
            format_args!("   {:3o}", report.reach),
            format_args!("{:o}", report.reach),
        )
        .field(format_args!("  {}", age(report.age_s)), bits(report.age_s))
        .field(
            format_args!("  {}", signed(adjusted_s)),
            format_args!("{adjusted_s:.9}"),
        )
        .field(
            format_args!("[{}]", signed(measured_s)),
            format_args!("{measured_s:.9}"),
        )
        .say(" +/- ")
        .field(
            unsigned(report.error_s),
            format_args!("{:.9}", report.error_s),
        )
        .end();
}

/// `sourcestats`
pub(super) fn sourcestats(session: &mut Session, wanted: Wanted) -> Result<(), Failure> {
    let replies = session.each_source(Question::Sourcestats)?;
    session.begin_list();
    wanted.explain(&mut session.sheet, SOURCESTATS_LEGEND);
    session
        .sheet
        .title("Name/IP Address            NP  NR  Span  Frequency  Freq Skew  Offset  Std Dev");
    for reply in replies {
        let Reply::Sourcestats(report) = reply else {
            return Err(Failure::Astray);
        };
        if !wanted.has(report.source) {
            continue;
        }
        let name = session.source_name(report.source);
        session.record(
            |sheet| write_sourcestats(sheet, &report, &name),
            || {
                json!({
                    "name": name.text,
                    "address": json::address(report.source),
                    "samples": report.samples,
                    "runs": report.runs,
                    "span_s": report.span_s,
                    "frequency_ppm": 0.0 - report.residual_frequency_ppm,
                    "skew_ppm": report.skew_ppm,
                    "offset_s": 0.0 - report.offset_s,
                    "offset_error_s": report.offset_error_s,
                    "standard_deviation_s": report.standard_deviation_s,
                })
            },
        );
    }
    Ok(())
}

fn write_sourcestats(sheet: &mut Sheet, report: &SourcestatsReport, name: &Name) {
    let frequency_ppm = 0.0 - report.residual_frequency_ppm;
    let offset_s = 0.0 - report.offset_s;
    sheet
        .field(name.column(25), &name.text)
        .field(format_args!(" {:3}", report.samples), report.samples)
        .field(format_args!(" {:3}", report.runs), report.runs)
        .field(
            format_args!("  {}", age(Some(report.span_s))),
            report.span_s,
        )
        .field(
            format_args!(" {}", ppm(frequency_ppm, true)),
            format_args!("{frequency_ppm:.3}"),
        )
        .field(
            format_args!(" {}", ppm(report.skew_ppm, false)),
            format_args!("{:.3}", report.skew_ppm),
        )
        .field(
            format_args!("  {}", signed(offset_s)),
            format_args!("{offset_s:.9}"),
        )
        .field(
            format_args!("  {}", unsigned(report.standard_deviation_s)),
            format_args!("{:.9}", report.standard_deviation_s),
        )
        .end();
}

/// `selectdata`
pub(super) fn selectdata(session: &mut Session, wanted: Wanted) -> Result<(), Failure> {
    let replies = session.each_source(Question::SelectData)?;
    session.begin_list();
    wanted.explain(&mut session.sheet, SELECTDATA_LEGEND);
    session
        .sheet
        .title("S Name/IP Address        Auth COpts EOpts Last Score     Interval  Leap");
    for reply in replies {
        let Reply::SelectData(report) = reply else {
            return Err(Failure::Astray);
        };
        if !wanted.has(report.source) {
            continue;
        }
        let name = session.source_name(report.source);
        session.record(
            |sheet| write_selectdata(sheet, &report, &name),
            || {
                json!({
                    "state": report.state.letter().to_string(),
                    "name": name.text,
                    "address": json::address(report.source),
                    "is_authenticated": report.is_authenticated,
                    "configured_options": json::options(report.configured),
                    "effective_options": json::options(report.effective),
                    "last_sample_age_s": report.age_s,
                    "score": report.score,
                    "offset_low_s": 0.0 - report.offset_high_s,
                    "offset_high_s": 0.0 - report.offset_low_s,
                    "leap_status": json::leap(report.leap),
                })
            },
        );
    }
    Ok(())
}

fn write_selectdata(sheet: &mut Sheet, report: &SelectDataReport, name: &Name) {
    let authenticated = if report.is_authenticated { 'Y' } else { 'N' };
    let (low_s, high_s) = (0.0 - report.offset_high_s, 0.0 - report.offset_low_s);
    let leap = json::leap(report.leap);
    sheet
        .both(report.state.letter())
        .field(format_args!(" {}", name.column(25)), &name.text)
        .say(" ")
        .both(authenticated);
    write_options(sheet, report.configured);
    write_options(sheet, report.effective);
    sheet
        .field(format_args!(" {}", age(Some(report.age_s))), report.age_s)
        .field(
            format_args!(" {:5.1}", report.score),
            format_args!("{:.1}", report.score),
        )
        .field(
            format_args!(" {}", signed(low_s)),
            format_args!("{low_s:.9}"),
        )
        .field(
            format_args!(" {}", signed(high_s)),
            format_args!("{high_s:.9}"),
        )
        .field(format_args!("  {}", leap_sign(report.leap)), leap)
        .end();
}

const fn leap_sign(leap: LeapIndicator) -> char {
    match leap {
        LeapIndicator::NoWarning => 'N',
        LeapIndicator::InsertSecond => '+',
        LeapIndicator::DeleteSecond => '-',
        LeapIndicator::NotSynchronised => '?',
    }
}

/// A letter for each option that is set; the last place is kept for one that is not there yet.
fn write_options(sheet: &mut Sheet, options: SelectOptions) {
    sheet.say(" ");
    for (is_set, letter) in [
        (options.noselect, 'N'),
        (options.prefer, 'P'),
        (options.trust, 'T'),
        (options.require, 'R'),
        (false, '-'),
    ] {
        sheet.both(if is_set { letter } else { '-' });
    }
}

/// `authdata`
pub(super) fn authdata(session: &mut Session, wanted: Wanted) -> Result<(), Failure> {
    let replies = session.each_source(Question::Source)?;
    session.begin_list();
    wanted.explain(&mut session.sheet, AUTHDATA_LEGEND);
    session
        .sheet
        .title("Name/IP address             Mode KeyID Type KLen Last Atmp  NAK Cook CLen");
    for reply in replies {
        let Reply::Source(source) = reply else {
            return Err(Failure::Astray);
        };
        if source.mode == SourceMode::Refclock || !wanted.has(source.source) {
            continue;
        }
        let report = match session.ask(Question::Auth(source.source)) {
            Ok(answer) => answer.reply,
            Err(error) if error.status() == Some(Status::NoSuchSource) => continue,
            Err(error) => return Err(error.into()),
        };
        let Reply::Auth(report) = report else {
            return Err(Failure::Astray);
        };
        let name = session.source_name(source.source);
        session.record(
            |sheet| write_authdata(sheet, &report, &name),
            || {
                json!({
                    "name": name.text,
                    "address": json::address(source.source),
                    "mode": mode_name(report.mode),
                    "key_id": report.key_id,
                    "key_type": report.key_type,
                    "key_type_name": key_type_name(&report),
                    "key_bits": report.key_bits,
                    "key_exchange_age_s": report.exchange_age_s,
                    "key_exchange_attempts": report.exchange_attempts,
                    "naks": report.naks,
                    "cookies": report.cookies,
                    "cookie_bytes": report.cookie_len,
                })
            },
        );
    }
    Ok(())
}

fn write_authdata(sheet: &mut Sheet, report: &AuthReport, name: &Name) {
    let mode = mode_name(report.mode);
    sheet
        .field(name.column(27), &name.text)
        .field(format_args!(" {mode:>4}"), mode)
        .field(format_args!(" {:5}", report.key_id), report.key_id)
        .field(format_args!(" {:4}", report.key_type), report.key_type)
        .field(format_args!(" {:4}", report.key_bits), report.key_bits)
        .field(
            format_args!(" {}", age(report.exchange_age_s)),
            bits(report.exchange_age_s),
        )
        .field(
            format_args!(" {:4}", report.exchange_attempts),
            report.exchange_attempts,
        )
        .field(format_args!(" {:4}", report.naks), report.naks)
        .field(format_args!(" {:4}", report.cookies), report.cookies)
        .field(format_args!(" {:4}", report.cookie_len), report.cookie_len)
        .end();
}

const fn mode_name(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::None => "-",
        AuthMode::SymmetricKey => "SK",
        AuthMode::Nts => "NTS",
    }
}

/// What a key's type is called in a key file.
fn key_type_name(report: &AuthReport) -> Option<&'static str> {
    let mut all = KeyType::ALL.into_iter();
    let known = all.find(|known| u16::from(known.number()) == report.key_type)?;
    (report.mode == AuthMode::SymmetricKey).then(|| known.name())
}

/// `activity`
pub(super) fn activity(session: &mut Session) -> Result<(), Failure> {
    let Reply::Activity(report) = session.ask(Question::Activity)?.reply else {
        return Err(Failure::Astray);
    };
    session.record(
        |sheet| {
            sheet
                .say("200 OK\n")
                .both(report.online)
                .say(" sources online\n")
                .both(report.offline)
                .say(" sources offline\n")
                .both(report.burst_online)
                .say(" sources doing burst (return to online)\n")
                .both(report.burst_offline)
                .say(" sources doing burst (return to offline)\n")
                .both(report.unresolved)
                .say(" sources with unknown address")
                .end();
        },
        || {
            json!({
                "online": report.online,
                "offline": report.offline,
                "burst_online": report.burst_online,
                "burst_offline": report.burst_offline,
                "unresolved": report.unresolved,
            })
        },
    );
    Ok(())
}

/// `sourcename`
pub(super) fn sourcename(session: &mut Session, source: SourceAddress) -> Result<(), Failure> {
    let Reply::SourceName(name) = session.ask(Question::SourceName(source))?.reply else {
        return Err(Failure::Astray);
    };
    session.record(
        |sheet| {
            sheet.both(&name).end();
        },
        || json!({ "address": json::address(source), "name": name }),
    );
    Ok(())
}

const SOURCES_LEGEND: &str = "
M: ^ server, = peer, # reference clock.
S: * followed, + combined with it, - not combined, x does not agree with the others,
   ~ varies too much, ? cannot be used (yet).
Reach: the last eight polls in octal, one bit each. LastRx: since the last good reply.
Last sample: our clock is ahead by this, with corrections since[as measured] +/- error.

";
const SOURCESTATS_LEGEND: &str = "
NP: samples kept. NR: runs of residuals of one sign. Span: from the oldest to the newest.
Frequency: ppm by which our clock gains on the source, Freq Skew: how uncertain that is.
Offset: our clock is ahead by this now. Std Dev: of the samples around their line.

";
const SELECTDATA_LEGEND: &str = "
S: * followed, + combined; N noselect, M too few samples, s not synchronised, b stratum,
   d too distant, ~ varies too much, w others still need samples, S older than others,
   O another orphan leads, T trusted ones disagree, x falseticker, W more sources needed,
   P others are preferred, U waits for an update, D too far, L frequency differs.
Auth: authenticated. COpts, EOpts: options configured and used: Noselect, Prefer, Trust,
   Require. Interval: our clock is ahead by between these. Leap: N none, + insert, - delete, ? not synchronised.

";
const AUTHDATA_LEGEND: &str = "
Mode: - none, SK a key that both sides have, NTS. Type: 13 AES128, others as in the key file
   or, of NTS, the AEAD's number. KLen: bits. Last: since the last key exchange. Atmp: tries
   since. NAK: refusals since. Cook, CLen: cookies left and their bytes.

";
