//! The lines of JSON that the program on the other side prints.

use serde::Deserialize;

use super::{BoardError, Measured, Unit};

/// A line; a program prints other things too, which are not JSON.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Unit { unit: String },
    Stack { stack: u64 },
    Step { step: usize, cost: u64 },
    Load { load: u64 },
    Run { run: u64 },
    Output { output: Vec<u32> },
}

/// Everything that one program printed: costs of several runs, of which medians count.
#[derive(Debug, Default)]
struct Costs {
    load: Vec<u64>,
    run: Vec<u64>,
    steps: Vec<Vec<u64>>,
}

/// Reads what `program` printed. Where an emulator counted instructions, `counted` has them in the
/// order of the lines with costs.
pub(super) fn read(program: &str, printed: &str, counted: Option<&[u64]>) -> Result<Measured, BoardError> {
    let wrong = |expected, found: &str| BoardError::Lines {
        program: program.to_owned(),
        expected,
        found: found.chars().take(200).collect(),
    };
    let mut counts = counted.map(|counts| counts.iter().copied());
    let mut next = |cost: u64, line: &str| match &mut counts {
        Some(counts) => counts.next().ok_or_else(|| wrong("as many costs as the plugin counted", line)),
        None => Ok(cost),
    };
    let mut unit = counted.map(|_| Unit::Instructions);
    let (mut costs, mut stack, mut output) = (Costs::default(), None, None);
    // A debug probe's tool may print the time before each line.
    for line in printed.lines().filter_map(|line| line.get(line.find("{\"")?..)) {
        let parsed = serde_json::from_str(line).map_err(|_| wrong("a line of JSON", line))?;
        match parsed {
            Line::Unit { unit: name } => match name.as_str() {
                "cycles" => unit = unit.or(Some(Unit::Cycles)),
                "ns" => unit = unit.or(Some(Unit::Ns)),
                _ => {}
            },
            Line::Stack { stack: bytes } => stack = Some(bytes),
            Line::Load { load } => costs.load.push(next(load, line)?),
            Line::Run { run } => costs.run.push(next(run, line)?),
            Line::Step { step, cost } => {
                let cost = next(cost, line)?;
                if step == costs.steps.len() {
                    costs.steps.push(Vec::new());
                }
                costs.steps.get_mut(step).ok_or_else(|| wrong("steps in their order", line))?.push(cost);
            }
            Line::Output { output: bits } => output = Some(bits.into_iter().map(f32::from_bits).collect()),
        }
    }
    let last = printed.lines().next_back().unwrap_or_default();
    Ok(Measured {
        unit: unit.ok_or_else(|| wrong("the unit of costs", last))?,
        load: median(&mut costs.load).ok_or_else(|| wrong("the cost of loading", last))?,
        run: median(&mut costs.run).ok_or_else(|| wrong("the cost of a run", last))?,
        steps: costs.steps.iter_mut().filter_map(|costs| median(costs)).collect(),
        stack,
        output: output.ok_or_else(|| wrong("the output of the model", last))?,
    })
}

fn median(costs: &mut [u64]) -> Option<u64> {
    costs.sort_unstable();
    costs.get(costs.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "booting\n{\"stack\":900}\n{\"unit\":\"none\"}\n{\"load\":0}\n{\"run\":0}\n\
        {\"step\":0,\"name\":\"a\",\"cost\":0}\n{\"step\":1,\"name\":\"b\",\"cost\":0}\n{\"output\":[1065353216]}\n";

    #[test]
    fn counts_belong_to_the_lines_with_costs() {
        let measured = read("bench", PRINTED, Some(&[7, 5, 3, 2])).unwrap();
        let expected = Measured {
            unit: Unit::Instructions,
            load: 7,
            run: 5,
            steps: vec![3, 2],
            stack: Some(900),
            output: vec![1.0],
        };
        assert_eq!(measured, expected);
    }

    #[test]
    fn costs_of_several_runs_have_a_median() {
        let run =
            |n: u64| format!("{{\"load\":1}}\n{{\"run\":{n}}}\n{{\"step\":0,\"name\":\"a\",\"cost\":{n}}}\n");
        let printed = format!("{{\"unit\":\"ns\"}}\n{}{}{}{{\"output\":[0]}}\n", run(30), run(10), run(20));
        let measured = read("bench", &printed, None).unwrap();
        assert_eq!((measured.unit, measured.run, measured.steps), (Unit::Ns, 20, vec![20]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = |printed: &str, counted: Option<&[u64]>| match read("bench", printed, counted) {
            Err(BoardError::Lines { expected, .. }) => expected,
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(PRINTED, Some(&[1])), "as many costs as the plugin counted");
        assert_eq!(wrong(PRINTED, None), "the unit of costs");
        assert_eq!(wrong("{\"unit\":\"ns\"}\npanic\n", None), "the cost of loading");
        assert_eq!(wrong("{\"unit\":", None), "a line of JSON");
        assert_eq!(wrong("{\"step\":1,\"cost\":1}", None), "steps in their order");
    }
}
