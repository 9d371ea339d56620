//! Simultaneous tri-factorization of the weights of a small network.

use tfc::device::{Device, cpu::Cpu};
use tfc::factorize::{Factors, Options, Rank, Solver, factorize as solve, groups};
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Dense, Op, Shape};
use tfc_formats::preprocess::Preprocess;

use super::{assert_close, data, tolerance::FACTORS, wide};

/// Sizes of the types: inputs, hidden units, outputs.
const SIZES: [usize; 3] = [24, 18, 12];
const RANK: usize = 3;

/// Two dense layers whose weights are products of non-negative factors, one a type, with random
/// cores, plus noise of this amplitude.
fn planted(noise: f32) -> Network {
    // Disjoint groups of objects: non-negative and orthogonal.
    let member = |i: usize, k: usize, x: f32| if i % RANK == k { 1.0 + 0.5 * x } else { 0.0 };
    let g: Vec<Vec<f32>> = SIZES
        .iter()
        .map(|&n| {
            let random = data(n * RANK, n as u64);
            (0..n * RANK).map(|at| member(at / RANK, at % RANK, random[at])).collect()
        })
        .collect();
    let mut network = Network {
        name: "planted".into(),
        input: Shape::vector(SIZES[0] as u32),
        preprocess: Preprocess::identity(),
        nodes: Vec::new(),
        tensors: Vec::new(),
        output: 2,
    };
    for layer in 0..2 {
        let (cols, rows) = (SIZES[layer], SIZES[layer + 1]);
        let core = data(RANK * RANK, 100 + layer as u64);
        let random = data(rows * cols, 200 + layer as u64);
        let element = |at: usize| {
            let (i, j) = (at / cols, at % cols);
            let pairs = (0..RANK * RANK)
                .map(|kl| g[layer + 1][i * RANK + kl / RANK] * core[kl] * g[layer][j * RANK + kl % RANK]);
            pairs.sum::<f32>() + noise * random[at]
        };
        let values = (0..rows * cols).map(element).collect();
        network.tensors.push(Tensor { name: format!("w{layer}"), shape: vec![rows, cols], data: values });
        network.nodes.push(Node {
            name: format!("fc{layer}"),
            op: Op::Dense(Dense { out_features: rows as u32, transposed: false }),
            inputs: vec![layer],
            params: vec![layer],
        });
    }
    network.check().expect("network");
    network
}

fn factors<D: Device>(d: &D, network: &Network, solver: Solver, iterations: usize) -> Factors {
    let group = groups(network).expect("groups").remove(0);
    let options =
        Options { rank: Rank::Fixed(RANK), iterations, tolerance: 0.0, solver, ..Options::default() };
    solve(d, network, group, &options, &mut |_| {}).expect("factors")
}

fn energy(network: &Network) -> f64 {
    network.tensors.iter().flat_map(|t| wide(&t.data)).map(|v| v * v).sum()
}

/// The objective falls from each iteration to the next as it does on the CPU, and is the squared
/// distance of the factors' product from the weights.
pub(crate) fn objective_falls<D: Device>(d: &D) {
    let network = planted(0.3);
    for solver in Solver::ALL {
        let found = factors(d, &network, solver, 8);
        assert!(found.objective.is_sorted_by(|a, b| a > b), "{solver}: {:?}", found.objective);
        assert!(found.g.iter().flat_map(|g| &g.data).all(|v| *v >= 0.0), "{solver}: a factor is negative");

        let naive: f64 = (network.tensors.iter().enumerate())
            .flat_map(|(id, tensor)| {
                let product = found.reconstruction(&network, id).expect("both are in the group");
                let pairs: Vec<_> = wide(&tensor.data).into_iter().zip(wide(&product)).collect();
                pairs
            })
            .map(|(w, product)| (w - product).powi(2))
            .sum();
        let last = found.objective[found.objective.len() - 1] as f32;
        assert_close(&format!("{solver}: residual"), &[last], &[naive], FACTORS);

        let reference = factors(&Cpu, &network, solver, 8);
        let narrow: Vec<f32> = found.objective.iter().map(|&j| j as f32).collect();
        assert_close(&format!("{solver}: objective"), &narrow, &reference.objective, FACTORS);
    }
}

/// Factors that the weights were made from leave almost nothing.
pub(crate) fn planted_structure_is_found<D: Device>(d: &D) {
    let network = planted(0.0);
    let found = factors(d, &network, Solver::Gradient, 60);
    let last = found.objective[found.objective.len() - 1];
    assert!(last < 1e-3 * energy(&network), "{last} is left of {}", energy(&network));
}
