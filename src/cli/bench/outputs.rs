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
    svg: Option<&'a Path>,
    hgrm: Option<&'a Path>,
    loss_max: Option<f64>,
    progress: Progress,
    /// The figures of all runs so far, as they stand in the JSON file.
    lines: String,
}

impl<'a> Outputs<'a> {
    /// Creates the JSON file now: a path that is wrong is known before the run.
    pub(super) fn create(bench: &'a Bench) -> Result<Self, Mistake> {
        let json = bench.json.as_deref().map(File::create).transpose();
        Ok(Self {
            json: json.map_err(|error| unwritten("json", &error))?,
            svg: bench.svg.as_deref(),
            hgrm: bench.hgrm.as_deref(),
            loss_max: bench.loss.map(|percent| percent / 100.0),
            progress: Progress::start(bench.quiet),
            lines: String::new(),
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
            Ended::NotDriven(_) => Exit::Usage,
        })
    }

    /// Draws all that was run.
    pub(super) fn finish(self) -> Result<(), Mistake> {
        let Some(file) = self.svg else {
            return Ok(());
        };
        let drawn = json::dots("this run", &self.lines);
        let dots = drawn.map_err(|error| (error.to_string(), Exit::Failure))?;
        std::fs::write(file, picture::draw(&dots)).map_err(|error| unwritten("svg", &error))
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
            let file = histogram_file(file, self.plan, step);
            if let Err(error) = std::fs::write(file, &step.latency_distribution) {
                self.mistake.get_or_insert(unwritten("hgrm", &error));
            }
        }
        self.steps.push(step.clone());
    }
}

/// The file itself where there is one step; else one with the rate before its extension: `a.20000.hgrm`.
fn histogram_file(file: &Path, plan: &Plan, step: &Step) -> PathBuf {
    let rate = match (plan.course, step.offered) {
        (Course::One(_), _) | (_, None) => return file.to_owned(),
        (_, Some(rate)) => format!("{rate:.0}"),
    };
    match file.extension() {
        Some(extension) => file.with_extension(format!("{rate}.{}", extension.to_string_lossy())),
        None => file.with_extension(rate),
    }
}

fn unwritten(option: &str, error: &std::io::Error) -> Mistake {
    (format!("--{option}: {error}"), Exit::Failure)
}
