//! How much of each layer stays: the least loss at a given cost.
//!
//! With losses that add up over the layers this is a knapsack with one choice a layer. Its
//! Lagrangian is minimised layer by layer on the lower convex hull of cost and loss, so for one
//! limit the optimum (of the linear relaxation, in which a layer may lie between two of its
//! choices) is found by going down the edges of all hulls in order of their slopes (Sinha &
//! Zoltners 1979). All stops on the way are the Pareto front. Two limits are priced against each
//! other, at several prices.

/// Prices of the first of two costs that are tried; the second has the rest to 1.
const PRICES: usize = 32;

/// One share of a layer that may stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    /// Share of the layer's weights that are not zero.
    pub(super) kept: f64,
    /// How much the network's loss grows.
    pub(super) loss: f64,
    /// Two costs, each in parts of its limit.
    pub(super) cost: [f64; 2],
    /// Whether what lies between this and a cheaper choice costs in proportion.
    pub(super) divisible: bool,
}

/// One choice for every layer, or for one of them a mixture of two.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allocation {
    /// Share of the weights that stay, layer by layer.
    pub(super) kept: Vec<f64>,
    /// Sum over the layers.
    pub(super) loss: f64,
    /// Sum over the layers and what is fixed.
    pub(super) cost: [f64; 2],
}

impl Allocation {
    /// Whether both costs are within their limits.
    pub(super) fn fits(&self) -> bool {
        self.cost.iter().all(|&cost| cost <= 1.0 + 1e-9)
    }
}

/// An edge of the hull of a layer.
struct Edge {
    layer: usize,
    slope: f64,
    from: Choice,
    to: Choice,
}

/// The edges of a layer's lower convex hull, from its least loss to its least cost.
fn hull(layer: usize, choices: &[Choice], price: [f64; 2]) -> (Choice, Vec<Edge>) {
    let cost = |choice: &Choice| choice.cost[0] * price[0] + choice.cost[1] * price[1];
    let order = |a: &&Choice, b: &&Choice| a.loss.total_cmp(&b.loss).then(cost(a).total_cmp(&cost(b)));
    let first = choices.iter().min_by(order).copied();
    let first = first.unwrap_or(Choice { kept: 1.0, loss: 0.0, cost: [0.0; 2], divisible: false });
    let (mut at, mut edges) = (first, Vec::new());
    loop {
        let slope = |choice: &Choice| (choice.loss - at.loss) / (cost(&at) - cost(choice));
        let cheaper = choices.iter().filter(|choice| cost(choice) < cost(&at));
        // Of equal slopes the longest edge.
        let next =
            cheaper.min_by(|a, b| slope(a).total_cmp(&slope(b)).then(cost(a).total_cmp(&cost(b)))).copied();
        let Some(to) = next else { return (first, edges) };
        edges.push(Edge { layer, slope: slope(&to), from: at, to });
        at = to;
    }
}

/// Where all layers begin, and all edges in the order in which they are gone down.
fn descent(layers: &[Vec<Choice>], fixed: [f64; 2], price: [f64; 2]) -> (Allocation, Vec<Edge>) {
    let mut start = Allocation { kept: Vec::new(), loss: 0.0, cost: fixed };
    let mut edges = Vec::new();
    for (layer, choices) in layers.iter().enumerate() {
        let (first, hull) = hull(layer, choices, price);
        start.kept.push(first.kept);
        start.loss += first.loss;
        (0..2).for_each(|kind| start.cost[kind] += first.cost[kind]);
        edges.extend(hull);
    }
    // Slopes of one hull rise, and the sort is stable, so a layer's edges stay in order.
    edges.sort_by(|a, b| a.slope.total_cmp(&b.slope));
    (start, edges)
}

/// Goes down a part of an edge.
fn go(allocation: &mut Allocation, edge: &Edge, part: f64) {
    let between = |from: f64, to: f64| (to - from) * part;
    allocation.kept[edge.layer] = edge.from.kept * (1.0 - part) + edge.to.kept * part;
    allocation.loss += between(edge.from.loss, edge.to.loss);
    for kind in 0..2 {
        allocation.cost[kind] += between(edge.from.cost[kind], edge.to.cost[kind]);
    }
}

/// The part of an edge after which both costs are within their limits, or all of it.
fn needed(allocation: &Allocation, edge: &Edge) -> f64 {
    if !edge.from.divisible {
        return 1.0;
    }
    let part = |kind: usize| {
        let (above, saved) = (allocation.cost[kind] - 1.0, edge.from.cost[kind] - edge.to.cost[kind]);
        if above <= 0.0 {
            0.0
        } else if saved > above {
            above / saved
        } else {
            1.0
        }
    };
    part(0).max(part(1))
}

/// The least loss with both costs (`fixed` and those of all layers) at most 1; the least cost if
/// that is not possible.
pub(super) fn allocate(layers: &[Vec<Choice>], fixed: [f64; 2]) -> Allocation {
    let at_price = |step: usize| {
        let first = step as f64 / PRICES as f64;
        let (mut allocation, edges) = descent(layers, fixed, [first, 1.0 - first]);
        for edge in edges {
            if allocation.fits() {
                break;
            }
            let part = needed(&allocation, &edge);
            go(&mut allocation, &edge, part);
        }
        allocation
    };
    let worst = |a: &Allocation| a.cost[0].max(a.cost[1]);
    let better = |a: &Allocation, b: &Allocation| match (a.fits(), b.fits()) {
        (true, true) => a.loss.total_cmp(&b.loss).then(worst(a).total_cmp(&worst(b))),
        (false, false) => worst(a).total_cmp(&worst(b)),
        (fits, _) => {
            if fits {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            }
        }
    };
    let start = at_price(PRICES);
    (0..PRICES).map(at_price).fold(
        start,
        |best, found| {
            if better(&found, &best).is_lt() { found } else { best }
        },
    )
}

/// The Pareto front of the costs at these prices: every stop on the way down, from the least loss.
pub(super) fn front(layers: &[Vec<Choice>], fixed: [f64; 2], price: [f64; 2]) -> Vec<Allocation> {
    let (mut at, edges) = descent(layers, fixed, price);
    let mut front = vec![at.clone()];
    for edge in edges {
        go(&mut at, &edge, 1.0);
        front.push(at.clone());
    }
    front
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choice(kept: f64, loss: f64, cost: f64) -> Choice {
        Choice { kept, loss, cost: [cost, 0.0], divisible: true }
    }

    /// Up to three layers of up to four choices that cost up to 1 each.
    fn instances() -> impl Strategy<Value = Vec<Vec<Choice>>> {
        let choice = (0.0..1.0, 0.0..4.0, 0.0..1.0, 0.0..1.0).prop_map(|(kept, loss, a, b)| Choice {
            kept,
            loss,
            cost: [a, b],
            divisible: true,
        });
        prop::collection::vec(prop::collection::vec(choice, 1..5), 1..4)
    }

    /// All ways to take one of each.
    fn combinations(layers: &[Vec<Choice>]) -> Vec<Vec<Choice>> {
        layers.iter().fold(vec![Vec::new()], |all, choices| {
            all.iter()
                .flat_map(|head| choices.iter().map(move |&c| [head.as_slice(), &[c]].concat()))
                .collect()
        })
    }

    fn sum(choices: &[Choice], of: impl Fn(&Choice) -> f64) -> f64 {
        choices.iter().map(of).sum()
    }

    /// The optimum of the relaxation for one limit: all layers but one whole, that one a mixture of
    /// two choices that meets the limit exactly.
    fn brute_force(layers: &[Vec<Choice>], kind: usize) -> Option<f64> {
        let all = combinations(layers);
        let mut best: Option<f64> = None;
        let mut offer = |loss: f64| best = Some(best.map_or(loss, |b| b.min(loss)));
        for a in &all {
            let cost = sum(a, |c| c.cost[kind]);
            if cost <= 1.0 {
                offer(sum(a, |c| c.loss));
            }
            for b in &all {
                let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
                let other = sum(b, |c| c.cost[kind]);
                if differ == 1 && cost > 1.0 && other < 1.0 {
                    let part = (cost - 1.0) / (cost - other);
                    offer(sum(a, |c| c.loss) * (1.0 - part) + sum(b, |c| c.loss) * part);
                }
            }
        }
        best
    }

    proptest! {
        #[test]
        fn one_limit_is_met_at_the_least_loss(mut layers in instances()) {
            layers.iter_mut().flatten().for_each(|choice| choice.cost[1] = 0.0);
            let found = allocate(&layers, [0.0; 2]);
            match brute_force(&layers, 0) {
                Some(least) => {
                    prop_assert!(found.fits(), "{found:?}");
                    prop_assert!((found.loss - least).abs() < 1e-9, "{} against {least}", found.loss);
                }
                None => prop_assert!(!found.fits()),
            }
        }

        /// The linear optimum of either limit alone is a bound that two limits cannot beat, and any
        /// whole choices that meet both show that they can be met where both costs fall together.
        #[test]
        fn two_limits_are_met_together(mut layers in instances()) {
            for choices in &mut layers {
                let mut costs: Vec<[f64; 2]> = choices.iter().map(|choice| choice.cost).collect();
                for kind in 0..2 {
                    let mut sorted: Vec<f64> = costs.iter().map(|cost| cost[kind]).collect();
                    sorted.sort_by(f64::total_cmp);
                    costs.iter_mut().zip(sorted).for_each(|(cost, value)| cost[kind] = value);
                }
                choices.iter_mut().zip(costs).for_each(|(choice, cost)| choice.cost = cost);
            }
            let found = allocate(&layers, [0.0; 2]);
            let meets = |all: &Vec<Choice>| (0..2).all(|kind| sum(all, |c| c.cost[kind]) <= 1.0);
            prop_assert_eq!(found.fits(), combinations(&layers).iter().any(meets));
            if found.fits() {
                for kind in 0..2 {
                    let bound = brute_force(&layers, kind).unwrap();
                    prop_assert!(found.loss >= bound - 1e-9, "{} below {bound}", found.loss);
                }
            }
        }

        #[test]
        fn the_front_is_convex_and_goes_from_least_loss_to_least_cost(layers in instances()) {
            let front = front(&layers, [0.25, 0.0], [1.0, 0.0]);
            let least = |of: fn(&Choice) -> f64| -> f64 {
                layers.iter().map(|l| l.iter().map(of).fold(f64::INFINITY, f64::min)).sum()
            };
            prop_assert!((front[0].loss - least(|c| c.loss)).abs() < 1e-9);
            prop_assert!((front[front.len() - 1].cost[0] - 0.25 - least(|c| c.cost[0])).abs() < 1e-9);
            let slopes: Vec<f64> = front
                .windows(2)
                .map(|pair| (pair[1].loss - pair[0].loss) / (pair[0].cost[0] - pair[1].cost[0]))
                .collect();
            prop_assert!(slopes.windows(2).all(|pair| pair[1] >= pair[0] - 1e-6 * pair[0].abs()), "{slopes:?}");
        }
    }

    #[test]
    fn what_cannot_be_divided_is_taken_whole() {
        let mut layers = vec![vec![choice(1.0, 0.0, 2.0), choice(0.2, 1.0, 0.5)]];
        let found = allocate(&layers, [0.0; 2]);
        assert!((found.kept[0] - (1.0 - 0.8 * 2.0 / 3.0)).abs() < 1e-12, "{found:?}");
        layers[0][0].divisible = false;
        assert_eq!(allocate(&layers, [0.0; 2]).kept, [0.2]);
        assert_eq!(allocate(&layers, [0.6, 0.0]).kept, [0.2], "the cheapest, if no choice fits");
    }
}
