//! Ranges of the values of a network, from running it on inputs.

use tfc_formats::artifact::AlignedBytes;
use tfc_formats::network::Network;
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::{Model, Session};

use super::range::{Histogram, Method, Range};
use crate::compile::CompileError;
use crate::encode::encode_observed;
use crate::execute::{ExecuteError, Inputs, spread};

/// Ranges of all values of a network, for [`encode_int8`](crate::encode::encode_int8).
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// Of the input.
    pub(crate) input: Range,
    /// Of the output of each step, as steps on i8 are lowered.
    pub(crate) steps: Vec<Range>,
}

/// Runs a network on inputs and chooses the range of each of its values.
pub fn calibrate(network: &Network, inputs: &Inputs<'_>, method: Method) -> Result<Ranges, CompileError> {
    let bytes = AlignedBytes::from(encode_observed(network)?.as_slice());
    let model = Model::new(&bytes).map_err(ExecuteError::from)?;
    inputs.check(model.input_shape())?;
    let values = model.header().steps as usize + 1;

    let ranges = observe(&model, inputs, &vec![Range::EMPTY; values], |range, numbers| {
        *range = range.with(Range::of(numbers));
    })?;
    let join = |a: Vec<Range>, b: Vec<Range>| a.into_iter().zip(b).map(|(a, b)| a.with(b)).collect();
    let mut ranges: Vec<Range> = ranges.into_iter().reduce(join).unwrap_or_default();
    if method != Method::MinMax {
        let empty: Vec<Histogram> = ranges.iter().map(|range| Histogram::new(*range)).collect();
        let histograms = observe(&model, inputs, &empty, |histogram, numbers| histogram.add(numbers))?;
        let merged = histograms.into_iter().reduce(|mut all, more| {
            all.iter_mut().zip(&more).for_each(|(all, more)| all.merge(more));
            all
        });
        let chosen = merged.unwrap_or_default();
        for (range, histogram) in ranges.iter_mut().zip(&chosen).skip(1) {
            *range = histogram.choose(method);
        }
    }
    let mut ranges = ranges.into_iter();
    let seen = ranges.next().unwrap_or(Range::EMPTY);
    let input = of_bytes(&network.preprocess, network.input.c as usize, seen);
    Ok(Ranges { input, steps: ranges.collect() })
}

/// The range of an input that is made of bytes: all that they can stand for, so that bytes of one
/// scale lose nothing, unless those that were seen are less than half of it.
fn of_bytes(preprocess: &Preprocess, channels: usize, seen: Range) -> Range {
    let ends = (0..channels.max(1)).flat_map(|c| {
        let (factor, offset) = preprocess.affine(c);
        [offset, 255.0 * factor + offset]
    });
    let all = Range::of(ends);
    if seen.hi - seen.lo < (all.hi - all.lo) / 2.0 { seen } else { all }
}

/// What `add` makes of `empty` with the numbers of each value, the input first; one for each part
/// of the inputs.
fn observe<T: Clone + Send + Sync>(
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    empty: &[T],
    add: impl Fn(&mut T, &mut dyn Iterator<Item = f32>) + Sync,
) -> Result<Vec<Vec<T>>, ExecuteError> {
    let shape = model.input_shape();
    spread(inputs.len(), |samples| {
        let mut arena = AlignedBytes::zeroed(model.arena_len());
        let mut session = Session::new(model, &mut arena)?;
        let mut input = vec![0.0; shape.elements().unwrap_or(0) as usize];
        let mut seen = empty.to_vec();
        for at in samples {
            inputs.fill(at, shape, &model.header().preprocess, &mut input);
            add(&mut seen[0], &mut input.iter().copied());
            session.run_observed(&input, &mut |step, _, value| {
                add(&mut seen[step + 1], &mut value.numbers());
            })?;
        }
        Ok(vec![seen])
    })
}
