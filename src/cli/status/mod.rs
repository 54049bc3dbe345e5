//! `maser status` and `maser health`: how a node is doing, for people and for balancers.

mod health;
mod http;
mod screen;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

pub(super) use health::Health;

use self::http::Place;
use super::{Exit, complain, print};

/// One screen: is it synchronised, to what, how well; what it answers, what it drops and why.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Draw anew every so many seconds, until interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    watch: Option<f64>,
    /// Print what the node says as it is (`/status.json`).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Which node.
#[derive(Debug, clap::Args)]
struct Whom {
    /// Ask at this address, as `metrics` has it: http://HOST:PORT.
    #[arg(long, value_name = "URL", value_parser = Place::of_url, conflicts_with = "socket")]
    url: Option<Place>,
    /// Ask by this socket; it is beside the one that chronyc asks.
    #[arg(long, value_name = "PATH", default_value = "/run/maser/http.sock")]
    socket: PathBuf,
    /// Wait so many milliseconds for the answer.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
}

impl Whom {
    /// Status and body of a path, or why there is none.
    fn get(&self, path: &str) -> Result<(u16, String), String> {
        let socket = || Place::Socket(self.socket.clone());
        let place = self.url.clone().unwrap_or_else(socket);
        let patience = Duration::from_millis(self.timeout);
        let answer = place.get(path, patience);
        answer.map_err(|error| {
            format!(
                "no answer from {place}: {error}\n\
                 Is a node running? --socket names its http.sock, --url the address of its `metrics`."
            )
        })
    }
}

impl Status {
    pub(super) fn run(&self) -> Exit {
        let Some(interval_s) = self.watch else {
            return match self.text() {
                Ok(text) => print(&text),
                Err(why) => complain(&format!("maser status: {why}"), Exit::Failure),
            };
        };
        let clears = io::stdout().is_terminal() && !self.json;
        loop {
            // A node that is being started again is waited for.
            let text = self
                .text()
                .unwrap_or_else(|why| format!("maser status: {why}\n"));
            let text = if clears {
                format!("{CLEAR}{text}")
            } else {
                text + if self.json { "" } else { "\n" }
            };
            if print(&text) != Exit::Success {
                return Exit::Success; // Whoever read has seen enough.
            }
            sleep(Duration::from_secs_f64(interval_s));
        }
    }

    fn text(&self) -> Result<String, String> {
        let (code, body) = self.whom.get("/status.json")?;
        if code != 200 {
            return Err(format!("the answer is {code}, not a status"));
        }
        let status: serde_json::Value =
            serde_json::from_str(&body).map_err(|error| format!("not a status: {error}"))?;
        if self.json {
            return Ok(format!("{status}\n"));
        }
        let has_colours =
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Ok(screen::screen(&status, has_colours))
    }
}

fn seconds(typed: &str) -> Result<f64, String> {
    let seconds: f64 = typed.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0.1 to 86400 seconds".to_owned())
    }
}

/// The cursor to the top, and nothing left below it.
const CLEAR: &str = "\x1b[H\x1b[2J";
