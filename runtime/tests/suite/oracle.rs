//! The definitions of the ops, in f64, element by element, sharing nothing with the runtime.

use half::f16;
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Pool, Shape};

/// A value in C, H, W order.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) shape: Shape,
    pub(crate) data: Vec<f64>,
}

impl Plane {
    pub(crate) fn new(shape: Shape, data: &[f32]) -> Self {
        Self { shape, data: wide(data) }
    }

    /// Computes each element from its channel, row and column.
    fn from_fn(shape: Shape, f: impl Fn(i64, i64, i64) -> f64) -> Self {
        let (c, h, w) = (i64::from(shape.c), i64::from(shape.h), i64::from(shape.w));
        let all = (0..c * h * w).map(|i| f(i / (h * w), i / w % h, i % w));
        Self { shape, data: all.collect() }
    }

    /// An element, or `None` outside.
    fn get(&self, c: i64, y: i64, x: i64) -> Option<f64> {
        let s = self.shape;
        let inside = |i: i64, n: u32| (0..i64::from(n)).contains(&i);
        (inside(c, s.c) && inside(y, s.h) && inside(x, s.w))
            .then(|| self.data[((c * i64::from(s.h) + y) * i64::from(s.w) + x) as usize])
    }
}

pub(crate) fn wide(data: &[f32]) -> Vec<f64> {
    data.iter().map(|v| f64::from(*v)).collect()
}

/// Values as they are after storing.
pub(crate) fn stored(data: &[f32], half: bool) -> Vec<f32> {
    data.iter().map(|v| if half { f16::from_f32(*v).to_f32() } else { *v }).collect()
}

pub(crate) fn conv(op: Conv2d, x: &Plane, weights: &[f64], bias: Option<&[f64]>) -> Plane {
    let [kh, kw] = op.kernel.map(i64::from);
    let [sh, sw] = op.stride.map(i64::from);
    let [dh, dw] = op.dilation.map(i64::from);
    let (group_in, group_out) = (i64::from(x.shape.c / op.groups), i64::from(op.out_channels / op.groups));
    Plane::from_fn(Op::Conv2d(op).output_shape(&[x.shape]).unwrap(), |o, y, column| {
        let mut sum = bias.map_or(0.0, |b| b[o as usize]);
        for i in 0..group_in {
            for ky in 0..kh {
                for kx in 0..kw {
                    let w = weights[(((o * group_in + i) * kh + ky) * kw + kx) as usize];
                    let at = (
                        y * sh + ky * dh - i64::from(op.pad.top),
                        column * sw + kx * dw - i64::from(op.pad.left),
                    );
                    sum += w * x.get(o / group_out * group_in + i, at.0, at.1).unwrap_or(0.0);
                }
            }
        }
        sum
    })
}

fn dense(op: Dense, x: &Plane, weights: &[f64], bias: Option<&[f64]>) -> Plane {
    let (inputs, outputs) = (x.data.len(), op.out_features as usize);
    Plane::from_fn(Shape::vector(op.out_features), |o, _, _| {
        let o = o as usize;
        let weight =
            |i: usize| if op.transposed { weights[i * outputs + o] } else { weights[o * inputs + i] };
        bias.map_or(0.0, |b| b[o]) + (0..inputs).map(|i| weight(i) * x.data[i]).sum::<f64>()
    })
}

fn pool(op: Pool, max: bool, x: &Plane) -> Plane {
    let node = if max { Op::MaxPool(op) } else { Op::AvgPool(op) };
    Plane::from_fn(node.output_shape(&[x.shape]).unwrap(), |c, y, column| {
        let (mut inside, mut padded) = (vec![], 0);
        for ky in 0..i64::from(op.kernel[0]) {
            for kx in 0..i64::from(op.kernel[1]) {
                let row = y * i64::from(op.stride[0]) + ky - i64::from(op.pad.top);
                let col = column * i64::from(op.stride[1]) + kx - i64::from(op.pad.left);
                inside.extend(x.get(c, row, col));
                let hangs_over = row >= i64::from(x.shape.h) + i64::from(op.pad.bottom)
                    || col >= i64::from(x.shape.w) + i64::from(op.pad.right);
                padded += i64::from(!hangs_over);
            }
        }
        if max {
            return inside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        }
        let divisor = if op.count_include_pad { padded as f64 } else { inside.len() as f64 };
        inside.iter().sum::<f64>() / divisor
    })
}

fn activate(op: Activation, x: f64) -> f64 {
    match op {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu { alpha } if x < 0.0 => f64::from(alpha) * x,
        Activation::LeakyRelu { .. } => x,
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::HardSigmoid { alpha } => (f64::from(alpha) * x + 0.5).clamp(0.0, 1.0),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
    }
}

/// The output of an op, and the largest sum of magnitudes that is added up to one element.
pub(crate) fn run(
    op: Op,
    inputs: &[Plane],
    weights: &[f64],
    params: &[Vec<f32>],
    activation: Option<Activation>,
) -> (Vec<f64>, f64) {
    let x = &inputs[0];
    let s = x.shape;
    let params: Vec<Vec<f64>> = params.iter().map(|p| wide(p)).collect();
    let bias = params.first().map(Vec::as_slice);
    let compute = |inputs: &[Plane], weights: &[f64], bias: Option<&[f64]>| match op {
        Op::Conv2d(op) => conv(op, &inputs[0], weights, bias),
        Op::Dense(op) => dense(op, &inputs[0], weights, bias),
        Op::MaxPool(op) => pool(op, true, &inputs[0]),
        Op::AvgPool(op) => pool(op, false, &inputs[0]),
        Op::GlobalAvgPool => Plane::from_fn(Shape::vector(s.c), |c, _, _| {
            let n = (s.h * s.w) as usize;
            inputs[0].data[c as usize * n..][..n].iter().sum::<f64>() / n as f64
        }),
        Op::BatchNorm { .. } => Plane::from_fn(s, |c, y, i| {
            inputs[0].get(c, y, i).unwrap() * params[0][c as usize] + params[1][c as usize]
        }),
        Op::Lrn { size, alpha, beta, bias } => Plane::from_fn(s, |c, y, i| {
            let size = i64::from(size);
            let first = c - (size - 1) / 2;
            let squares: f64 = (first..first + size).filter_map(|n| x.get(n, y, i)).map(|v| v * v).sum();
            let base = f64::from(bias) + f64::from(alpha) / size as f64 * squares;
            x.get(c, y, i).unwrap() / base.powf(beta.into())
        }),
        Op::Maxout { pieces } => Plane::from_fn(op.output_shape(&[s]).unwrap(), |c, y, i| {
            let pieces = i64::from(pieces);
            (0..pieces).map(|p| x.get(c * pieces + p, y, i).unwrap()).fold(f64::NEG_INFINITY, f64::max)
        }),
        Op::Add => Plane::from_fn(s, |c, y, i| inputs.iter().map(|x| x.get(c, y, i).unwrap()).sum()),
        Op::Concat => {
            let shapes: Vec<Shape> = inputs.iter().map(|x| x.shape).collect();
            let data = inputs.iter().flat_map(|x| x.data.clone()).collect();
            Plane { shape: op.output_shape(&shapes).unwrap(), data }
        }
        Op::Softmax => Plane::from_fn(s, |c, y, i| {
            let sum: f64 = (0..s.c).map(|c| x.get(c.into(), y, i).unwrap().exp()).sum();
            x.get(c, y, i).unwrap().exp() / sum
        }),
        Op::Activation(op) => Plane { shape: s, data: x.data.iter().map(|v| activate(op, *v)).collect() },
        Op::Flatten | Op::Dropout { .. } => x.clone(),
    };
    let out = compute(inputs, weights, bias);
    let absolute = |v: &[f64]| v.iter().map(|v| v.abs()).collect::<Vec<_>>();
    let magnitudes = match op {
        Op::Conv2d(_) | Op::Dense(_) => {
            let x = Plane { shape: s, data: absolute(&x.data) };
            compute(&[x], &absolute(weights), bias.map(absolute).as_deref()).data
        }
        _ => absolute(&out.data),
    };
    let magnitude = magnitudes.iter().copied().fold(1.0, f64::max);
    let out = out.data.iter().map(|v| activation.map_or(*v, |a| activate(a, *v)));
    (out.collect(), magnitude)
}
