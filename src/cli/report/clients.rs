//! `clients`, in chronyc's letters.

use serde_json::{Value, json};

use super::Failure;
use super::ask::Ask;
use super::figures::{age, bits};
use super::names::Name;
use super::session::{self, Session};
use super::sheet::Sheet;
use crate::cli::Exit;
use crate::control::{Accesses, CLIENTS_PER_PAGE, ClientReport, ClientsQuestion, Question, Reply};

/// Who asked, and how often.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Clients {
    /// Only clients with at least so many requests.
    #[arg(short = 'p', value_name = "PACKETS", default_value_t = 0)]
    packets: u32,
    /// Key exchanges of NTS in place of chronyc's requests.
    #[arg(short = 'k')]
    key_exchanges: bool,
    /// Begin to count anew.
    #[arg(short = 'r')]
    reset: bool,
    /// Ask at this UDP port [default: 323]. -p is another thing here.
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    ask: Ask,
}

impl Clients {
    pub(super) fn run(self) -> Exit {
        session::run("clients", &self.ask, self.port, |session| {
            self.report(session)
        })
    }

    fn report(&self, session: &mut Session) -> Result<(), Failure> {
        let title = if self.key_exchanges {
            "Hostname                      NTP   Drop Int IntL Last  NTS-KE   Drop Int  Last"
        } else {
            "Hostname                      NTP   Drop Int IntL Last     Cmd   Drop Int  Last"
        };
        session.begin_list();
        session.sheet.title(title);
        let mut first = 0;
        loop {
            let question = ClientsQuestion {
                first,
                count: u32::try_from(CLIENTS_PER_PAGE).unwrap_or(u32::MAX),
                hits_min: self.packets,
                resets: self.reset,
            };
            let Reply::Clients(page) = session.ask(Question::Clients(question))?.reply else {
                return Err(Failure::Astray);
            };
            for client in page.clients {
                let name = session.host_name(client.address);
                session.record(
                    |sheet| self.write(sheet, &client, &name),
                    || value(&client, &name),
                );
            }
            // A daemon that does not go on must not be asked forever.
            if page.next >= page.places || page.next <= first {
                return Ok(());
            }
            first = page.next;
        }
    }

    fn write(&self, sheet: &mut Sheet, client: &ClientReport, name: &Name) {
        let other = if self.key_exchanges {
            client.nke
        } else {
            client.command
        };
        let ntp = client.ntp;
        sheet
            .field(name.column(25), &name.text)
            .field(format_args!("  {:6}", ntp.hits), ntp.hits)
            .field(format_args!("  {:5}", ntp.drops), ntp.drops);
        write_interval(sheet, ntp.interval);
        write_interval(sheet, client.ntp_interval_unanswered);
        sheet
            .field(format_args!("  {}", age(ntp.age_s)), bits(ntp.age_s))
            .field(format_args!("  {:6}", other.hits), other.hits)
            .field(format_args!("  {:5}", other.drops), other.drops);
        write_interval(sheet, other.interval);
        sheet
            .field(format_args!("  {}", age(other.age_s)), bits(other.age_s))
            .end();
    }
}

fn write_interval(sheet: &mut Sheet, interval: Option<i8>) {
    match interval {
        Some(log2_s) => sheet.field(format_args!(" {log2_s:3}"), log2_s),
        None => sheet.field("   -", i8::MAX),
    };
}

fn value(client: &ClientReport, name: &Name) -> Value {
    json!({
        "name": name.text,
        "address": client.address.to_string(),
        "ntp": accesses(client.ntp),
        "ntp_interval_unanswered_log2_s": client.ntp_interval_unanswered,
        "nts_ke": accesses(client.nke),
        "command": accesses(client.command),
    })
}

fn accesses(accesses: Accesses) -> Value {
    json!({
        "hits": accesses.hits,
        "drops": accesses.drops,
        "interval_log2_s": accesses.interval,
        "last_age_s": accesses.age_s,
    })
}
