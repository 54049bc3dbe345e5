//! `waitsync`: asks for `tracking` until the clock is right.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::Failure;
use super::ask::{Ask, Port};
use super::session::{self, Session};
use crate::cli::{Exit, print};
use crate::control::{Question, Reply, TrackingReport};
use crate::wire::ReferenceId;

/// Wait until the clock is synchronised.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Waitsync {
    /// Try so often; 0: until it is.
    #[arg(value_name = "TRIES", default_value_t = 0)]
    tries: u64,
    /// At most so many seconds may be left to correct; 0: any.
    #[arg(value_name = "CORRECTION", default_value_t = 0.0)]
    correction_s: f64,
    /// The frequency may be uncertain by at most so many parts per million; 0: any.
    #[arg(value_name = "SKEW", default_value_t = 0.0)]
    skew_ppm: f64,
    /// Seconds between two tries.
    #[arg(value_name = "INTERVAL", default_value_t = 10.0, value_parser = interval)]
    interval_s: f64,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    port: Port,
}

impl Waitsync {
    pub(super) fn run(self) -> Exit {
        let port = self.port.number();
        session::run("waitsync", &self.ask, port, |session| self.wait(session))
    }

    /// Each try is printed at once; a daemon that does not answer yet is one that will.
    fn wait(&self, session: &mut Session) -> Result<(), Failure> {
        let mut attempt: u64 = 1;
        loop {
            let answer = session.ask(Question::Tracking);
            if let Ok(Reply::Tracking(report)) = answer.map(|answer| answer.reply) {
                self.tell(session, attempt, &report);
                if self.is_satisfied(&report) {
                    return Ok(());
                }
            }
            if attempt == self.tries {
                return Err(Failure::Unsynchronised(attempt));
            }
            attempt += 1;
            sleep(Duration::from_secs_f64(self.interval_s));
        }
    }

    fn tell(&self, session: &Session, attempt: u64, report: &TrackingReport) {
        let correction_s = report.current_correction_s.abs();
        let (id, skew_ppm) = (report.reference_id, report.skew_ppm);
        let line = if session.is_json() {
            json!({
                "try": attempt,
                "reference_id": id.to_string(),
                "correction_s": correction_s,
                "skew_ppm": skew_ppm,
                "is_synchronised": self.is_satisfied(report),
            })
            .to_string()
        } else {
            format!(
                "try: {attempt}, refid: {id}, correction: {correction_s:.9}, skew: {skew_ppm:.3}"
            )
        };
        // Who no longer reads still learns by the exit code.
        let _ = print(&format!("{line}\n"));
    }

    fn is_satisfied(&self, report: &TrackingReport) -> bool {
        let within = |limit: f64, value: f64| limit <= 0.0 || value <= limit;
        let follows = report.address.is_some()
            || ![ReferenceId::NONE, ReferenceId::LOCAL].contains(&report.reference_id);
        follows
            && within(self.correction_s, report.current_correction_s.abs())
            && within(self.skew_ppm, report.skew_ppm)
    }
}

fn interval(typed: &str) -> Result<f64, String> {
    let seconds: f64 = typed.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0 to 86400 seconds".to_owned())
    }
}
