//! One report from the first question to what is printed.

use serde_json::Value;

use super::Failure;
use super::ask::Ask;
use super::names::{Name, Names};
use super::sheet::{Form, Sheet};
use crate::cli::{Exit, complain, print};
use crate::control::{Question, Reply, Request, SourceAddress, Status};
use crate::node::{Answer, AskError, ControlClient};

/// What a report asks, and what it has come to so far.
pub(super) struct Session {
    client: ControlClient,
    names: Names,
    form: Form,
    /// For people and as comma-separated values.
    pub(super) sheet: Sheet,
    /// As JSON.
    values: Vec<Value>,
    is_list: bool,
}

/// Makes a report and prints it; nothing of it where something fails.
pub(super) fn run(
    name: &str,
    ask: &Ask,
    port: Option<u16>,
    report: impl FnOnce(&mut Session) -> Result<(), Failure>,
) -> Exit {
    let made = ask.client(port).and_then(|client| {
        let mut session = Session {
            client,
            names: ask.names(),
            form: ask.form(),
            sheet: Sheet::new(ask.form()),
            values: Vec::new(),
            is_list: false,
        };
        report(&mut session).map(|()| session.into_text())
    });
    match made {
        Ok(text) if text.is_empty() => Exit::Success,
        Ok(text) => print(&text),
        Err(failure) => {
            let advice = advice(&failure, name);
            complain(&format!("maser {name}: {failure}{advice}"), exit(&failure))
        }
    }
}

impl Session {
    /// Asks.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) fn ask(&mut self, question: Question) -> Result<Answer, AskError> {
        self.client.ask(&Request::Ask(question))
    }

    /// Has something done.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    pub(super) fn request(&mut self, request: &Request) -> Result<Answer, AskError> {
        self.client.ask(request)
    }

    /// Asks for each source; those that went away meanwhile are left out.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) fn each_source(
        &mut self,
        question: fn(u32) -> Question,
    ) -> Result<Vec<Reply>, Failure> {
        let Reply::SourceCount(count) = self.ask(Question::SourceCount)?.reply else {
            return Err(Failure::Astray);
        };
        let mut replies = Vec::new();
        for place in 0..count {
            match self.ask(question(place)) {
                Ok(answer) => replies.push(answer.reply),
                Err(error) if error.status() == Some(Status::NoSuchSource) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(replies)
    }

    /// What a source is called.
    pub(super) fn source_name(&mut self, source: SourceAddress) -> Name {
        self.names.source(&mut self.client, source)
    }

    /// What a host that is no source is called.
    pub(super) fn host_name(&mut self, ip: std::net::IpAddr) -> Name {
        self.names.host(ip)
    }

    pub(super) const fn is_json(&self) -> bool {
        matches!(self.form, Form::Json)
    }

    /// The JSON value is a list, even of one or none.
    pub(super) const fn begin_list(&mut self) {
        self.is_list = true;
    }

    /// One record.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut Sheet), value: impl FnOnce() -> Value) {
        if self.form == Form::Json {
            self.values.push(value());
        } else {
            write(&mut self.sheet);
        }
    }

    fn into_text(mut self) -> String {
        if self.form != Form::Json {
            return self.sheet.into_text();
        }
        // What has printed its lines itself has nothing left.
        if !self.is_list && self.values.is_empty() {
            return String::new();
        }
        let value = if self.is_list {
            Value::Array(self.values)
        } else {
            self.values.pop().unwrap_or_default()
        };
        format!("{value:#}\n")
    }
}

/// What to do about it.
fn advice(failure: &Failure, name: &str) -> &'static str {
    match failure {
        Failure::Unanswered(AskError::Silent(_)) => {
            "\nIs a node running? -h names another host or the path of its socket, -p its cmdport."
        }
        Failure::Unanswered(AskError::Refused {
            status: Status::Unauthorised,
            ..
        }) if name == "order" => {
            "\nOrders are taken on its own machine, as its user or root, by its socket: -h /run/maser/maser.sock."
        }
        Failure::Unanswered(AskError::Refused {
            status: Status::Unauthorised,
            ..
        }) => {
            "\nAsk on its own machine as its user or root, by its socket (-h /run/maser/maser.sock), or add the report \
             to the node's `opencommands`."
        }
        Failure::Unanswered(AskError::Refused {
            status: Status::NotEnabled,
            ..
        }) => "\nThe node's configuration does not have it.",
        _ => "",
    }
}

const fn exit(failure: &Failure) -> Exit {
    match failure {
        Failure::Argument(_) => Exit::Usage,
        _ => Exit::Failure,
    }
}
