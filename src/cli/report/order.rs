//! `maser order`: chronyc's orders in chronyc's words (chronyc(1)).

use serde_json::json;

use super::Failure;
use super::ask::{Ask, Port, source};
use super::session::{self, Session};
use crate::cli::Exit;
use crate::config::subnet;
use crate::control::{
    AccessOrder, LocalOrder, Matching, Order as Command, Question, Reply, Request, SourceAddress,
    Whom,
};
use crate::server::Subnet;

/// Order the daemon to do something, in chronyc's words.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(in crate::cli) struct Order {
    /// What to do.
    #[arg(required = true, value_name = "WORD", allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    port: Port,
}

impl Order {
    pub(in crate::cli) fn run(&self) -> Exit {
        session::run("order", &self.ask, self.port.number(), |session| {
            let words: Vec<&str> = self.words.iter().flat_map(|word| word.split(' ')).collect();
            let request = read(&words).map_err(Failure::Argument)?;
            give(session, &request)
        })
    }
}

fn give(session: &mut Session, request: &Request) -> Result<(), Failure> {
    let (line, value) = match session.request(request)?.reply {
        Reply::Done => ("200 OK", json!({ "done": true })),
        Reply::Access(true) => ("208 Access allowed", json!({ "access_allowed": true })),
        Reply::Access(false) => ("209 Access denied", json!({ "access_allowed": false })),
        _ => return Err(Failure::Astray),
    };
    session.record(
        |sheet| {
            sheet.both(line).end();
        },
        || value,
    );
    Ok(())
}

/// One order: its words, what may follow, how that is read.
struct Row {
    words: &'static str,
    arguments: &'static str,
    read: fn(&[&str]) -> Result<Request, String>,
}

const fn row(
    words: &'static str,
    arguments: &'static str,
    read: fn(&[&str]) -> Result<Request, String>,
) -> Row {
    Row {
        words,
        arguments,
        read,
    }
}

/// Those of two words stand before those of their first.
const ROWS: [Row; 42] = [
    row("online", "[[MASK/]ADDRESS]", |w| {
        Ok(Request::Do(Command::Online(matching(w)?)))
    }),
    row("offline", "[[MASK/]ADDRESS]", |w| {
        Ok(Request::Do(Command::Offline(matching(w)?)))
    }),
    row("onoffline", "", |w| bare(w, Command::OnOffline)),
    row("burst", "GOOD/MOST [[MASK/]ADDRESS]", burst),
    row("minpoll", "ADDRESS POLL", |w| whole(w, Command::MinPoll)),
    row("maxpoll", "ADDRESS POLL", |w| whole(w, Command::MaxPoll)),
    row("maxdelay", "ADDRESS SECONDS", |w| {
        real(w, Command::MaxDelay)
    }),
    row("maxdelayratio", "ADDRESS RATIO", |w| {
        real(w, Command::MaxDelayRatio)
    }),
    row("maxdelaydevratio", "ADDRESS RATIO", |w| {
        real(w, Command::MaxDelayDevRatio)
    }),
    row("minstratum", "ADDRESS STRATUM", |w| {
        whole(w, Command::MinStratum)
    }),
    row("polltarget", "ADDRESS SAMPLES", |w| {
        whole(w, Command::PollTarget)
    }),
    row("offset", "ADDRESS SECONDS", |w| real(w, Command::Offset)),
    row("delete", "ADDRESS", |w| {
        Ok(Request::Do(Command::DeleteSource(address(w)?)))
    }),
    row("refresh", "", |w| bare(w, Command::Refresh)),
    row("reload sources", "", |w| bare(w, Command::ReloadSources)),
    row("reset sources", "", |w| bare(w, Command::ResetSources)),
    row("reselect", "", |w| bare(w, Command::Reselect)),
    row("reselectdist", "SECONDS", |w| {
        Ok(Request::Do(Command::ReselectDistance(number(w)?)))
    }),
    row("makestep", "[THRESHOLD UPDATES]", makestep),
    row("maxupdateskew", "PPM", |w| {
        Ok(Request::Do(Command::MaxUpdateSkew(number(w)?)))
    }),
    row("manual on", "", |w| bare(w, Command::Manual(1))),
    row("manual off", "", |w| bare(w, Command::Manual(0))),
    row("manual reset", "", |w| bare(w, Command::Manual(2))),
    row("manual delete", "PLACE", |w| {
        Ok(Request::Do(Command::ManualDelete(number(w)?)))
    }),
    row("smoothtime reset", "", |w| bare(w, Command::SmoothTime(0))),
    row("smoothtime activate", "", |w| {
        bare(w, Command::SmoothTime(1))
    }),
    row("local off", "", |w| {
        bare(w, Command::Local(LocalOrder::default()))
    }),
    row(
        "local",
        "[stratum N] [distance SECONDS] [orphan] [activate SECONDS]",
        local,
    ),
    row("allow", "[all] [SUBNET]", |w| access(w, Whom::Ntp, true)),
    row("deny", "[all] [SUBNET]", |w| access(w, Whom::Ntp, false)),
    row("cmdallow", "[all] [SUBNET]", |w| {
        access(w, Whom::Command, true)
    }),
    row("cmddeny", "[all] [SUBNET]", |w| {
        access(w, Whom::Command, false)
    }),
    row("accheck", "ADDRESS", |w| {
        Ok(Request::Ask(Question::Access(Whom::Ntp, address(w)?)))
    }),
    row("cmdaccheck", "ADDRESS", |w| {
        Ok(Request::Ask(Question::Access(Whom::Command, address(w)?)))
    }),
    row("dfreq", "PPM", |w| {
        Ok(Request::Do(Command::ChangeFrequency(number(w)?)))
    }),
    row("doffset", "SECONDS", |w| {
        Ok(Request::Do(Command::ChangeOffset(number(w)?)))
    }),
    row("trimrtc", "", |w| bare(w, Command::TrimRtc)),
    row("writertc", "", |w| bare(w, Command::WriteRtc)),
    row("rekey", "", |w| bare(w, Command::Rekey)),
    row("dump", "", |w| bare(w, Command::Dump)),
    row("cyclelogs", "", |w| bare(w, Command::CycleLogs)),
    row("shutdown", "", |w| bare(w, Command::Shutdown)),
];

fn help() -> String {
    let lines = ROWS.map(|row| {
        format!("  {} {}", row.words, row.arguments)
            .trim_end()
            .to_owned()
    });
    format!("Orders:\n{}", lines.join("\n"))
}

fn read(words: &[&str]) -> Result<Request, String> {
    let begins = |row: &&Row| {
        let own: Vec<&str> = row.words.split(' ').collect();
        words.starts_with(&own)
    };
    let Some(row) = ROWS.iter().find(begins) else {
        return Err(format!(
            "{}: no such order; see maser order --help",
            words.join(" ")
        ));
    };
    let rest = &words[row.words.split(' ').count()..];
    (row.read)(rest).map_err(|why| {
        let usage = format!("{} {}", row.words, row.arguments);
        format!("{why}; expected {}", usage.trim_end())
    })
}

fn bare(words: &[&str], order: Command) -> Result<Request, String> {
    match words {
        [] => Ok(Request::Do(order)),
        [word, ..] => Err(format!("{word} is one word too many")),
    }
}

fn number<T: std::str::FromStr>(words: &[&str]) -> Result<T, String> {
    match words {
        [word] => word
            .parse()
            .map_err(|_| format!("{word} is no number here")),
        _ => Err("one number is needed".to_owned()),
    }
}

fn address(words: &[&str]) -> Result<SourceAddress, String> {
    match words {
        [word] => source(word).map_err(|error| error.to_string()),
        _ => Err("one address is needed".to_owned()),
    }
}

fn whole(words: &[&str], order: fn(SourceAddress, i32) -> Command) -> Result<Request, String> {
    let (first, rest) = words.split_at(words.len().min(1));
    Ok(Request::Do(order(address(first)?, number(rest)?)))
}

fn real(words: &[&str], order: fn(SourceAddress, f64) -> Command) -> Result<Request, String> {
    let (first, rest) = words.split_at(words.len().min(1));
    Ok(Request::Do(order(address(first)?, number(rest)?)))
}

/// Every source; one; or those whose bits under a mask are so.
fn matching(words: &[&str]) -> Result<Matching, String> {
    let [word] = words else {
        return match words {
            [] => Ok(Matching::default()),
            _ => Err("one address is enough".to_owned()),
        };
    };
    let parse = |text: &str| match text.parse() {
        Ok(ip) => Ok(SourceAddress::Ip(ip)),
        Err(_) => Err(format!("{text} is no address")),
    };
    if let Some((mask, address)) = word.split_once('/') {
        return Ok(Matching {
            mask: parse(mask)?,
            address: parse(address)?,
        });
    }
    let address = address(&[word])?;
    let mask = match address {
        SourceAddress::Ip(ip) if ip.is_ipv4() => parse("255.255.255.255")?,
        SourceAddress::Unresolved(_) => SourceAddress::Unresolved(u32::MAX),
        _ => parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")?,
    };
    Ok(Matching { mask, address })
}

fn burst(words: &[&str]) -> Result<Request, String> {
    let (counts, rest) = words.split_first().ok_or("the counts are missing")?;
    let (good, most) = counts.split_once('/').ok_or("two counts are needed")?;
    let order = Command::Burst(matching(rest)?, number(&[good])?, number(&[most])?);
    Ok(Request::Do(order))
}

fn makestep(words: &[&str]) -> Result<Request, String> {
    Ok(Request::Do(match words {
        [] => Command::MakeStep,
        [threshold, updates] => Command::ModifyMakeStep(number(&[updates])?, number(&[threshold])?),
        _ => return Err("two numbers or none are needed".to_owned()),
    }))
}

fn access(words: &[&str], whom: Whom, allow: bool) -> Result<Request, String> {
    let (all, rest) = match words {
        ["all", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let subnet = match rest {
        [] => Subnet::Any,
        [word] => subnet(word).ok_or_else(|| format!("{word} is no subnet"))?,
        _ => return Err("one subnet is enough".to_owned()),
    };
    Ok(Request::Do(Command::Access(AccessOrder {
        whom,
        allow,
        all,
        subnet,
    })))
}

/// Values that are left out are chrony's.
fn local(words: &[&str]) -> Result<Request, String> {
    let mut order = LocalOrder {
        on: true,
        stratum: 10,
        distance_s: 1.0,
        ..LocalOrder::default()
    };
    let mut rest = words;
    while let [word, after @ ..] = rest {
        if *word == "orphan" {
            order.orphan = true;
            rest = after;
            continue;
        }
        let (value, behind) = after
            .split_first()
            .ok_or(format!("{word}: a number is missing"))?;
        match *word {
            "stratum" => order.stratum = number(&[value])?,
            "distance" => order.distance_s = number(&[value])?,
            "activate" => order.activate_s = number(&[value])?,
            other => return Err(format!("{other} is no option")),
        }
        rest = behind;
    }
    Ok(Request::Do(Command::Local(order)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_understood_is_named() {
        for (typed, part) in [
            ("fly", "no such order"),
            ("reload", "no such order"),
            ("dump now", "one word too many; expected dump"),
            ("minpoll 192.0.2.1", "expected minpoll ADDRESS POLL"),
            ("burst 4 192.0.2.1", "expected burst GOOD/MOST"),
            ("allow 192.0.2.0/33", "no subnet"),
            ("local stratum", "a number is missing"),
        ] {
            let words: Vec<&str> = typed.split(' ').collect();
            let told = read(&words).expect_err(typed);
            assert!(told.contains(part), "{typed}: {told}");
        }
    }

    #[test]
    fn every_row_has_words_of_its_own() {
        for row in &ROWS {
            let words: Vec<&str> = row.words.split(' ').collect();
            let found = ROWS
                .iter()
                .find(|other| words.starts_with(&other.words.split(' ').collect::<Vec<_>>()));
            assert!(
                found.is_some_and(|found| found.words == row.words),
                "{}",
                row.words
            );
        }
    }

    proptest! {
        #[test]
        fn any_words_are_taken(at in 0..ROWS.len(), rest in prop::collection::vec("[a-z0-9./:]{0,8}", 0..4)) {
            let own = ROWS[at].words.split(' ');
            let words: Vec<&str> = own.chain(rest.iter().map(String::as_str)).collect();
            // Names would be looked up.
            let has_names = rest.iter().any(|word| word.contains(|c: char| c.is_ascii_lowercase()));
            if !has_names {
                let _ = read(&words);
            }
        }
    }
}
