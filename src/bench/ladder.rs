//! Which rates are tried, one after the other, and how it ended.

use super::plan::{Course, Ladder, Load, Plan};
use super::step::{Step, StepError};

/// Where more than this share of the requests did not leave in time, the harness is at its limit.
const UNSENT_MAX: f64 = 0.01;
/// Where less than this share gets a reply, a higher rate tells nothing more.
const ANSWERED_MIN: f64 = 0.5;
/// The knee is found when the two rates around it are this close.
const KNEE_WIDTH: f64 = 1.03;
/// The bound on the knee's loss where none is given.
pub(super) const LOSS_MAX: f64 = 0.001;
/// How often the knee must be held before it counts.
const CONFIRMATIONS: u32 = 3;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// All rates were driven, and the bound on loss, if there is one, was held.
    Held,
    /// The bound on loss was broken.
    Broken,
    /// The harness could not drive this rate.
    NotDriven(f64),
    /// The highest rate within the bound, confirmed; 0 where even the lowest is not.
    Knee(f64),
    /// This rate is within the bound, confirmed, and the harness could not drive more.
    AtLeast(f64),
}

/// Who follows a run. What takes steps as they end is one.
pub trait Audience {
    /// A step of this rate begins; `None` in a closed loop.
    fn begins(&mut self, _rate: Option<f64>) {}

    /// A step has ended.
    fn ended(&mut self, step: &Step);
}

impl<F: FnMut(&Step)> Audience for F {
    fn ended(&mut self, step: &Step) {
        self(step);
    }
}

/// Runs the plan before an audience.
///
/// # Errors
/// A step cannot be run.
pub fn run(
    plan: &Plan,
    loss_max: Option<f64>,
    audience: &mut dyn Audience,
) -> Result<Ended, StepError> {
    let mut step = |rate| {
        audience.begins(matches!(plan.load, Load::Open { .. }).then_some(rate));
        let step = Step::run(plan, rate)?;
        audience.ended(&step);
        Ok::<_, StepError>(step)
    };
    match plan.course {
        Course::One(rate) => Ok(judge(&step(rate)?, rate, loss_max)),
        Course::Ladder(ladder) => climb(ladder, loss_max, &mut step),
        Course::Knee(ladder) => knee(ladder, loss_max.unwrap_or(LOSS_MAX), &mut step),
    }
}

pub(super) fn judge(step: &Step, rate: f64, loss_max: Option<f64>) -> Ended {
    if step.unsent() > UNSENT_MAX {
        Ended::NotDriven(rate)
    } else if loss_max.is_some_and(|most| step.loss() > most) {
        Ended::Broken
    } else {
        Ended::Held
    }
}

type Try<'a> = &'a mut dyn FnMut(f64) -> Result<Step, StepError>;

fn climb(ladder: Ladder, loss_max: Option<f64>, step: Try<'_>) -> Result<Ended, StepError> {
    let mut rate = ladder.from;
    let mut ended = Ended::Held;
    while rate <= ladder.to * 1.000_001 {
        let done = step(rate)?;
        match judge(&done, rate, loss_max) {
            Ended::Held => {}
            Ended::Broken => ended = Ended::Broken,
            other => return Ok(other),
        }
        if done.replies_per_s() < ANSWERED_MIN * rate {
            return Ok(ended);
        }
        rate *= ladder.factor;
    }
    Ok(ended)
}

/// Climbs until a rate is not held, halves the gap until it is narrow, and confirms; a rate that is not
/// confirmed is one that is not held.
fn knee(ladder: Ladder, loss_max: f64, step: Try<'_>) -> Result<Ended, StepError> {
    let mut ended = |rate: f64| {
        let done = step(rate)?;
        Ok::<_, StepError>(judge(&done, rate, Some(loss_max)))
    };
    // The highest rate that was held, the lowest that was not, and why it was not.
    let (mut low, mut high) = (0.0, ladder.from);
    let mut limit = loop {
        match ended(high)? {
            Ended::Held => low = high,
            limit => break limit,
        }
        if high >= ladder.to {
            break Ended::Held;
        }
        high = (high * ladder.factor).min(ladder.to);
    };
    while low >= ladder.from {
        while high / low > KNEE_WIDTH {
            let middle = (low * high).sqrt();
            match ended(middle)? {
                Ended::Held => low = middle,
                other => (high, limit) = (middle, other),
            }
        }
        let mut confirmed = 0;
        while confirmed < CONFIRMATIONS && ended(low)? == Ended::Held {
            confirmed += 1;
        }
        if confirmed == CONFIRMATIONS {
            return Ok(match limit {
                Ended::NotDriven(_) => Ended::AtLeast(low),
                _ => Ended::Knee(low),
            });
        }
        (high, limit) = (low, Ended::Broken);
        low /= ladder.factor.min(1.1);
    }
    Ok(match limit {
        Ended::NotDriven(rate) => Ended::NotDriven(rate),
        _ => Ended::Knee(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Counts;

    const LADDER: Ladder = Ladder {
        from: 1_000.0,
        to: 1_000_000.0,
        factor: 1.5,
    };

    /// A server that holds `knee`, driven by a harness that holds `limit`.
    fn world(knee: f64, limit: f64) -> impl FnMut(f64) -> Result<Step, StepError> {
        move |rate: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a test's rates"
            )]
            let (due, sent, good) = (
                rate as u64,
                rate.min(limit) as u64,
                rate.min(limit).min(knee) as u64,
            );
            Ok(Step {
                offered: Some(rate),
                seconds: 1.0,
                counts: Counts {
                    sent,
                    good,
                    lost: sent - good,
                    not_sent: due - sent,
                    ..Counts::default()
                },
                by_kind: vec![(crate::bench::Kind::Basic, sent, good)],
                punctual: 1.0,
                ..Step::default()
            })
        }
    }

    #[test]
    fn the_knee_is_found() {
        for knee_at in [1_200.0, 43_210.0, 777_777.0] {
            let Ended::Knee(found) = knee(LADDER, 0.001, &mut world(knee_at, 1e9)).unwrap() else {
                panic!("no knee");
            };
            assert!(
                found <= knee_at * 1.002 && found > knee_at / 1.05,
                "{found} of {knee_at}"
            );
        }
        assert_eq!(
            knee(LADDER, 0.001, &mut world(10.0, 1e9)).unwrap(),
            Ended::Knee(0.0)
        );
    }

    #[test]
    fn a_harness_at_its_limit_says_so() {
        let Ended::AtLeast(held) = knee(LADDER, 0.001, &mut world(1e9, 50_000.0)).unwrap() else {
            panic!("a knee that was not seen");
        };
        assert!((47_000.0..51_000.0).contains(&held), "{held}");
        assert!(matches!(
            knee(LADDER, 0.001, &mut world(1e9, 500.0)).unwrap(),
            Ended::NotDriven(_)
        ));
        // Beyond its own limit it learns nothing of the server's, but below it does.
        let Ended::Knee(found) = knee(LADDER, 0.001, &mut world(40_000.0, 50_000.0)).unwrap()
        else {
            panic!("no knee");
        };
        assert!((38_000.0..40_100.0).contains(&found), "{found}");
        assert!(matches!(
            climb(LADDER, None, &mut world(1e9, 50_000.0)).unwrap(),
            Ended::NotDriven(_)
        ));
    }

    #[test]
    fn a_ladder_ends_where_half_is_lost() {
        let mut rates = Vec::new();
        let mut server = world(10_000.0, 1e9);
        let ended = climb(LADDER, Some(0.01), &mut |rate| {
            rates.push(rate);
            server(rate)
        });
        assert_eq!(ended.unwrap(), Ended::Broken);
        assert!(
            rates.iter().all(|rate| *rate < 40_000.0) && rates.len() == 9,
            "{rates:?}"
        );
    }
}
