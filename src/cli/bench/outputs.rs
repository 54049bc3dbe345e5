//! Where a run's figures go: the table on stdout, and the files that were asked for.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Bench, Mistake, say};
use crate::bench::{
    Audience, Course, Ended, Manifest, Noise, Plan, Progress, Report, Step, StepError, json,
    picture, run,
};
use crate::cli::Exit;

/// What was asked for.
pub(super) struct Outputs<'a> {
    json: Option<File>,
    svg: Option<File>,
    hgrm: Option<&'a Path>,
    loss_max: Option<f64>,
    progress: Progress,
    /// The figures of all runs so far, as they stand in the JSON file.
    lines: String,
    runs: usize,
}

impl<'a> Outputs<'a> {
    /// Creates the files now: a path that is wrong is known before the run.
    pub(super) fn create(bench: &'a Bench) -> Result<Self, Mistake> {
        let created = |option, path: Option<&Path>| {
            let file = path.map(File::create).transpose();
            file.map_err(|error| unwritten(option, &error))
        };
        let (svg, hgrm) = (bench.svg.as_deref(), bench.hgrm.as_deref());
        for (option, path) in [("svg", svg), ("hgrm", hgrm)] {
            if path.is_some_and(|path| path.as_os_str() == "-") {
                let taken = "the table is on stdout; expected a file";
                return Err((format!("--{option} -: {taken}"), Exit::Usage));
            }
        }
        if let Some(folder) = hgrm.and_then(Path::parent)
            && let Err(error) = std::fs::read_dir(folder_or_here(folder))
        {
            return Err(unwritten("hgrm", &error));
        }
        Ok(Self {
            json: created("json", bench.json.as_deref())?,
            svg: created("svg", svg)?,
            hgrm,
            loss_max: bench.loss.map(|percent| percent / 100.0),
            progress: Progress::start(bench.quiet),
            lines: String::new(),
            runs: 0,
        })
    }

    /// One run of the plan, told as it goes.
    pub(super) fn course(
        &mut self,
        plan: &Plan,
        server: &str,
        label: &str,
    ) -> Result<Exit, Mistake> {
        let (report, loss_max) = (Report::new(plan), self.loss_max);
        self.runs += 1;
        say(&report.head(server));
        let mut running = Running {
            manifest: Manifest::read(plan.target),
            noise: Noise::new(loss_max),
            steps: Vec::new(),
            mistake: None,
            outputs: self,
            report: &report,
            plan,
            label,
        };
        let ended = run(plan, loss_max, &mut running);
        let Running {
            noise,
            steps,
            mistake,
            ..
        } = running;
        self.progress.step_ended();
        if let Some(mistake) = mistake {
            return Err(mistake);
        }
        let ended = ended.map_err(|error: StepError| (error.to_string(), Exit::Failure))?;
        say(&report.stamps(&steps));
        say(&report.end(ended));
        if matches!(plan.course, Course::Knee(_)) {
            say(&noise.verdict());
        }
        Ok(match ended {
            Ended::Held => Exit::Success,
            Ended::Knee(rate) if rate > 0.0 => Exit::Success,
            Ended::Broken | Ended::Knee(_) => Exit::Failure,
            Ended::NotDriven(_) | Ended::AtLeast(_) => Exit::Usage,
        })
    }

    /// Draws all that was run.
    pub(super) fn finish(self) -> Result<(), Mistake> {
        let Some(mut file) = self.svg else {
            return Ok(());
        };
        let drawn = json::dots("this run", &self.lines);
        let dots = drawn.map_err(|error| (error.to_string(), Exit::Failure))?;
        file.write_all(picture::draw(&dots).as_bytes())
            .map_err(|error| unwritten("svg", &error))
    }
}

/// Follows one run.
struct Running<'a, 'o> {
    outputs: &'a mut Outputs<'o>,
    report: &'a Report<'a>,
    plan: &'a Plan,
    label: &'a str,
    manifest: Manifest,
    noise: Noise,
    steps: Vec<Step>,
    /// The first file that could not be written.
    mistake: Option<Mistake>,
}

impl Audience for Running<'_, '_> {
    fn begins(&mut self, rate: Option<f64>) {
        let length = self.plan.warm_up + self.plan.duration;
        self.outputs.progress.step_begins(rate, length);
    }

    fn ended(&mut self, step: &Step) {
        self.outputs.progress.step_ended();
        self.noise.add(step);
        say(&self.report.line(step));
        say(&self.report.details(step));
        let object = json::object(self.label, &self.manifest, self.plan, step);
        let line = format!("{object}\n");
        if let Some(file) = &mut self.outputs.json
            && let Err(error) = file.write_all(line.as_bytes())
        {
            self.mistake.get_or_insert(unwritten("json", &error));
        }
        if self.outputs.svg.is_some() {
            self.outputs.lines += &line;
        }
        if let Some(file) = self.outputs.hgrm {
            let run = (self.outputs.runs > 1).then_some(self.label);
            let file = histogram_file(file, run, self.plan.course, step.offered);
            if let Err(error) = std::fs::write(file, &step.latency_distribution) {
                self.mistake.get_or_insert(unwritten("hgrm", &error));
            }
        }
        self.steps.push(step.clone());
    }
}

/// The file itself where there is one step of one run; else one with a later run's label and the rate before its
/// extension: `a.null.20000.hgrm`.
fn histogram_file(file: &Path, run: Option<&str>, course: Course, offered: Option<f64>) -> PathBuf {
    let rate = match (course, offered) {
        (Course::One(_), _) | (_, None) => None,
        (_, Some(rate)) => Some(format!("{rate:.0}")),
    };
    let extension = file
        .extension()
        .map(|extension| extension.to_string_lossy().into_owned());
    let parts: Vec<String> = [run.map(str::to_owned), rate, extension]
        .into_iter()
        .flatten()
        .collect();
    file.with_extension(parts.join("."))
}

/// A file that is named without a folder is here.
fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

fn unwritten(option: &str, error: &std::io::Error) -> Mistake {
    (format!("--{option}: {error}"), Exit::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Ladder;

    #[test]
    fn each_step_of_each_run_has_a_histogram_of_its_own() {
        let ladder = Course::Ladder(Ladder {
            from: 1e3,
            to: 1e4,
            factor: 10.0,
        });
        let named = |file: &str, run, course, offered| {
            histogram_file(Path::new(file), run, course, offered)
                .display()
                .to_string()
        };
        let one = Course::One(1e3);
        assert_eq!(named("x/a.hgrm", None, one, Some(1e3)), "x/a.hgrm");
        assert_eq!(named("a", None, one, None), "a");
        assert_eq!(named("a.hgrm", Some("null"), one, None), "a.null.hgrm");
        assert_eq!(named("a.b.hgrm", None, ladder, Some(1e4)), "a.b.10000.hgrm");
        assert_eq!(named("a", Some("null"), ladder, Some(1e4)), "a.null.10000");
    }
}
