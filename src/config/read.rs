//! From files or arguments to statements: the first stage, which follows `include` and its like.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::default::EMBEDDED;
use super::directive::{self, Directive, Row, SourcesLine};
use super::error::{At, ConfigError, Fault, Notice, Place};
use super::line::{self, LINE_LEN_MAX, Word};
use super::{Origin, Outside, SourceDirectories, glob};
use crate::discipline::SourceSpec;

/// A line that was understood.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) place: Place,
    /// Where its first word starts.
    pub(super) column: usize,
    pub(super) row: &'static Row,
    pub(super) directive: Directive,
    /// Its words as typed, one blank between them.
    pub(super) text: String,
}

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) statements: Vec<Statement>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) notices: Vec<Notice>,
}

/// Reads all lines from the origin on, in the order in which chrony would.
pub(super) fn read(origin: Origin<'_>, outside: &dyn Outside) -> Read {
    let mut reader = Reader {
        outside,
        read: Read::default(),
        depth: 0,
        too_deep: false,
    };
    match origin {
        Origin::File(path) => {
            let place = Place::File(path.into());
            reader.file(path, &Source::whole(place));
        }
        Origin::Arguments(lines) => {
            for (at, line) in lines.iter().enumerate() {
                reader.line(Place::Argument(at + 1), line.as_bytes());
            }
        }
        Origin::EmbeddedDefault => {
            reader.text(&Path::new("embedded default").into(), EMBEDDED.as_bytes());
        }
    }
    reader.read
}

/// What the files of a `sourcedir` line name now.
pub(super) fn sources(
    directories: &[PathBuf],
    outside: &dyn Outside,
) -> (Vec<SourceSpec>, Vec<Notice>) {
    let mut reader = Reader {
        outside,
        read: Read::default(),
        depth: 0,
        too_deep: false,
    };
    let first = directories.first().map_or(Path::new(""), PathBuf::as_path);
    let source = Source {
        directive: "sourcedir",
        ..Source::whole(Place::File(first.into()))
    };
    let specs = reader.sources(directories, &source);
    let mut notices = reader.read.notices;
    notices.extend(reader.read.errors.into_iter().map(|error| Notice {
        place: error.place,
        directive: error.directive,
        text: format!("{}; skipped", error.fault),
    }));
    (specs, notices)
}

/// What leads to a file: a line, or the command line.
struct Source {
    place: Place,
    column: usize,
    directive: &'static str,
}

impl Source {
    fn whole(place: Place) -> Self {
        Self {
            place,
            column: 1,
            directive: "",
        }
    }

    fn error(&self, fault: Fault) -> ConfigError {
        ConfigError {
            place: self.place.clone(),
            column: self.column,
            directive: self.directive.to_owned(),
            fault,
        }
    }

    fn unreachable(&self, path: &Path, error: &io::Error) -> ConfigError {
        self.error(Fault::Unreachable {
            action: format!("read {}", path.display()),
            reason: error.to_string(),
        })
    }
}

struct Reader<'a> {
    outside: &'a dyn Outside,
    read: Read,
    /// Files that are open at the moment, each included by the one before.
    depth: usize,
    /// Files that include each other branch without end, so the first mistake of the kind ends it all.
    too_deep: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, source: &Source) {
        if self.depth == FILES_DEPTH_MAX || self.too_deep {
            if !self.too_deep {
                let error = source.error(Fault::TooDeep(FILES_DEPTH_MAX));
                self.read.errors.push(error);
            }
            self.too_deep = true;
            return;
        }
        match self.outside.read(path) {
            Ok(text) => {
                self.depth += 1;
                self.text(&path.into(), &text);
                self.depth -= 1;
            }
            Err(error) => self.read.errors.push(source.unreachable(path, &error)),
        }
    }

    fn text(&mut self, file: &Arc<Path>, text: &[u8]) {
        for (at, (line, _)) in line::lines(text).enumerate() {
            if self.too_deep {
                return;
            }
            self.line(Place::Line(Arc::clone(file), at + 1), line);
        }
    }

    fn line(&mut self, place: Place, line: &[u8]) {
        if line::is_comment(line) {
            return;
        }
        let text = match text_of(line) {
            Ok(text) => text,
            Err(fault) => {
                self.read.errors.push(Source::whole(place).error(fault));
                return;
            }
        };
        let words = line::words(text);
        match directive::parse(&words) {
            Ok((row, directive)) => {
                let column = words[0].column;
                let source = Source {
                    place,
                    column,
                    directive: row.name,
                };
                self.statement(source, row, directive, &words);
            }
            Err(At { column, fault }) => self.read.errors.push(ConfigError {
                place,
                column,
                directive: words[0].text.to_owned(),
                fault,
            }),
        }
    }

    fn statement(
        &mut self,
        source: Source,
        row: &'static Row,
        directive: Directive,
        words: &[Word<'_>],
    ) {
        let directive = match directive {
            Directive::Include(pattern) => return self.include(&pattern, &source),
            Directive::Confdir(directories) => {
                for file in self.files(&directories, ".conf", &source) {
                    self.file(&file, &source);
                }
                return;
            }
            Directive::Sourcedir(found) => Directive::Sourcedir(SourceDirectories {
                sources: self.sources(&found.directories, &source),
                ..found
            }),
            other => other,
        };
        let texts: Vec<_> = words.iter().map(|word| word.text).collect();
        self.read.statements.push(Statement {
            place: source.place,
            column: source.column,
            row,
            directive,
            text: texts.join(" "),
        });
    }

    fn include(&mut self, pattern: &str, source: &Source) {
        if !glob::is_pattern(pattern) {
            return self.file(Path::new(pattern), source);
        }
        match glob::expand(pattern, self.outside) {
            Ok(files) => files.iter().for_each(|file| self.file(file, source)),
            Err(error) => {
                let error = source.unreachable(Path::new(pattern), &error);
                self.read.errors.push(error);
            }
        }
    }

    /// The files of some directories whose names end so, sorted by name over all of them. Of two that
    /// have the same name the one in the earlier directory counts.
    fn files(&mut self, directories: &[PathBuf], ending: &str, source: &Source) -> Vec<PathBuf> {
        let pattern = format!("*{ending}");
        let mut files = BTreeMap::new();
        for directory in directories {
            let paths = match self.outside.list(directory) {
                Ok(paths) => paths,
                Err(error) if glob::is_absent(&error) => continue,
                Err(error) => {
                    let error = source.unreachable(directory, &error);
                    self.read.errors.push(error);
                    continue;
                }
            };
            for path in paths {
                if let Some(name) = path.file_name()
                    && glob::matches(&pattern, &name.to_string_lossy())
                {
                    files.entry(name.to_owned()).or_insert(path);
                }
            }
        }
        files.into_values().collect()
    }

    /// What the files of `sourcedir` name.
    fn sources(&mut self, directories: &[PathBuf], source: &Source) -> Vec<SourceSpec> {
        let mut specs = Vec::new();
        for file in self.files(directories, ".sources", source) {
            match self.outside.read(&file) {
                Ok(text) => self.source_file(&file, &text, &mut specs),
                Err(error) => {
                    let text = format!("cannot read {}: {error}; skipped", file.display());
                    self.notice(source.place.clone(), source.directive, text);
                }
            }
        }
        specs
    }

    /// A file of `sourcedir`, in which a mistake costs one line only and is said, not refused.
    fn source_file(&mut self, path: &Path, text: &[u8], specs: &mut Vec<SourceSpec>) {
        let file: Arc<Path> = path.into();
        for (at, (line, ended)) in line::lines(text).enumerate() {
            // A line without its end is one that is being written.
            if !ended || line::is_comment(line) {
                continue;
            }
            let place = Place::Line(Arc::clone(&file), at + 1);
            let words = match text_of(line) {
                Ok(text) => line::words(text),
                Err(fault) => {
                    self.notice(place, "", format!("{fault}; skipped"));
                    continue;
                }
            };
            let name = words[0].text;
            match directive::parse(&words) {
                Ok((_, Directive::Sources(SourcesLine::Source(spec)))) => specs.push(spec),
                Ok(_) => {
                    let text = "expected server or pool or peer; skipped".to_owned();
                    self.notice(place, name, text);
                }
                Err(at) => self.notice(place, name, format!("{}; skipped", at.fault)),
            }
        }
    }

    fn notice(&mut self, place: Place, directive: &str, text: String) {
        let directive = directive.to_owned();
        self.read.notices.push(Notice {
            place,
            directive,
            text,
        });
    }
}

fn text_of(line: &[u8]) -> Result<&str, Fault> {
    if line.len() > LINE_LEN_MAX {
        return Err(Fault::TooLong(line.len()));
    }
    core::str::from_utf8(line).map_err(|_| Fault::NotText)
}

/// chrony's limit of files that include each other, the first one counted.
const FILES_DEPTH_MAX: usize = 10;
