//! Whether the machine was quiet while a knee was looked for, and if not, why.

use super::ladder::{Ended, LOSS_MAX, judge};
use super::machine::{OTHERS_MAX, STEAL_MAX};
use super::step::Step;

/// What disturbed the steps of a run.
#[derive(Clone, Debug, Default)]
pub struct Noise {
    loss_max: f64,
    steps: usize,
    /// Steps in which the hypervisor took too much, and the largest share.
    stolen: (usize, f64),
    /// Steps in which other programs took too much; the most cores, and the program that took most of them.
    others: (usize, f64, Option<String>),
    /// The rate of each step, and whether it was held.
    tried: Vec<(f64, bool)>,
}

impl Noise {
    /// For a run with this bound on loss, or with the knee's own.
    pub fn new(loss_max: Option<f64>) -> Self {
        Self {
            loss_max: loss_max.unwrap_or(LOSS_MAX),
            ..Self::default()
        }
    }

    /// Takes a step into account.
    pub fn add(&mut self, step: &Step) {
        self.steps += 1;
        let machine = &step.machine;
        if machine.steal() > STEAL_MAX {
            self.stolen = (self.stolen.0 + 1, self.stolen.1.max(machine.steal()));
        }
        if machine.others_share() > OTHERS_MAX {
            let cores = machine.others_cores();
            if cores > self.others.1 {
                (self.others.1, self.others.2) =
                    (cores, machine.others.mostly().map(str::to_owned));
            }
            self.others.0 += 1;
        }
        if let Some(rate) = step.offered {
            match judge(step, rate, Some(self.loss_max)) {
                Ended::Held => self.tried.push((rate, true)),
                Ended::Broken => self.tried.push((rate, false)),
                Ended::NotDriven(_) | Ended::Knee(_) | Ended::AtLeast(_) => {}
            }
        }
    }

    /// A sentence, with its line's end.
    pub fn verdict(&self) -> String {
        let mut reasons = Vec::new();
        let steps = self.steps;
        if let (stolen @ 1.., share) = self.stolen {
            reasons.push(format!(
                "the host took up to {:.1} % of it, more than {:.0} % in {stolen} of {steps} steps",
                share * 100.0,
                STEAL_MAX * 100.0
            ));
        }
        if let (disturbed @ 1.., cores, most) = &self.others {
            let most = most.as_ref();
            reasons.push(format!(
                "other programs took up to {cores:.2} cores{}, too much in {disturbed} of {steps} steps",
                most.map(|name| format!(" (mostly {name})"))
                    .unwrap_or_default()
            ));
        }
        if let Some((rate, held)) = self.contradiction() {
            reasons.push(if rate < held {
                format!("{rate:.0} a second was not held, {held:.0} was")
            } else {
                format!("{rate:.0} a second was held once and not another time")
            });
        }
        if reasons.is_empty() {
            "the machine was quiet meanwhile\n".into()
        } else {
            format!(
                "the machine was noisy meanwhile, and the knee may be another: {}\n",
                reasons.join("; ")
            )
        }
    }

    /// A rate that was not held though it, or a higher one, was: the lowest, and the highest that was held.
    fn contradiction(&self) -> Option<(f64, f64)> {
        let those = |held| {
            let of_kind = self.tried.iter().filter(move |(_, was)| *was == held);
            of_kind.map(|(rate, _)| *rate)
        };
        let broken = those(false).reduce(f64::min)?;
        let held = those(true).reduce(f64::max)?;
        (broken <= held).then_some((broken, held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Counts;
    use crate::bench::machine::{Core, Machine, Others, Thread};

    /// A step of a second on one core, of which the harness had a half.
    fn step(rate: f64, lost: u64, steal_s: f64, others_s: f64) -> Step {
        Step {
            offered: Some(rate),
            counts: Counts {
                sent: 1000,
                good: 1000 - lost,
                lost,
                ..Counts::default()
            },
            machine: Machine {
                seconds: 1.0,
                cores: vec![Core {
                    steal_s,
                    idle_s: 1.0 - steal_s,
                    ..Core::default()
                }],
                harness: vec![Thread {
                    user_s: 0.5,
                    ..Thread::default()
                }],
                others: Others {
                    seconds: others_s,
                    most: Some(("cc1".into(), others_s)),
                },
                ..Machine::default()
            },
            ..Step::default()
        }
    }

    fn verdict(steps: &[Step]) -> String {
        let mut noise = Noise::new(None);
        steps.iter().for_each(|step| noise.add(step));
        noise.verdict()
    }

    #[test]
    fn a_quiet_machine_is_called_quiet() {
        let steps = [
            step(10.0, 0, 0.009, 0.02),
            step(20.0, 2, 0.0, 0.0),
            step(15.0, 1, 0.0, 0.0),
        ];
        assert_eq!(verdict(&steps), "the machine was quiet meanwhile\n");
        assert_eq!(verdict(&[]), "the machine was quiet meanwhile\n");
    }

    #[test]
    fn each_reason_is_told() {
        let told = verdict(&[
            step(10.0, 0, 0.011, 0.0),
            step(11.0, 0, 0.25, 0.1),
            step(12.0, 0, 0.0, 0.0),
        ]);
        assert!(
            told.contains("up to 25.0 % of it, more than 1 % in 2 of 3 steps"),
            "{told}"
        );
        assert!(
            told.contains("up to 0.10 cores (mostly cc1), too much in 1 of 3 steps"),
            "{told}"
        );
    }

    #[test]
    fn a_rate_that_was_held_and_was_not_is_noise() {
        let told = verdict(&[step(10.0, 0, 0.0, 0.0), step(10.0, 2, 0.0, 0.0)]);
        assert!(
            told.contains("10 a second was held once and not another time"),
            "{told}"
        );
        let told = verdict(&[step(9.0, 2, 0.0, 0.0), step(10.0, 0, 0.0, 0.0)]);
        assert!(told.contains("9 a second was not held, 10 was"), "{told}");
    }
}
