//! Relations and factors on a device, and the products that every solver is made of.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, SymmetricEigen};

use crate::device::{Device, DeviceError, Mat, MatMut};

/// Relations between types as matrices on the host.
pub(super) struct Problem {
    /// Objects of each type.
    pub(super) sizes: Vec<usize>,
    /// Latent dimensions of each type.
    pub(super) ranks: Vec<usize>,
    pub(super) relations: Vec<Matrices<Vec<f32>>>,
}

/// A relation `R ~= G_row S G_col^T` with its values wherever they live.
pub(super) struct Matrices<T> {
    pub(super) row: usize,
    pub(super) col: usize,
    pub(super) values: T,
}

/// From which side of a relation a type is updated.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Row,
    Col,
}

/// Relations, their cores `S` and the types' factors `G` on a device.
pub(super) struct State<'d, D: Device> {
    pub(super) device: &'d D,
    pub(super) sizes: Vec<usize>,
    pub(super) ranks: Vec<usize>,
    pub(super) relations: Vec<Matrices<D::Buffer>>,
    pub(super) g: Vec<D::Buffer>,
    pub(super) s: Vec<D::Buffer>,
    /// Any product of extents at most `size x rank`.
    wide: D::Buffer,
    /// Any product of extents at most `rank x rank`.
    small: D::Buffer,
    /// `G^T G` of each type, one after the other, and their pseudo-inverses.
    grams: D::Buffer,
    inverses: D::Buffer,
    gram_at: Vec<usize>,
    /// Reconstructions by length.
    reconstructions: BTreeMap<usize, D::Buffer>,
    distances: D::Buffer,
}

/// A stored matrix with `cols` columns.
pub(super) fn plain<B>(buffer: &B, cols: usize) -> Mat<'_, B> {
    Mat { buffer, offset: 0, row_stride: cols, transposed: false }
}

/// The transpose of a stored matrix with `cols` columns.
pub(super) fn transposed<B>(buffer: &B, cols: usize) -> Mat<'_, B> {
    Mat { transposed: true, ..plain(buffer, cols) }
}

/// A destination with `cols` columns.
pub(super) fn into<B>(buffer: &mut B, cols: usize) -> MatMut<'_, B> {
    MatMut { buffer, offset: 0, row_stride: cols }
}

/// A copy of a buffer.
pub(super) fn duplicate<D: Device>(device: &D, from: &D::Buffer) -> D::Buffer {
    let mut to = device.zeros(device.len(from));
    device.copy(from, 0, &mut to, 0, device.len(from));
    to
}

impl<'d, D: Device> State<'d, D> {
    /// Uploads a problem and first factors; the cores are zero until they are solved for.
    pub(super) fn new(device: &'d D, problem: &Problem, factors: &[Vec<f32>]) -> Self {
        let (sizes, ranks) = (problem.sizes.clone(), problem.ranks.clone());
        let largest_rank = ranks.iter().copied().max().unwrap_or(0);
        let largest_size = sizes.iter().copied().max().unwrap_or(0);
        let mut gram_at = vec![0];
        for k in &ranks {
            gram_at.push(gram_at[gram_at.len() - 1] + k * k);
        }
        let grams = gram_at[ranks.len()];
        let relations: Vec<_> = problem
            .relations
            .iter()
            .map(|r| Matrices { row: r.row, col: r.col, values: device.upload(&r.values) })
            .collect();
        let lengths = problem.relations.iter().map(|r| r.values.len());
        Self {
            device,
            g: factors.iter().map(|g| device.upload(g)).collect(),
            s: relations.iter().map(|r| device.zeros(ranks[r.row] * ranks[r.col])).collect(),
            wide: device.zeros(largest_size.max(largest_rank) * largest_rank),
            small: device.zeros(largest_rank * largest_rank),
            grams: device.zeros(grams),
            inverses: device.zeros(grams),
            gram_at,
            reconstructions: lengths.map(|len| (len, device.zeros(len))).collect(),
            distances: device.zeros(relations.len()),
            relations,
            sizes,
            ranks,
        }
    }

    /// The relations that a type takes part in; one between a type and itself counts twice.
    pub(super) fn sides(&self, of: usize) -> Vec<(usize, Side)> {
        let mut sides = Vec::new();
        for (l, relation) in self.relations.iter().enumerate() {
            sides.extend((relation.row == of).then_some((l, Side::Row)));
            sides.extend((relation.col == of).then_some((l, Side::Col)));
        }
        sides
    }

    /// Solves for every core with the factors fixed:
    /// `S = (G_i^T G_i)^+ G_i^T R G_j (G_j^T G_j)^+`.
    pub(super) fn solve_cores(&mut self) -> Result<(), DeviceError> {
        let device = self.device;
        for (of, g) in self.g.iter().enumerate() {
            let (n, k) = (self.sizes[of], self.ranks[of]);
            let to = MatMut { buffer: &mut self.grams, offset: self.gram_at[of], row_stride: k };
            device.gemm([k, k, n], 1.0, transposed(g, k), plain(g, k), 0.0, to);
        }
        let mut grams = device.download(&self.grams)?;
        for (of, &k) in self.ranks.iter().enumerate() {
            pseudo_inverse(k, &mut grams[self.gram_at[of]..self.gram_at[of + 1]]);
        }
        device.write(&grams, &mut self.inverses);

        for (relation, s) in self.relations.iter().zip(&mut self.s) {
            let (i, j) = (relation.row, relation.col);
            let (n, m, ki, kj) = (self.sizes[i], self.sizes[j], self.ranks[i], self.ranks[j]);
            let inverse = |of: usize| Mat {
                buffer: &self.inverses,
                offset: self.gram_at[of],
                row_stride: self.ranks[of],
                transposed: false,
            };
            let r = plain(&relation.values, m);
            device.gemm([n, kj, m], 1.0, r, plain(&self.g[j], kj), 0.0, into(&mut self.wide, kj));
            let gi = transposed(&self.g[i], ki);
            device.gemm([ki, kj, n], 1.0, gi, plain(&self.wide, kj), 0.0, into(&mut self.small, kj));
            device.gemm([ki, kj, ki], 1.0, inverse(i), plain(&self.small, kj), 0.0, into(&mut self.wide, kj));
            device.gemm([ki, kj, kj], 1.0, plain(&self.wide, kj), inverse(j), 0.0, into(s, kj));
        }
        Ok(())
    }

    /// The sum over all relations of `||R - G_i S G_j^T||_F^2`.
    pub(super) fn objective(&mut self) -> Result<f64, DeviceError> {
        for l in 0..self.relations.len() {
            self.mix(l, Side::Row);
            let relation = &self.relations[l];
            let (n, m) = (self.sizes[relation.row], self.sizes[relation.col]);
            let k = self.ranks[relation.row];
            let Some(to) = self.reconstructions.get_mut(&(n * m)) else { continue };
            let g = plain(&self.g[relation.row], k);
            self.device.gemm([n, m, k], 1.0, g, transposed(&self.wide, k), 0.0, into(to, m));
            self.device.squared_distance(&relation.values, to, &mut self.distances, l);
        }
        Ok(self.device.download(&self.distances)?.iter().map(|&d| f64::from(d)).sum())
    }

    /// The normal equations of one relation for the type on that side, the rest fixed. With `X`
    /// the other side's profiles, `G_j S^T` (row) or `G_i S` (column), its residual is
    /// `||R - G X^T||` (or of `R^T`): `a = R X + beta a` (or `R^T X`) and `b = X^T X + beta b`.
    pub(super) fn normal_equations(
        &mut self,
        (l, side): (usize, Side),
        beta: f32,
        a: &mut D::Buffer,
        b: &mut D::Buffer,
    ) {
        self.mix(l, side);
        let relation = &self.relations[l];
        let m = self.sizes[relation.col];
        let r = &relation.values;
        let (this, other, r) = match side {
            Side::Row => (relation.row, relation.col, plain(r, m)),
            Side::Col => (relation.col, relation.row, transposed(r, m)),
        };
        let (n, k, inner) = (self.sizes[this], self.ranks[this], self.sizes[other]);
        self.device.gemm([n, k, inner], 1.0, r, plain(&self.wide, k), beta, into(a, k));
        let x = transposed(&self.wide, k);
        self.device.gemm([k, k, inner], 1.0, x, plain(&self.wide, k), beta, into(b, k));
    }

    /// `wide = X` of [`normal_equations`](Self::normal_equations).
    fn mix(&mut self, l: usize, side: Side) {
        let Matrices { row, col, .. } = self.relations[l];
        let s = &self.s[l];
        let kj = self.ranks[col];
        let (this, other, s) = match side {
            Side::Row => (row, col, transposed(s, kj)),
            Side::Col => (col, row, plain(s, kj)),
        };
        let (n, inner, k) = (self.sizes[other], self.ranks[other], self.ranks[this]);
        let g = plain(&self.g[other], inner);
        self.device.gemm([n, k, inner], 1.0, g, s, 0.0, into(&mut self.wide, k));
    }
}

/// Overwrites a positive semidefinite `k x k` matrix with its pseudo-inverse. Eigenvalues that
/// f32 cannot tell from zero count as zero.
fn pseudo_inverse(k: usize, matrix: &mut [f32]) {
    let eigen = symmetric(k, matrix).map(SymmetricEigen::new);
    let Some(SymmetricEigen { eigenvectors, eigenvalues }) = eigen else {
        return matrix.fill(f32::NAN);
    };
    let cutoff = eigenvalues.max() * k as f64 * f64::from(f32::EPSILON);
    let inverse = eigenvalues.map(|e| if e > cutoff { 1.0 / e } else { 0.0 });
    let scaled = &eigenvectors * DMatrix::from_diagonal(&inverse);
    let product = scaled * eigenvectors.transpose();
    for (to, value) in matrix.iter_mut().zip(product.iter()) {
        *to = *value as f32;
    }
}

/// The symmetric part of a `k x k` matrix in f64, or `None` where it is not finite, which no
/// eigenvalue iteration survives.
pub(super) fn symmetric(k: usize, matrix: &[f32]) -> Option<DMatrix<f64>> {
    let full = DMatrix::from_row_iterator(k, k, matrix.iter().map(|&v| f64::from(v)));
    full.iter().all(|v| v.is_finite()).then(|| (&full + full.transpose()) * 0.5)
}
