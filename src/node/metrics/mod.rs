//! What others may see of the node over HTTP: figures for Prometheus, health for balancers, a page for a browser.
//!
//! Spoken in the timekeeper's loop, and never waited for: at the address of `metrics`, and always at `http.sock` beside
//! the socket for chronyc. Who asks changes nothing and is not logged.
//!
//! | path | says |
//! |---|---|
//! | `/` | the page |
//! | `/metrics` | the exposition |
//! | `/status.json` | the same for a status screen; `status.rs` has its fields |
//! | `/healthz` | 200 while the program lives |
//! | `/readyz` | 200 while clients should be sent here, else 503; in words why |

mod about;
mod connections;
mod exposition;
mod figures;
mod health;
pub mod http;
mod page;
mod rates;
mod status;
mod view;
mod words;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::about::About;
use self::connections::Connections;
use self::health::{Readiness, why_not_synchronised};
use self::http::{Request, Response, Status};
use self::page::Page;
use self::rates::{Rates, Reading};
use self::view::View;
use super::command;
use super::responders::Queues;
use crate::config::{CommandConfig, Config};
use crate::sys::clock;

pub(super) use self::view::Lent;

/// All that is kept for those who ask.
pub(super) struct Metrics {
    connections: Connections,
    /// There may be more to do than the last turn did.
    has_more: bool,
    site: Site,
}

/// What is answered, apart from whom.
struct Site {
    about: About,
    queues: Option<Arc<Queues>>,
    rates: Rates,
    page: Page,
    /// Long answers that may still be given in this second.
    answers_left: u32,
}

impl Metrics {
    /// Opens what can be opened; what cannot is told, and the node goes on without.
    ///
    /// # Errors
    /// The system gives no epoll.
    pub(super) fn open(config: &Config) -> io::Result<Self> {
        let mut connections = Connections::new()?;
        if let Some(address) = config.monitoring.address {
            match connections.listen(address) {
                Ok(()) => log::info!("metrics: http://{address}/"),
                Err(error) => log::error!("metrics {address}: {error}: nobody can look there"),
            }
        }
        if let Some(path) = local_path(&config.command)
            && let Err(error) = listen_locally(&mut connections, &path, config)
        {
            let is_usual = config.command.path == CommandConfig::default().path;
            // Not everybody has a folder for it.
            let level = if is_usual {
                log::Level::Debug
            } else {
                log::Level::Warn
            };
            log::log!(level, "http: {}: {error}", path.display());
        }
        Ok(Self {
            connections,
            has_more: false,
            site: Site {
                about: About::new(config),
                queues: None,
                rates: Rates::default(),
                page: Page::new(),
                answers_left: ANSWERS_MAX,
            },
        })
    }

    /// Those who serve have begun, at these addresses; the kernel's drops are asked of `queues`.
    pub(super) fn watch(&mut self, addresses: Vec<SocketAddr>, queues: Arc<Queues>) {
        self.site.about.addresses = addresses;
        self.site.queues = Some(queues);
    }

    /// When something is to be done though nothing comes, by the clock that never steps.
    pub(super) fn next_deadline(&self) -> u64 {
        if self.has_more {
            return 0;
        }
        let second = self.site.rates.next_deadline();
        let connections = self.connections.next_deadline();
        connections.map_or(second, |deadline| second.min(deadline))
    }

    /// Does what is due, and answers those who ask.
    pub(super) fn turn(&mut self, lent: Lent<'_>) {
        let now_ns = clock::monotonic_ns();
        let site = &mut self.site;
        if site.rates.next_deadline() <= now_ns {
            let (crew, queues) = (lent.commands.crew(), site.queues.as_deref());
            site.rates.add(Reading::of(crew, queues, now_ns));
            site.answers_left = ANSWERS_MAX;
        }
        self.has_more = self.connections.turn(now_ns, |asked| match asked {
            Ok(request) => site.answer(request, lent),
            Err(status) => Response::line(status, status.reason()),
        });
    }
}

impl AsRawFd for Metrics {
    /// Readable while somebody asks.
    fn as_raw_fd(&self) -> RawFd {
        self.connections.as_raw_fd()
    }
}

impl Site {
    fn answer(&mut self, request: Request<'_>, lent: Lent<'_>) -> Response {
        match request.path {
            "/healthz" => return Response::line(Status::Good, "alive"),
            "/readyz" => {
                let readiness = Readiness::of(lent, &self.about);
                let status = if readiness.is_ready {
                    Status::Good
                } else {
                    Status::Unavailable
                };
                return Response::line(status, readiness.why);
            }
            "/" | "/metrics" | "/status.json" => {}
            _ => return Response::line(Status::NotFound, PATHS),
        }
        // The clock must not wait for whoever asks for figures all the time.
        let Some(left) = self.answers_left.checked_sub(1) else {
            return Response::line(Status::Unavailable, "asked too often: again in a second");
        };
        self.answers_left = left;
        self.long_answer(request.path, lent)
    }

    fn long_answer(&self, path: &str, lent: Lent<'_>) -> Response {
        if path == "/" {
            return Response {
                status: Status::Good,
                content_type: "text/html; charset=utf-8",
                policy: Some(self.page.policy.clone()),
                body: Page::TEXT.to_owned(),
            };
        }
        let view = View::take(lent, &self.about, self.queues.as_deref(), &self.rates);
        let (content_type, body) = if path == "/metrics" {
            (exposition::CONTENT_TYPE, figures::text(&view))
        } else {
            let why_not = why_not_synchronised(lent);
            ("application/json", status::text(&view, why_not.as_deref()))
        };
        Response {
            status: Status::Good,
            content_type,
            policy: None,
            body,
        }
    }
}

/// Beside the socket for chronyc.
fn local_path(command: &CommandConfig) -> Option<PathBuf> {
    let path = command.path.as_deref()?;
    Some(path.with_file_name(LOCAL_NAME))
}

fn listen_locally(connections: &mut Connections, path: &Path, config: &Config) -> io::Result<()> {
    let owner = command::owner(config)?;
    connections.listen_locally(path, owner)
}

/// The socket's name in its folder.
const LOCAL_NAME: &str = "http.sock";
/// What there is.
const PATHS: &str = "there are /, /metrics, /status.json, /healthz and /readyz";
/// Long answers a second.
const ANSWERS_MAX: u32 = 100;
